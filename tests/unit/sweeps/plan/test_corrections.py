"""What measured peaks teach about the estimates of a family."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import JournalState
from analysis.records.replicates import Attempt, Replicate
from cluster.inventory import Inventory
from cluster.memory.estimate import MemoryEstimate
from sweeps.plan.builder import build_plan
from sweeps.plan.corrections import corrections
from sweeps.plan.plan import Plan
from sweeps.plan.units import PlannedArm
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study
from trainables.config.resources import ResourceConfig

MACHINE = Inventory(cpus=2, memory_mib=20_000)
ONE_CPU = ResourceConfig()


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return build_plan(load_study(str(write_study(tmp_path_factory.mktemp("study")))), MACHINE, None)


def sized(planned: PlannedArm, growth_mib: float) -> PlannedArm:
    parts = dict.fromkeys(("gradients_mib", "optimizer_mib", "activations_mib", "workspace_mib"), 0.0)
    whole = replace(planned.memory, **parts, parameters_mib=growth_mib, context_mib=500.0)
    assert isinstance(whole, MemoryEstimate)
    return replace(planned, memory=whole)


def measured(planned: PlannedArm, *peaks_mib: float | None, **numerics: Any) -> JournalState:
    state = JournalState()
    for seed, peak in enumerate(peaks_mib):
        made = Replicate(planned.config_id, seed, status="finished", peak_memory_mib=peak)
        made.attempts = [Attempt("a", 0, {"micro_batch_size": None, **numerics})]
        state.replicates[planned.config_id, seed] = made
    return state


def test_the_largest_ratio_counts_for_the_whole_family(plan: Plan) -> None:
    arm = sized(plan.arms[0], 1000.0)
    assert corrections([arm], measured(arm, 1400.0, 1600.0, None), "cpu", ONE_CPU) == {
        "transformer": pytest.approx(1.1)
    }
    assert replace(arm, correction=1.1).need_mib == pytest.approx(1600.0)


@pytest.mark.parametrize(("peak_mib", "factor"), [(600.0, 0.8), (9000.0, 3.0)])
def test_no_correction_is_beyond_reason(peak_mib: float, factor: float, plan: Plan) -> None:
    arm = sized(plan.arms[0], 1000.0)
    assert corrections([arm], measured(arm, peak_mib), "cpu", ONE_CPU) == {"transformer": factor}


def test_what_says_nothing_is_left_out(plan: Plan) -> None:
    arm, tiny = sized(plan.arms[0], 1000.0), sized(plan.arms[0], 10.0)
    assert corrections([tiny], measured(tiny, 900.0), "cpu", ONE_CPU) == {}, "mostly libraries"
    assert corrections([arm], measured(arm, 900.0, micro_batch_size=2), "cpu", ONE_CPU) == {}, (
        "of a smaller micro-batch"
    )
    failed = measured(arm, 900.0)
    failed.replicates[arm.config_id, 0].status = "oom"
    assert corrections([arm], failed, "cpu", ONE_CPU) == {}


@pytest.mark.parametrize(
    ("then", "counts"),
    [
        ({}, True),  # an old journal, which did not record it
        ({"device": "cpu", "workers": 1, "sharding": "replicated"}, True),
        ({"device": "cuda", "workers": 1, "sharding": "replicated"}, False),
        ({"device": "cpu", "workers": 2, "sharding": "replicated"}, False),
        ({"device": "cpu", "workers": 1, "sharding": "fsdp"}, False),
    ],
)
def test_a_peak_counts_only_for_what_runs_alike(then: dict[str, Any], counts: bool, plan: Plan) -> None:
    """After an edit of `resources:`, what a process used does not correct the estimate for a GPU."""
    arm = sized(plan.arms[0], 1000.0)
    assert bool(corrections([arm], measured(arm, 1600.0, **then), "cpu", ONE_CPU)) is counts


def test_the_plan_asks_for_what_was_measured(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(str(write_study(tmp_path)))
    monkeypatch.setattr("sweeps.plan.corrections.MIN_INCREMENT_MIB", 0.0)
    arm = plan.arms[0]
    growth_mib = arm.memory.total_mib - arm.memory.context_mib
    state = measured(arm, arm.memory.context_mib + 2 * growth_mib)
    again = build_plan(study, MACHINE, None, state)
    assert again.arms[0].correction == pytest.approx(2.0)
    assert again.sweep.arms[0].predicted_memory_mib == pytest.approx(
        arm.memory.context_mib + 2 * growth_mib, abs=0.1
    )
    assert again.arms[1].correction == 1.0, "another family"
