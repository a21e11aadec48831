"""What the journal knows of one configuration with one seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from analysis.records.statuses import FAILURES, RESULTS

Key = tuple[str, int]
"""Names a replicate: (config_id, seed)."""

MAX_CRASHES = 2
"""`run` tries a crashed replicate once more, and then no more: the second crash is no accident."""


@dataclass(frozen=True)
class Attempt:
    """One start of a replicate, by one driver."""

    sweep_id: str
    """The driver's sweep."""
    first_step: int
    """Optimiser steps that were done when it began; more than 0 where it continued from a checkpoint."""
    numerics: dict[str, Any]
    """How it computed, as the worker said."""


@dataclass(frozen=True)
class ReportPoint:
    """The metrics of one replicate at one optimiser step."""

    step: int
    time: float
    """Unix seconds."""
    metrics: dict[str, float]


@dataclass
class Replicate:
    """What the journal knows of one configuration with one seed."""

    config_id: str
    seed: int
    status: str | None = None
    """None while it has not ended."""
    starts: int = 0
    reruns: int = 0
    """How often somebody has taken back how it ended, to run it again."""
    ends: int = 0
    """How often it has ended with a result since it was reopened; more than 1 would break `exactly once`."""
    crashes: int = 0
    """Since it was reopened."""
    host: str = ""
    """Machine of the newest attempt."""
    pid: int | None = None
    """Its process there."""
    started_at: float | None = None
    ended_at: float | None = None
    seconds: float | None = None
    """Wall time of the attempt that ended, as the trial measured it."""
    cpu_seconds: float | None = None
    """Processor time of that attempt: what it costs on a machine that is shared."""
    peak_memory_mib: float | None = None
    message: str = ""
    retry: str = ""
    """What its driver has changed to run it once more, after it ran out of memory; empty if it will not."""
    num_ooms: int = 0
    """How often it ran out of memory since it was reopened."""
    num_killed: int = 0
    """How often its process was killed from outside, and not by its driver."""
    cap_mib: int | None = None
    """What the newest attempt may use, its process included; None: no cap."""
    attempts: list[Attempt] = field(default_factory=list)
    """Those that computed the steps that count: one that begins with the first step makes earlier ones void."""
    reports: list[ReportPoint] = field(default_factory=list)
    """Ascending steps; a continued replicate replaces the steps it repeats."""

    @property
    def key(self) -> Key:
        """What names it."""
        return (self.config_id, self.seed)

    @property
    def has_open_attempt(self) -> bool:
        """Whether the newest attempt has said no end: it runs, or its driver has died."""
        return (self.started_at or 0.0) > (self.ended_at or 0.0)

    @property
    def has_ended(self) -> bool:
        """Whether it has an end that stands: a result, or a failure after which nothing has begun or was decided.

        The only answer to this question. Preempted, or out of memory and to be tried with another size, is no end.
        """
        if self.status in RESULTS:
            return True
        return self.status in FAILURES and not self.retry and not self.has_open_attempt

    @property
    def is_pending(self) -> bool:
        """Whether `run` should run it: it has no end, or has crashed and may be tried once more."""
        return not self.has_ended or (self.status == "crashed" and self.crashes < MAX_CRASHES)

    @property
    def numerics(self) -> dict[str, Any]:
        """How the newest attempt computed."""
        return self.attempts[-1].numerics if self.attempts else {}

    @property
    def final_metrics(self) -> dict[str, float]:
        """Metrics of the last report; empty before the first."""
        return self.reports[-1].metrics if self.reports else {}

    def reopened(self, *, anew: bool) -> Replicate:
        """Return the replicate as one that has not ended.

        Args:
            again: The next attempt starts from the first step, so that what was reported counts no more;
                otherwise it may continue from a checkpoint and replaces the steps that it repeats.
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
        """Append `attempt`; nothing remains of the earlier ones if it begins again."""
        if attempt.first_step == 0:
            self.attempts.clear()
        self.attempts.append(attempt)

    def add_report(self, point: ReportPoint) -> None:
        """Append `point`, dropping reports at or after its step that an earlier attempt left."""
        while self.reports and self.reports[-1].step >= point.step:
            self.reports.pop()
        self.reports.append(point)
