"""What measured peaks teach about the estimates of a family."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from sweeps.plan.plan import PlannedArm

MIN_INCREMENT_MIB = 64.0
"""Below this predicted growth beyond the process, what libraries keep decides the ratio, and it says nothing."""

BOUNDS = (0.8, 3.0)
"""A correction beyond these is no correction: something else has been measured."""


def corrections(arms: Iterable[PlannedArm], state: JournalState, micro_batch_size: int | None) -> dict[str, float]:
    """Return architecture → factor for the growth that its estimates predict beyond the process or context.

    It is the largest ratio of a measured peak to its estimate, over all finished replicates of the family.

    Args:
        arms: The arms with their estimates.
        state: The journal.
        micro_batch_size: What the study asks for: peaks of a smaller one, after an out-of-memory, do not count.
    """
    factors: dict[str, float] = {}
    for planned in arms:
        predicted_mib = planned.memory.total_mib - planned.memory.context_mib
        if predicted_mib < MIN_INCREMENT_MIB:
            continue
        name = planned.config.architecture.name
        for replicate in _finished(planned, state, micro_batch_size):
            ratio = ((replicate.peak_memory_mib or 0.0) - planned.memory.context_mib) / predicted_mib
            lowest, highest = BOUNDS
            factors[name] = max(factors.get(name, lowest), min(ratio, highest))
    return factors


def _finished(planned: PlannedArm, state: JournalState, micro_batch_size: int | None) -> Iterable[Replicate]:
    for replicate in state.replicates.values():
        if (
            replicate.config_id == planned.config_id
            and replicate.status == "finished"
            and replicate.peak_memory_mib is not None
            and replicate.numerics.get("micro_batch_size") == micro_batch_size
        ):
            yield replicate
