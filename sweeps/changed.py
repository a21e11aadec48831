"""Whether a replicate was computed as it would be computed now: same code, same numerics.

Compared is what decides the bits of a result and is known to the driver: the git commit of phasesweep, the
versions of the libraries that compute, Python, and what the worker was told (device, threads, workers,
micro-batch, sharding, deterministic mode). Not compared: uncommitted changes, since two of them cannot be told
apart, and the kind of processor or card, since the driver cannot know on which machine a replicate would run now.
"""

from __future__ import annotations

from typing import Any

from sweeps.journal_tail import Following
from sweeps.plan import Plan

COMPUTING_PACKAGES = ("phasesweep", "torch", "numpy", "transformers", "bitsandbytes")
"""Those that compute or load what is computed with; the others move or store it."""


def changes(plan: Plan, following: Following, key: tuple[str, int]) -> list[str]:
    """Return how a replicate was computed otherwise than it would be now, as `torch 2.12 -> 2.13`.

    Args:
        plan: How it would be computed now.
        following: The journal.
        key: (config_id, seed). One that ended before it could start has nothing to compare.
    """
    owner = following.owners.get(key)
    if owner is None:
        return []
    sweep = following.sweeps[owner]
    then = _of_code(sweep.info.provenance) | following.state.replicates[key].numerics
    now = _of_code(plan.sweep.provenance) | _numerics(plan)
    return [
        f"{name} {_short(then[name])} -> {_short(value)}"
        for name, value in now.items()
        if then.get(name, value) != value
    ]


def _of_code(provenance: dict[str, Any]) -> dict[str, Any]:
    versions = provenance.get("versions", {})
    known = {name: versions[name] for name in COMPUTING_PACKAGES if name in versions}
    commit = provenance.get("git_commit")
    return known | ({"git_commit": commit} if commit else {})


def _numerics(plan: Plan) -> dict[str, Any]:
    """Return what a worker of this plan would record of its numerics."""
    resources = plan.study.resources
    return {
        "device": plan.device,
        "threads": resources.cpus_per_trial,
        "workers": plan.request.workers,
        "sharding": resources.sharding,
        "micro_batch_size": resources.micro_batch_size,
        "deterministic": resources.deterministic,
        "python": plan.sweep.provenance["python"],
    }


def _short(value: Any) -> str:
    """Return a value as it is told: of a git commit the first digits."""
    text = str(value)
    return text[:10] if len(text) == 40 else text
