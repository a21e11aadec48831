"""What a proposer has seen enough of ends as pruned amid its steps, and its process runs the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import read_events
from sweeps.run.driver import prepare
from sweeps.run.engine import new_sweep_id, run_plan
from sweeps.run.limits import RunLimits
from sweeps.search.fixed import FixedProposer
from sweeps.search.proposer import Report
from tests.support.sweeps.studies import write_study
from trainables.training.checkpoints import read_state
from trainables.worker.replicate_folder import ReplicateFolder

pytestmark = [pytest.mark.slow, pytest.mark.ray]


class Impatient(FixedProposer):
    """Lets the first seed of each configuration run, and stops the others once they have done ten steps."""

    def should_stop(self, report: Report) -> bool:
        return report.key[1] > 0 and report.step >= 10


class Quiet:
    def started(self, *_: Any) -> None: ...
    def reported(self, *_: Any) -> None: ...
    def waiting(self, *_: Any) -> None: ...


def test_a_proposer_stops_what_it_has_seen_enough_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    for name in ("RAY_ADDRESS", "PHASESWEEP_DATA"):
        monkeypatch.delenv(name, raising=False)
    prepared = prepare(str(write_study(tmp_path, seeds=3, steps=40)), "laptop", [])
    prepared.folder.prepare(prepared.study.resolved(), prepared.study.plugin_texts)
    limits = RunLimits()
    left = run_plan(
        prepared.plan,
        prepared.folder,
        Impatient(prepared.plan.replicates),
        reader=prepared.reader,
        sweep_id=new_sweep_id(),
        address=None,
        listener=Quiet(),
        limits=limits,
        reruns={},
    )
    assert (left, limits.stop_reason) == (set(), None)
    replicates = prepared.state.replicates
    assert set(replicates) == set(prepared.plan.keys)
    for (config_id, seed), replicate in replicates.items():
        assert replicate.has_ended and not replicate.is_pending
        assert (replicate.status, replicate.reports[-1].step) == (("pruned", 10) if seed else ("finished", 40))
        checkpoint = ReplicateFolder(prepared.folder.replicate(config_id, seed)).checkpoint
        assert checkpoint.exists() == (replicate.status == "pruned"), "what is promoted later continues"
        if checkpoint.exists():
            assert read_state(checkpoint)["step"] == 10
    (journal,) = prepared.folder.journal.glob("*.jsonl")
    assert {event["step"] for event in read_events(journal) if event["event"] == "pruned"} == {10}
    assert {replicate.starts for replicate in replicates.values()} == {1}
    assert len({replicate.pid for replicate in replicates.values()}) < len(replicates), "processes are reused"
    assert not list(prepared.folder.leases.glob("*.lease"))
