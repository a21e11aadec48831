"""What a sweep's end is called: what `run` takes up again, and its exit code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from analysis.records.journal import JournalState
from analysis.records.replicates import MAX_CRASHES, Replicate
from analysis.records.statuses import FAILURES, RESULTS, STATUSES
from sweeps.run.driver import exit_code as exit_code_of


def replicate(status: str | None, seed: int = 0, **fields: Any) -> Replicate:
    return Replicate("c", seed, status=status, **fields)


def test_what_run_takes_up_again() -> None:
    """What has no end, what was preempted, and what crashed once; the rest needs to be asked for."""
    assert JournalState().is_pending(("c", 0))
    taken = {status for status in (None, *STATUSES) if replicate(status, crashes=1).is_pending}
    assert taken == {None, "preempted", "crashed"}
    assert not replicate("crashed", crashes=MAX_CRASHES).is_pending
    assert replicate(None, crashes=MAX_CRASHES).is_pending


def test_what_has_ended() -> None:
    """One answer for status, tables, MLflow and the driver."""
    assert not JournalState().has_ended(("c", 0))
    ended = {status for status in (None, *STATUSES) if replicate(status, started_at=1.0, ended_at=2.0).has_ended}
    assert ended == RESULTS | FAILURES, "preempted is no end"
    assert not replicate("oom", started_at=1.0, ended_at=2.0, retry="half the micro-batch").has_ended


@pytest.mark.parametrize("status", [*sorted(FAILURES), "preempted"])
def test_what_runs_once_more_has_not_ended(status: str) -> None:
    again = replicate(status, started_at=3.0, ended_at=2.0, crashes=MAX_CRASHES)
    assert again.has_open_attempt
    assert not again.has_ended
    assert again.is_pending, "should its driver die"


@pytest.mark.parametrize(
    ("statuses", "exit_code"),
    [
        (["finished", "finished"], 0),
        (["finished", "diverged"], 0),
        (["finished", "pruned"], 0),
        (["finished", "crashed"], 1),
        (["diverged", "oom"], 1),
        (["timed_out", "finished"], 1),
        (["finished", None], 130),
        (["crashed", None], 130),
    ],
)
def test_exit_codes(statuses: list[str | None], exit_code: int) -> None:
    """Of what is planned; what else the journal holds decides nothing."""
    state = JournalState()
    for seed, status in enumerate(statuses):
        state.replicates["c", seed] = replicate(status, seed)
    state.replicates["stale", 0] = Replicate("stale", 0, status="crashed")
    plan = SimpleNamespace(keys=[("c", seed) for seed in range(len(statuses))])
    left = {key for key in plan.keys if state.replicates[key].status is None}
    assert exit_code_of(plan, state, left, has_failed=False) == exit_code  # type: ignore[arg-type]
    failed = 1 if left else exit_code
    assert exit_code_of(plan, state, left, has_failed=True) == failed  # type: ignore[arg-type]
