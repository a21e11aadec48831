"""What a plan makes of several workers a trial, and which of them it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.inventory import Inventory
from cluster.placement.request import DRIVER_MIB
from sweeps.errors import UserError
from sweeps.plan.builder import build_plan
from sweeps.plan.checks import checked
from sweeps.plan.plan import SECONDS_TO_START_WORKERS, Plan
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study

MACHINE = Inventory(cpus=4, memory_mib=8000)


def planned(folder: Path, *sets: str, machine: Inventory = MACHINE) -> Plan:
    study = load_study(str(write_study(folder)), overrides=sets)
    return build_plan(checked(study, machine, None), machine, None)


def test_a_plan_shows_the_workers_and_counts_what_they_take(tmp_path: Path) -> None:
    one, two = planned(tmp_path), planned(tmp_path, "resources.workers=2")
    (request,) = {tuple(c["request"].items()) for c in two.to_json()["configurations"]}
    assert dict(request) == {"workers": 2, "cpu": 1, "gpu": 0.0, "memory_mib": two.request.memory_mib}
    assert (one.concurrency, two.concurrency) == (4, 2)
    assert 2 * (2 * two.request.memory_mib + DRIVER_MIB) <= MACHINE.memory_mib
    assert two.forecast_seconds()[0] > SECONDS_TO_START_WORKERS * len(two.replicates) / two.concurrency


def test_a_worker_needs_memory_for_its_part_of_the_batch_and_of_the_model(tmp_path: Path) -> None:
    wide = ("architecture.d_model=256", "budget.batch_size=64")
    one, two, halves = (
        planned(tmp_path, *wide, f"resources.workers={workers}", *more).arms[0].memory
        for workers, more in ((1, ()), (2, ()), (2, ("resources.sharding=fsdp",)))
    )
    assert two.activations_mib == pytest.approx(one.activations_mib / 2, rel=0.05)
    assert two.optimizer_mib == one.optimizer_mib
    assert halves.optimizer_mib == one.optimizer_mib / 2
    assert halves.total_mib < two.total_mib


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (
            ("resources.workers=3",),
            "--set resources.workers: workers=3 must divide budget.batch_size=4 of arm 'transformer': "
            "every worker trains on an equal part of each batch",
        ),
        (
            ("resources.workers=2", "resources.sharding=fsdp", "optimizer.name=adamw_8bit"),
            "--set resources.sharding: sharding=fsdp cannot divide the state of optimizer.name=adamw_8bit of arm "
            "'transformer'; choose adamw, or sharding=replicated",
        ),
        (("resources.sharding=fsdp",), "sharding=fsdp divides the model among workers: set workers to at least 2"),
        (
            ("resources.workers=2", "resources.gpus_per_trial=0.5"),
            "gpus_per_trial=0.5 must be 1 or 0 with workers=2: the workers of a trial cannot share a GPU",
        ),
        (("resources.workers=0",), "--set resources.workers: input should be greater than or equal to 1"),
        (
            ("resources.workers=2", "resources.cpus_per_trial=3"),
            "needs 2 workers per trial, each with 3 CPUs and 768 MiB of memory, this machine has room for 1; "
            "set resources.workers to at most 1",
        ),
    ],
)
def test_workers_that_cannot_work_together_are_refused(tmp_path: Path, sets: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as error:
        planned(tmp_path, *sets)
    assert message in str(error.value)
