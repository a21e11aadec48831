"""What the driver does for a sweep grows with its length, not its square. Lines are counted, not time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from analysis.records.journal import JournalState
from analysis.records.replicates import MAX_CRASHES, Key
from cluster.inventory import Inventory
from cluster.memory.estimate import MemoryEstimate
from cluster.placement.size_classes import pack
from sweeps.plan.corrections import corrections
from sweeps.plan.plan import Plan
from sweeps.plan.selection import Selection, missing_replicates, without_weights
from sweeps.plan.units import PlannedArm, PlannedReplicate
from sweeps.run.queue import WorkQueue
from sweeps.run.recorder import Recorder
from sweeps.search.fixed import FixedProposer
from sweeps.store.folder import ResultsFolder
from sweeps.store.journal import JournalWriter
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import JournalReader
from tests.support.models.configs import small_assignment
from tests.support.sweeps.journals import sweep_event
from trainables.config.resources import ResourceConfig

PACKAGES = ("/sweeps/", "/analysis/")
ROOT = str(Path(__file__).parents[2])
DOUBLED = 2.4
"""How much more may be done for twice as many: 2, and something for the heaps' logarithm and what is done once."""


def num_lines(work: Callable[[], Any]) -> Counter[str]:
    """Return how many lines of ours `work` executes, by function; a comprehension's each turn is one."""
    counts: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(ROOT) or not any(package in name for package in PACKAGES):
            return None
        if event in {"line", "call"}:
            counts[f"{Path(name).name}:{frame.f_code.co_qualname}"] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return counts


def assert_linear(small: Counter[str], large: Counter[str]) -> None:
    grown = {name: (small[name], n) for name, n in large.items() if n > DOUBLED * small[name] + 50}
    assert not grown, f"lines for half as many, and for all: {grown}"
    assert large.total() > small.total()


def plan_of(num_arms: int, num_seeds: int) -> Plan:
    """Return a plan of arms of which all but the baseline start with its weights."""
    backbone = arm_of("backbone", "prerequisite", seed=0)
    arms = [
        arm_of(f"arm{i}", "treatment" if i else "baseline", depends_on=[("backbone", 0)] if i % 2 else [])
        for i in range(num_arms)
    ]
    needs = {one.config_id: 100.0 + 300 * (i % 3) for i, one in enumerate([backbone, *arms])}
    packing = pack(ResourceConfig(), needs, Inventory(cpus=4, memory_mib=8000))
    seeds = tuple(range(num_seeds))
    study: Any = SimpleNamespace(seeds=seeds, compared_seeds=seeds, search=None, resources=ResourceConfig())
    sweep: Any = SimpleNamespace(provenance={"python": "3"})
    return Plan(study, tuple(arms), (backbone,), packing, packing, "cpu", sweep, None)


def arm_of(name: str, role: str, *, seed: int | None = None, depends_on: list[Key] | None = None) -> PlannedArm:
    needs: Any = tuple(SimpleNamespace(key=lambda _, key=key: key) for key in depends_on or ())
    zeros = dict.fromkeys(("gradients_mib", "optimizer_mib", "activations_mib", "workspace_mib"), 0.0)
    memory = MemoryEstimate(**zeros, parameters_mib=1000.0, context_mib=100.0)
    config: Any = SimpleNamespace(
        architecture=SimpleNamespace(name="any"),
        budget=SimpleNamespace(steps=10, batch_size=4),
        task=SimpleNamespace(context_length=8),
    )
    arm: Any = SimpleNamespace(name=name, role=role, config=config)
    return PlannedArm(arm, name, "", memory, 1, 16, needs, seed)


class _Nobody:
    def started(self, *_: Any) -> None: ...
    def reported(self, *_: Any) -> None: ...
    def waiting(self, *_: Any) -> None: ...


def sweep(plan: Plan, folder: Path) -> Counter[str]:
    """Return what the driver does to run everything, two at a time, from the first claim to the last end."""
    writer = JournalWriter(folder / "journal", "me")
    writer.write(**{k: v for k, v in sweep_event(("baseline",)).items() if k not in {"time", "sweep_id"}})
    with ReplicateLeases(folder / "claims", "me") as claims, ReplicateLeases(folder / "claims", "other") as other:
        for replicate in plan.replicates[-4:]:
            assert other.acquire(*replicate.key), "some are another driver's"
        tail = JournalReader(folder / "journal")
        recorder = Recorder(writer, claims, _Nobody())

        def work() -> None:
            proposer = FixedProposer(plan.replicates)
            queue = WorkQueue(plan, proposer, tail, claims, {}, lambda key: plan.packing.class_of(key[0]).index)
            queue.refresh()
            at_work: list[PlannedReplicate] = []
            while True:
                claimed = queue.lease_next(lambda size_class: not (size_class == 0 and len(at_work) == 1))
                if claimed is not None:
                    at_work.append(claimed.planned)
                    recorder.begin(given(claimed.planned, folder), claimed.rerun)
                    assert (claimed.planned.key in plan.kept) == (claimed.planned.key[0] == "backbone")
                if not at_work:
                    break
                if claimed is None or len(at_work) == 2:
                    recorder.record(given(at_work.pop(0), folder), END)
                    queue.note_end()
            assert len(queue.left()) == 4

        counted = num_lines(work)
    writer.close()
    return counted


END = {
    "event": "report",
    "step": 5,
    "metrics": {"a": 1.0},
    "outcome": "finished",
    "message": "",
    "seconds": 1.0,
    "cpu_seconds": 1.0,
    "peak_memory_mib": 1.0,
}


def given(planned: PlannedReplicate, folder: Path) -> Any:
    return small_assignment(folder, config_id=planned.key[0], seed=planned.seed)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)], ids=["seeds", "arms"])
def test_a_sweep_of_twice_as_many_costs_twice_as_much(
    shape: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sweeps.run.queue.REFRESH_EVERY_SECONDS", 1e9
    )  # what is done by the clock is no matter of length
    monkeypatch.setattr("os.fsync", lambda _: None)
    arms, seeds = shape
    small = sweep(plan_of(8, 8), tmp_path / "small")
    large = sweep(plan_of(8 * arms, 8 * seeds), tmp_path / "large")
    assert_linear(small, large)


def decide(plan: Plan, folder: Path) -> Counter[str]:
    """Return what the driver does to decide what runs, after everything has finished once and one has crashed."""
    state = JournalState()
    for key in plan.keys:
        replicate = state.replicate(*key)
        replicate.status, replicate.ended_at, replicate.peak_memory_mib, replicate.seconds = (
            "finished",
            1.0,
            900.0,
            2.0,
        )
    last = state.replicate(*plan.keys[-1])
    last.status, last.crashes = "crashed", MAX_CRASHES
    following: Any = SimpleNamespace(state=state)

    def work() -> None:
        assert corrections(plan.units, state, "cpu", ResourceConfig())
        chosen = Selection(failed=True).reruns(plan, following)
        assert set(chosen) == {plan.keys[-1]}
        assert not missing_replicates(plan, state)
        without_weights(plan, ResultsFolder(folder), state, chosen)
        assert plan.forecast_seconds(state, plan.keys)[0] > 0
        assert FixedProposer.of(plan, state).ask() is not None

    return num_lines(work)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)], ids=["seeds", "arms"])
def test_to_decide_what_runs_costs_twice_as_much_for_twice_as_many(shape: tuple[int, int], tmp_path: Path) -> None:
    arms, seeds = shape
    assert_linear(decide(plan_of(8, 8), tmp_path), decide(plan_of(8 * arms, 8 * seeds), tmp_path))
