"""What a sweep's end is called: what `run` takes up again, and its exit code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.records.statuses import STATUSES
from sweeps.cli.run import _exit_code
from sweeps.plan.selection import MAX_CRASHES, is_missing


def replicate(status: str | None, seed: int = 0, **fields: Any) -> Replicate:
    return Replicate("c", seed, status=status, **fields)


def test_what_run_takes_up_again() -> None:
    """What has no end, what was preempted, and what crashed once; the rest needs to be asked for."""
    assert is_missing(None)
    taken = {status for status in (None, *STATUSES) if is_missing(replicate(status, crashes=1))}
    assert taken == {None, "preempted", "crashed"}
    assert not is_missing(replicate("crashed", crashes=MAX_CRASHES))
    assert is_missing(replicate(None, crashes=MAX_CRASHES))


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
    assert _exit_code(plan, state, left, has_failed=False) == exit_code  # type: ignore[arg-type]
    failed = 1 if left else exit_code
    assert _exit_code(plan, state, left, has_failed=True) == failed  # type: ignore[arg-type]
