"""Whether a replicate was computed as it would be computed now: same code, same numerics.

Compared is what determines the bits of a result and is known to the driver: the sources that compute (committed or
not), the versions of the libraries that compute, Python, and the worker's settings (device, threads, workers,
micro-batch, sharding, deterministic mode), for every attempt whose steps are part of the result. The kind of
processor or GPU is not compared, since the driver cannot know on which node a replicate would run now.
"""

from __future__ import annotations

from typing import Any

from sweeps.plan.plan import Plan
from sweeps.store.reader import JournalView
from trainables.code_hash import code_hash

COMPUTING_PACKAGES = ("phasesweep", "torch", "numpy", "transformers", "bitsandbytes")
"""Packages that compute or load data; the others move or store them."""


def changes(plan: Plan, view: JournalView, key: tuple[str, int]) -> list[str]:
    """Return the differences between how a replicate was computed and how it would be now, as `torch 2.12 -> 2.13`.

    Args:
        plan: How it would be computed now.
        view: The journal.
        key: (config_id, seed). A replicate that ended before it started has nothing to compare. Older versions of
            phasesweep did not record the sources: there git's commit is compared instead.
    """
    now = _of_code(plan.sweep.provenance) | _numerics(plan)
    found: dict[str, None] = {}
    for attempt in view.state.replicates[key].attempts:
        then = _of_code(view.sweeps[attempt.sweep_id].info.provenance) | attempt.numerics
        if view.state.replicates[key].num_ooms:
            then.pop("micro_batch_size", None)  # its driver has halved it after an out-of-memory
        if "code" in then:
            then.pop("git_commit", None)  # the hash of the code is more exact than the commit
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
    """Format a value; a git commit is cut to its first digits."""
    text = str(value)
    return text[:10] if len(text) == 40 else text
