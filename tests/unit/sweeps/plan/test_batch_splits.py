"""Resources never change a result: what a cut of the batch would change is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.inventory import Inventory
from sweeps.errors import UserError
from sweeps.plan.builder import build_plan
from sweeps.plan.checks import checked
from sweeps.plan.plan import Plan
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study
from tests.support.sweeps.verbs import caller
from trainables.architectures.gpt import TransformerConfig
from trainables.architectures.kuramoto.config import KuramotoConfig
from trainables.architectures.resonant.config import ResonantConfig

MACHINE = Inventory(cpus=4, memory_mib=8000)
LINES = ["task.name=lines"]
COHERENT = ["arms.kuramoto.architecture.coherence_weight=0.1"]
IN_PARTS, WORKERS = ["resources.micro_batch_size=2"], ["resources.workers=2"]


def planned(folder: Path, sets: list[str], machine: Inventory = MACHINE) -> Plan:
    study = load_study(str(write_study(folder)), overrides=sets)
    return build_plan(checked(study, machine, None), machine, None)


def refusal(folder: Path, sets: list[str], *, machine: Inventory = MACHINE) -> str:
    with pytest.raises(UserError) as error:
        planned(folder, sets, machine)
    return str(error.value)


@pytest.mark.parametrize(
    ("sets", "parts"),
    [
        (
            [*LINES, *IN_PARTS],
            "--set resources.micro_batch_size: micro_batch_size=2 cuts the batch of 4 of arm 'transformer' into "
            "parts of 2, and task 'lines' computes something else from them: resources never change a result; "
            "leave it out or set it to at least 4",
        ),
        ([*LINES, *WORKERS], "--set resources.workers: workers=2 cuts the batch of 4 of arm 'transformer'"),
        ([*LINES, *WORKERS], "set resources.workers to 1"),
        (
            [*COHERENT, *IN_PARTS],
            "into parts of 2, and architecture 'kuramoto' computes something",
        ),
        ([*COHERENT, *WORKERS], "--set resources.workers: workers=2 cuts the batch of 4 of arm 'kuramoto'"),
    ],
)
def test_a_cut_that_would_change_a_result_is_refused(sets: list[str], parts: str, tmp_path: Path) -> None:
    assert parts in refusal(tmp_path, sets)


def test_the_refusal_names_the_line_of_the_study(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    text = path.read_text(encoding="utf-8").replace("{name: language,", "{name: lines,")
    path.write_text(text + "resources: {micro_batch_size: 2}\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        checked(load_study(str(path)), MACHINE, None)
    line = len(path.read_text(encoding="utf-8").splitlines())
    assert str(error.value).startswith(f"{path}:{line}: resources.micro_batch_size: micro_batch_size=2 cuts"), error


@pytest.mark.parametrize(
    "sets",
    [
        [*LINES, "resources.micro_batch_size=4"],
        [*IN_PARTS],
        [*WORKERS],
        [*WORKERS, *IN_PARTS, "architecture.dropout=0.1"],
        [*IN_PARTS, "arms.kuramoto.architecture.phase_noise=0.1"],
    ],
)
def test_what_leaves_the_law_is_planned(sets: list[str], tmp_path: Path) -> None:
    assert len(planned(tmp_path, sets).arms) == 2


def test_only_noise_that_each_sequence_draws_for_itself_leaves_the_law() -> None:
    small: dict[str, Any] = {"d_model": 16, "num_layers": 1, "num_heads": 2}
    noisy = TransformerConfig(**small, dropout=0.1)
    assert (noisy.microbatch_invariant, noisy.splits_in_law) == (False, True)
    phases: dict[str, Any] = {**small, "phase_layers": [0]}
    laws = {
        name: KuramotoConfig.model_validate({**phases, "dropout": 0.1, name: 0.1}).splits_in_law
        for name in ("phase_noise", "frequency_jitter", "coherence_weight")
    }
    assert laws == {"phase_noise": True, "frequency_jitter": False, "coherence_weight": False}
    published = ResonantConfig.model_validate({**small, "fidelity": "as_published", "pvm": {}, "dropout": 0.1})
    assert not published.splits_in_law


def test_no_micro_batch_is_proposed_that_a_plan_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = Inventory(cpus=2, memory_mib=1536)
    said = refusal(tmp_path, [*LINES, "budget.batch_size=131072"], machine=small)
    assert "MiB of memory per trial" in said and "--set resources.micro_batch_size" not in said
    call = caller(tmp_path, monkeypatch, capsys)
    found = call("estimate", "tiny.yaml", "--set", LINES[0], "--json").json("estimate")
    settings = [change["setting"] for change in found["changes"]]
    assert settings and not any("micro_batch_size" in setting for setting in settings)
