"""A run is built from the proposer and the tracker that it is given: neither driver nor engine chooses one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import read_events
from analysis.records.replicates import Key, Replicate
from sweeps.errors import EXIT_DONE
from sweeps.plan.selection import RUN
from sweeps.plan.units import PlannedReplicate
from sweeps.run.driver import Components, prepare, run_missing, what_to_run
from sweeps.run.limits import RunLimits
from sweeps.search.contract import ProposerCase, check_proposer
from sweeps.search.proposer import Report, UnknownReplicateError, Withheld
from tests.support.machine.memory_tracker import MemoryTracker
from tests.support.sweeps.studies import write_study

pytestmark = [pytest.mark.slow, pytest.mark.ray]

METRIC = "val/bits_per_char"


class WorstFirst:
    """Runs one replicate at a time: next is one of the configuration with the worst newest result, or with none."""

    def __init__(self, replicates: Iterable[PlannedReplicate]) -> None:
        self.left = {one.key: one for one in replicates}
        self.proposed: set[Key] = set()
        self.ended: set[Key] = set()
        self.newest: dict[str, float] = {}
        """{config_id: metric of its newest end}."""

    def ask(self) -> PlannedReplicate | None:
        if not self.left or self.proposed != self.ended:
            return None
        key = max(self.left, key=lambda key: (self.newest.get(key[0], math.inf), key))
        self.proposed.add(key)
        return self.left.pop(key)

    def tell(self, result: Replicate) -> None:
        if result.key not in self.proposed:
            raise UnknownReplicateError(f"{result.key} was never proposed")
        self.ended.add(result.key)
        self.newest[result.config_id] = result.reports[-1].metrics[METRIC] if result.reports else 0.0

    def should_stop(self, report: Report) -> bool:
        return False

    @property
    def withheld(self) -> Withheld:
        return Withheld(len(self.left))


class Quiet:
    def started(self, *_: Any) -> None: ...
    def reported(self, *_: Any) -> None: ...
    def waiting(self, *_: Any) -> None: ...


def test_a_proposer_that_learns_and_a_tracker_in_memory_need_no_change_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    for name in ("RAY_ADDRESS", "PHASESWEEP_DATA"):
        monkeypatch.delenv(name, raising=False)
    prepared = prepare(str(write_study(tmp_path, seeds=3)), "laptop", [])
    prepared.folder.prepare(prepared.study.resolved(), prepared.study.plugin_texts)
    replicates = prepared.plan.replicates
    check_proposer(ProposerCase(lambda: WorstFirst(replicates), prepared.plan.keys, never_stops=True))

    components = Components(WorstFirst(replicates), MemoryTracker())
    to_run = what_to_run(prepared, RUN)
    ended = run_missing(prepared, to_run, RunLimits(), nullcontext(Quiet()), components)
    assert (ended.left, ended.exit_code) == (frozenset(), EXIT_DONE)

    (journal,) = prepared.folder.journal.glob("*.jsonl")
    turns = [event for event in read_events(journal) if event["event"] in {"started", "finished"}]
    assert [event["event"] for event in turns] == ["started", "finished"] * 6, "one at a time"
    newest: dict[str, float] = {}
    for number, event in enumerate(turns[::2]):
        begun = {(one["config_id"], one["seed"]) for one in turns[: 2 * number : 2]}
        open_ids = {config_id for config_id, _ in set(prepared.plan.keys) - begun}
        value = {config_id: newest.get(config_id, math.inf) for config_id in open_ids}
        assert value[event["config_id"]] == max(value.values()), f"start {number}"
        result = prepared.state.replicates[event["config_id"], event["seed"]]
        newest[event["config_id"]] = result.reports[-1].metrics[METRIC]

    assert not ended.behind.needs_attention, str(ended.behind)
    runs = {run.record.key: run for run in components.tracker.store}  # type: ignore[attr-defined]
    shown = [run for run in runs.values() if run.record.level == "replicate"]
    assert (len(shown), {run.record.status for run in shown}) == (6, {"FINISHED"})
    assert all(METRIC in run.latest for run in shown)
    assert not list(tmp_path.rglob("mlflow.db")), "nobody has opened MLflow"
