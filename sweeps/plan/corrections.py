"""Correction factors for the memory estimates of a family, from measured peaks."""

from __future__ import annotations

from collections.abc import Iterable

from analysis.records.journal import JournalState
from sweeps.plan.units import PlannedArm
from trainables.config.resources import ResourceConfig

MIN_INCREMENT_MIB = 64.0
"""Below this predicted growth beyond the process, the ratio is dominated by what libraries keep, and unused."""

BOUNDS = (0.8, 3.0)
"""Factors are clipped to these: beyond them, something else has been measured."""


def corrections(
    arms: Iterable[PlannedArm], state: JournalState, device: str, resources: ResourceConfig
) -> dict[str, float]:
    """Return architecture → factor for the growth that its estimates predict beyond the process or context.

    It is the largest ratio of a measured peak to its estimate, over all finished replicates of the family that ran
    on the same device with the same workers, sharding and micro-batch.

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
    """Return the peaks of each configuration in MiB, from finished replicates with the present settings."""
    now = {"device": device, "workers": resources.workers, "sharding": resources.sharding}
    found: dict[str, list[float]] = {}
    for replicate in state.replicates.values():
        then, peak_mib = replicate.numerics, replicate.peak_memory_mib
        # Older journals lack these fields: there a replicate had one worker, on the study's device.
        is_alike = all(then.get(name, value) == value for name, value in now.items())
        is_whole = then.get("micro_batch_size") == resources.micro_batch_size
        if replicate.status == "finished" and peak_mib is not None and is_alike and is_whole:
            found.setdefault(replicate.config_id, []).append(peak_mib)
    return found
