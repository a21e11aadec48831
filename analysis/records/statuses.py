"""How a replicate can end, and what that means; the status names used in the journal."""

from __future__ import annotations

from typing import Literal

Status = Literal["finished", "diverged", "pruned", "oom", "timed_out", "crashed", "preempted"]

STATUSES: tuple[Status, ...] = ("finished", "diverged", "pruned", "oom", "timed_out", "crashed", "preempted")
"""How a replicate can end."""

RESULTS: frozenset[str] = frozenset({"finished", "diverged", "pruned"})
"""Statuses that are scientific results: final, unless the user reopens the replicate."""

COMPLETE: frozenset[str] = RESULTS - {"pruned"}
"""Results that no more training changes: a pruned replicate may be promoted, and then continues."""

FAILURES: frozenset[str] = frozenset({"oom", "timed_out", "crashed"})
"""Statuses that make `run` exit with 1."""
