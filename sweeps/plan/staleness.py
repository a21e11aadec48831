"""Whether a replicate was computed as it would be computed now: same code, same numerics.

Compared is what decides the bits of a result and is known to the driver: the sources that compute, committed or
not, the versions of the libraries that do, Python, and what the worker was told (device, threads, workers,
micro-batch, sharding, deterministic mode). Every attempt counts whose steps are part of the result. Not compared:
the kind of processor or GPU, since the driver cannot know on which machine a replicate would run now.
"""

from __future__ import annotations

from typing import Any

from sweeps.plan.plan import Plan
from sweeps.store.reader import JournalView
from trainables.code_hash import code_hash

COMPUTING_PACKAGES = ("phasesweep", "torch", "numpy", "transformers", "bitsandbytes")
"""Those that compute or load what is computed with; the others move or store it."""


def changes(plan: Plan, view: JournalView, key: tuple[str, int]) -> list[str]:
    """Return how a replicate was computed otherwise than it would be now, as `torch 2.12 -> 2.13`.

    Args:
        plan: How it would be computed now.
        view: The journal.
        key: (config_id, seed). One that ended before it could start has nothing to compare; in one of an older
            phasesweep, which did not record the sources, git's commit is compared for them.
    """
    now = _of_code(plan.sweep.provenance) | _numerics(plan)
    found: dict[str, None] = {}
    for attempt in view.state.replicates[key].attempts:
        then = _of_code(view.sweeps[attempt.sweep_id].info.provenance) | attempt.numerics
        if view.state.replicates[key].num_ooms:
            then.pop("micro_batch_size", None)  # its driver has halved it, because memory ran out
        if "code" in then:
            then.pop("git_commit", None)  # the code itself tells more than the commit that it is based on
        differing = [name for name, value in now.items() if then.get(name, value) != value]
        found |= {f"{name} {_short(then[name])} -> {_short(now[name])}": None for name in differing}
    return list(found)


def _of_code(provenance: dict[str, Any]) -> dict[str, Any]:
    versions = provenance.get("versions", {})
    known = {name: versions[name] for name in COMPUTING_PACKAGES if name in versions}
    commit = provenance.get("git_commit")
    return known | ({"git_commit": commit} if commit else {})


def _numerics(plan: Plan) -> dict[str, Any]:
    """Return what a worker of this plan would record of its numerics."""
    resources = plan.study.resources
    return {
        "code": code_hash(),
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
