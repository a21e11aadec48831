"""The state of one replicate (a configuration with one seed) according to the journal."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from analysis.records.statuses import FAILURES, RESULTS

Key = tuple[str, int]
"""Identifies a replicate: (config_id, seed)."""

MAX_CRASHES = 2
"""`run` retries a crashed replicate once; after a second crash the cause is taken to be systematic."""


@dataclass(frozen=True)
class Attempt:
    """One start of a replicate, by one driver."""

    sweep_id: str
    """The driver's sweep."""
    first_step: int
    """Optimiser steps already done when it began; above 0 if it continued from a checkpoint."""
    numerics: dict[str, Any]
    """Device, threads, versions and the like, as the worker reported them."""


@dataclass(frozen=True)
class ReportPoint:
    """The metrics of one replicate at one optimiser step."""

    step: int
    time: float
    """Unix seconds."""
    metrics: dict[str, float]


@dataclass
class Replicate:
    """The state of one configuration with one seed according to the journal."""

    config_id: str
    seed: int
    status: str | None = None
    """None until it has ended."""
    starts: int = 0
    reruns: int = 0
    """How often the user has reopened it, to run it again."""
    crashes: int = 0
    """Crashes since it was reopened."""
    host: str = ""
    """Node of the newest attempt."""
    pid: int | None = None
    """Process of the newest attempt on that node."""
    started_at: float | None = None
    ended_at: float | None = None
    seconds: float | None = None
    """Wall time of the work that was kept of all attempts, as the trial measured it."""
    cpu_seconds: float | None = None
    """CPU time of that work: unlike wall time, it does not grow if the node is shared."""
    peak_memory_mib: float | None = None
    message: str = ""
    retry: str = ""
    """What its driver changes for the retry after it ran out of memory; empty if there is no retry."""
    num_ooms: int = 0
    """How often it ran out of memory since it was reopened."""
    num_killed: int = 0
    """How often its process was killed by something other than its driver."""
    cap_mib: int | None = None
    """Memory limit of the newest attempt, worker process included; None: no limit."""
    attempts: list[Attempt] = field(default_factory=list)
    """Attempts whose steps still count: one that starts from step 0 discards the earlier ones."""
    reports: list[ReportPoint] = field(default_factory=list)
    """By ascending step; a continued replicate replaces the steps it repeats."""

    @property
    def key(self) -> Key:
        """The pair that identifies it."""
        return (self.config_id, self.seed)

    @property
    def has_open_attempt(self) -> bool:
        """Whether the newest attempt has no end yet: it is running, or its driver has died."""
        return (self.started_at or 0.0) > (self.ended_at or 0.0)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended for good: a result, or a failure after which no retry was planned or begun.

        All code must ask this property. Preempted, or out of memory with a retry to come, is not an end.
        """
        if self.status in RESULTS:
            return True
        return self.status in FAILURES and not self.retry and not self.has_open_attempt

    @property
    def is_pending(self) -> bool:
        """Whether `run` should run it: it has not ended, or has crashed and may be retried once more."""
        return not self.has_ended or (self.status == "crashed" and self.crashes < MAX_CRASHES)

    @property
    def numerics(self) -> dict[str, Any]:
        """Numerics of the newest attempt."""
        return self.attempts[-1].numerics if self.attempts else {}

    @property
    def final_metrics(self) -> dict[str, float]:
        """Metrics of the last report; empty before the first."""
        return self.reports[-1].metrics if self.reports else {}

    def num_steps(self, until: float = math.inf) -> int:
        """Return the optimiser steps that it has reported and trained itself, without those of another's checkpoint
        from which it began.

        Args:
            until: Unix seconds; later reports do not count.
        """
        first = self.attempts[0].first_step if self.attempts else 0
        return max((point.step - first for point in self.reports if point.time <= until), default=0)

    def reopened(self, *, anew: bool) -> Replicate:
        """Return the replicate in the state after a `reopened` event: not ended.

        Args:
            anew: The next attempt starts from step 0, so that earlier reports no longer count; otherwise it may
                continue from a checkpoint and replaces the steps that it repeats.
        """
        return Replicate(
            self.config_id,
            self.seed,
            starts=self.starts,
            reruns=self.reruns + 1,
            reports=[] if anew else self.reports,
            attempts=[] if anew else self.attempts,
        )

    def add_attempt(self, attempt: Attempt) -> None:
        """Append `attempt`; if it starts from step 0, the earlier ones are dropped."""
        if attempt.first_step == 0:
            self.attempts.clear()
        self.attempts.append(attempt)

    def add_report(self, point: ReportPoint) -> None:
        """Append `point`, dropping reports at or after its step that an earlier attempt left."""
        while self.reports and self.reports[-1].step >= point.step:
            self.reports.pop()
        self.reports.append(point)
