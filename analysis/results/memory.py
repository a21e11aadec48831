"""The memory receipt of a sweep: predicted against measured peaks, utilisation, and trials killed from outside.

A trial that needs more than its reservation ends by itself, with an exception. If a trial's process is killed
from outside instead, by the kernel or by Ray for lack of memory, a co-located trial took memory that was reserved
for it. Reservations are meant to rule that out. A person can also kill a process, so the count is an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate


@dataclass(frozen=True, kw_only=True)
class ArmMemory:
    """The memory of one arm's replicates."""

    arm: str
    predicted_mib: float | None
    reserved_mib: int | None
    """Largest reservation of one of its replicates."""
    measured_mib: float | None
    """Highest measured peak."""
    error: float | None
    """(predicted − measured) / measured: below 0 if the estimate was too low."""
    num_ooms: int


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a sweep reserved and used, and what was killed."""

    arms: tuple[ArmMemory, ...]
    packed_share: float | None
    """Reserved memory × time as a fraction of offered memory × time, from the first start to the last end."""
    num_ooms: int
    """Attempts that ran out of memory within their own reservation."""
    num_recovered: int
    """Replicates that ran out of memory and still ended with a result."""
    num_neighbours_hurt: int
    """Processes that were killed from outside."""

    @property
    def has_losses(self) -> bool:
        """Whether an attempt ran out of memory, or a process was killed from outside."""
        return self.num_ooms > 0 or self.num_neighbours_hurt > 0

    def in_words(self) -> str:
        """Return the receipt as one line of text."""
        known = [arm for arm in self.arms if arm.error is not None]
        parts = []
        if known:
            lowest, highest = (f(arm.error or 0.0 for arm in known) for f in (min, max))
            parts.append(f"estimates {_error_range(lowest, highest)} the measured peaks")
        if self.packed_share is not None:
            parts.append(f"trials were given {self.packed_share:.0%} of the memory on offer")
        if self.num_ooms:
            recovered = f", {self.num_recovered} of them recovered" if self.num_recovered else ""
            parts.append(f"{self.num_ooms} out of memory{recovered}")
        if self.num_neighbours_hurt:
            parts.append(f"{self.num_neighbours_hurt} killed from outside")
        return f"memory: {'; '.join(parts) or 'nothing was measured'}"


def _error_range(lowest: float, highest: float) -> str:
    """Return the range of estimation errors in words."""
    low, high = round(100 * lowest), round(100 * highest)
    if low == high == 0:
        return "within 1% of"
    if low < 0 < high:
        return f"between {-low}% below and {high}% above"
    least, most = sorted((abs(low), abs(high)))
    return f"{least}%{f' to {most}%' if most > least else ''} {'below' if low < 0 else 'above'}"


def receipt(state: JournalState, sweep: SweepInfo) -> Receipt:
    """Return the receipt of a study's replicates.

    Args:
        state: The journal.
        sweep: Its newest description.
    """
    replicates = [replicate for replicate in state.replicates.values() if replicate.starts]
    return Receipt(
        arms=tuple(
            _arm_memory(arm.arm, arm.predicted_memory_mib, [r for r in replicates if r.config_id == arm.config_id])
            for arm in sweep.units
        ),
        packed_share=_packed_share(replicates, sweep.provenance.get("offered_mib")),
        num_ooms=sum(replicate.num_ooms for replicate in replicates),
        num_recovered=sum(1 for r in replicates if r.num_ooms and r.status in {"finished", "diverged"}),
        num_neighbours_hurt=sum(replicate.num_killed for replicate in replicates),
    )


def _arm_memory(arm: str, predicted_mib: float | None, replicates: Iterable[Replicate]) -> ArmMemory:
    replicates = list(replicates)
    peaks = [r.peak_memory_mib for r in replicates if r.status == "finished" and r.peak_memory_mib is not None]
    measured = max(peaks, default=None)
    has_error = predicted_mib is not None and measured
    return ArmMemory(
        arm=arm,
        predicted_mib=predicted_mib,
        reserved_mib=max((r.cap_mib for r in replicates if r.cap_mib is not None), default=None),
        measured_mib=measured,
        error=(predicted_mib - measured) / measured if has_error else None,  # type: ignore[operator]
        num_ooms=sum(replicate.num_ooms for replicate in replicates),
    )


def _packed_share(replicates: Iterable[Replicate], offered_mib: int | None) -> float | None:
    spans = [
        (r.cap_mib * r.numerics.get("workers", 1), r.started_at, r.ended_at)
        for r in replicates
        if r.cap_mib is not None and r.started_at is not None and r.ended_at is not None
    ]
    if not spans or not offered_mib:
        return None
    duration = max(end for _, _, end in spans) - min(start for _, start, _ in spans)
    return sum(cap * (end - start) for cap, start, end in spans) / (offered_mib * duration) if duration else None
