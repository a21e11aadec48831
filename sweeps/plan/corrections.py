"""What measured peaks teach about the estimates of a family."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.records.journal import JournalState
from sweeps.plan.plan import PlannedArm
from trainables.config.resources import ResourceConfig

MIN_INCREMENT_MIB = 64.0
"""Below this predicted growth beyond the process, what libraries keep decides the ratio, and it says nothing."""

BOUNDS = (0.8, 3.0)
"""A correction beyond these is no correction: something else has been measured."""


def corrections(
    arms: Iterable[PlannedArm], state: JournalState, device: str, resources: ResourceConfig
) -> dict[str, float]:
    """Return architecture → factor for the growth that its estimates predict beyond the process or context.

    It is the largest ratio of a measured peak to its estimate, over all finished replicates of the family that ran
    as replicates would run now: a peak of host memory says nothing of a GPU, nor one of two workers of a whole.

    Args:
        arms: The arms with their estimates.
        state: The journal.
        device: `cpu` or `cuda`.
        resources: What the study asks for: peaks of a smaller micro-batch, after an out-of-memory, do not count.
    """
    measured = _measured(state, device, resources)
    factors: dict[str, float] = {}
    for planned in arms:
        predicted_mib = planned.memory.total_mib - planned.memory.context_mib
        if predicted_mib < MIN_INCREMENT_MIB:
            continue
        name = planned.config.architecture.name
        for peak_mib in measured.get(planned.config_id, ()):
            ratio = (peak_mib - planned.memory.context_mib) / predicted_mib
            lowest, highest = BOUNDS
            factors[name] = max(factors.get(name, lowest), min(ratio, highest))
    return factors


def _measured(state: JournalState, device: str, resources: ResourceConfig) -> dict[str, list[float]]:
    """Return the peaks of each configuration in MiB, of finished replicates that ran on what there is now."""
    now = {"device": device, "workers": resources.workers, "sharding": resources.sharding}
    found: dict[str, list[float]] = {}
    for replicate in state.replicates.values():
        then, peak_mib = replicate.numerics, replicate.peak_memory_mib
        # Journals of before these were recorded know one worker only, on what the study ran on.
        is_alike = all(then.get(name, value) == value for name, value in now.items())
        is_whole = then.get("micro_batch_size") == resources.micro_batch_size
        if replicate.status == "finished" and peak_mib is not None and is_alike and is_whole:
            found.setdefault(replicate.config_id, []).append(peak_mib)
    return found
