"""Which replicates of a plan `run` would run."""

from __future__ import annotations

from analysis.records import JournalState, Replicate
from sweeps.plan import Plan, PlannedArm

MAX_CRASHES = 2
"""`run` tries a crashed replicate once more, and then no more: the second crash is no accident."""


def is_missing(replicate: Replicate | None) -> bool:
    """Return whether `run` should run a replicate: it has not ended, was preempted, or crashed only once."""
    if replicate is None or replicate.status in {None, "preempted"}:
        return True
    return replicate.status == "crashed" and replicate.crashes < MAX_CRASHES


def missing_replicates(plan: Plan, state: JournalState) -> list[tuple[PlannedArm, int]]:
    """Return what `run` would run, in order."""
    return [
        (planned, seed)
        for planned, seed in plan.replicates
        if is_missing(state.replicates.get((planned.config_id, seed)))
    ]
