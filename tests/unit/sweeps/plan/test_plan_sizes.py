"""A plan sizes each shape once, and what it takes to cost nothing costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import merge
from cluster.inventory import local_inventory
from cluster.memory import worker as memory_sizes
from cluster.memory.cache import EstimateCache
from cluster.memory.estimate import MemoryEstimate, estimate
from cluster.memory.worker import Estimates
from sweeps.plan.builder import build_plan
from sweeps.plan.plan import ASSUMED_FLOPS_PER_CORE
from sweeps.studies.resolve import load_study
from tests.support.models.sizes import unmeasured
from tests.support.sweeps.studies import write_study
from trainables.architectures.base import ArchitectureConfig
from trainables.config.trial import TrialConfig
from trainables.registry import ARCHITECTURES

OTHER_VALUES = {
    "fidelity": "as_published",
    "frequency_std": 0.2,
    "coupling": 0.0,
    "sign": "repulsive",
    "dt": 0.5,
    "coherence_target": 0.2,
    "variant": "v10_gated",
    "frequency_scale": 0.5,
    "decay_init_window": 16.0,
    "positions_restart": True,
}
TASK = {"name": "language", "corpus": "synthetic", "context_length": 16}


def memory(architecture: Any) -> MemoryEstimate:
    config = TrialConfig(
        architecture=architecture, task=TASK, budget={"steps": 2, "batch_size": 2, "report_every": 1}
    )
    return estimate(config, vocab_size=8, context_length=16)


SMALL = {
    name: ARCHITECTURES.parse({"name": name, "d_model": 16, "num_layers": 1, "num_heads": 2, **more})
    for name in ARCHITECTURES.names()
    for more in ({"coherence_weight": 0.1, "num_oscillators": 4, "num_steps": 1} if name == "kuramoto" else {},)
}


@pytest.mark.parametrize(
    "architecture", [one for one in SMALL.values() if one.memory_neutral], ids=lambda one: one.name
)
def test_memory_neutral_fields_change_no_estimate(architecture: ArchitectureConfig) -> None:
    others = {field: OTHER_VALUES[field] for field in architecture.memory_neutral}
    changed = architecture.model_copy(update=others)
    assert [field for field in others if getattr(changed, field) == getattr(architecture, field)] == []
    assert memory(changed) == memory(architecture)


def test_arms_of_one_shape_are_sized_once_and_then_remembered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With and without coupling the same: 2 shapes for 3 arms."""
    sized = []

    def counted(config: TrialConfig, **sizes: Any) -> MemoryEstimate:
        sized.append(config)
        return estimate(config, **sizes)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(memory_sizes, "estimate", counted)
    path = write_study(tmp_path)
    arm = next(line for line in path.read_text(encoding="utf-8").splitlines() if "kuramoto:" in line)
    uncoupled = arm.replace("kuramoto:", "uncoupled:").replace("num_steps: 1", "num_steps: 1, coupling: 0.0")
    path.write_text(path.read_text(encoding="utf-8").replace(arm, f"{arm}\n{uncoupled}"), encoding="utf-8")
    study = load_study(str(path))
    made = build_plan(study, local_inventory(), None)
    assert len(made.arms) == len({planned.config_id for planned in made.arms}) == 3
    assert len(sized) == 2
    again = build_plan(study, local_inventory(), None)
    assert len(sized) == 2
    assert [planned.memory for planned in again.arms] == [planned.memory for planned in made.arms]
    # The second time they are known.
    assert capsys.readouterr().err == "measuring the memory of 2 configurations…\n"
    alone = Estimates(cache=EstimateCache(tmp_path / "another"))
    for planned in made.arms[:2]:
        task = planned.config.task.build(None)
        assert planned.memory == alone.of_worker(planned.config, task, study.resources), planned.arm.name
    assert len(sized) == 4


@pytest.fixture
def without_sizes() -> Iterator[None]:
    with unmeasured():
        yield


@pytest.mark.usefixtures("without_sizes")
def test_what_has_not_run_is_forecast_at_the_pace_of_what_has() -> None:
    made = build_plan(load_study("quickstart", "smoke"), local_inventory(), None)
    before, basis = made.forecast_seconds()
    assert basis == "0 of 4 configurations measured"
    baseline = next(planned for planned in made.arms if planned.arm.role == "baseline")
    alone = before * made.concurrency / len(made.replicates)  # quickstart's arms are matched: equal times assumed
    ended = {"time": 1.0, "sweep_id": "s", "event": "finished", "config_id": baseline.config_id, "seed": 0}
    stale = {**ended, "config_id": "0123456789ab", "seconds": 1e9}
    state = merge([{**ended, "seconds": 10 * alone}, stale])
    after, basis = made.forecast_seconds(state)
    assert basis == "1 of 4 configurations measured"
    assert after == pytest.approx(10 * before, rel=0.02)


@pytest.mark.usefixtures("without_sizes")
@pytest.mark.parametrize("name", ["quickstart", "pi_spiral_pretrained", "pi_spiral_cost"])
def test_frozen_weights_and_scoring_cost_time_too(name: str) -> None:
    """A language model of 128 million weights is not free because little or nothing of it is trained."""
    made = build_plan(load_study(name, "smoke"), local_inventory(), None)
    heavy = [replace(one, memory=replace(one.memory, parameters_mib=512.0)) for one in made.arms]
    seconds = replace(made, arms=tuple(heavy)).core_seconds()
    trained = sum(a.config.budget.steps * a.config.budget.batch_size * a.context_length for a in heavy)
    scored = sum(a.scored_tokens for a in heavy)
    assert scored > 0
    expected = 2**27 * (4 * trained + 2 * scored) * len(made.study.seeds) / ASSUMED_FLOPS_PER_CORE
    assert seconds - made.core_seconds() == pytest.approx(expected, rel=0.01)


@pytest.mark.usefixtures("without_sizes")
def test_a_forecast_knows_the_length_of_drawn_examples() -> None:
    made = build_plan(load_study("resonant_needle", "smoke"), local_inventory(), None)
    assert {planned.context_length for planned in made.arms} == {4 * 8 + 1 + 2}
