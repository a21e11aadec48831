"""Where numbers come from: versions, machine and the git state of the code."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

PACKAGES = ("phasesweep", "torch", "ray", "mlflow", "transformers", "datasets", "bitsandbytes", "numpy", "scipy")
SUBMITTED_FROM = "PHASESWEEP_SUBMITTED_FROM"
"""Variable by which `submit` passes the git state of the submitter's checkout to a job, which runs in a copy."""


ROOT = Path(__file__).resolve().parents[2]
"""The checkout, or `site-packages`."""


def _git(*arguments: str) -> str | None:
    """Return the output of git on this code, or None outside a git checkout or without git."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _is_our_checkout() -> bool:
    """Return whether the git repository is phasesweep's: an installed copy may lie inside another repository."""
    toplevel = _git("rev-parse", "--show-toplevel")
    return toplevel is not None and Path(toplevel).resolve() == ROOT


def git_state() -> dict[str, Any]:
    """Return `git_commit` and `git_dirty` (whether the code differs from it); None where no commit is known."""
    if not _is_our_checkout():
        told = os.environ.get(SUBMITTED_FROM)
        return json.loads(told) if told else {"git_commit": None, "git_dirty": None}
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": None if changes is None else bool(changes),
    }


def local_changes() -> str:
    """Return what the checkout changes against its commit, as a diff; empty outside of our checkout."""
    return (_git("diff", "HEAD") or "") if _is_our_checkout() else ""


@cache
def provenance() -> dict[str, Any]:
    """Return the versions of installed packages, the machine, and the git state."""
    return {
        "versions": _versions(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **git_state(),
    }


def _versions() -> dict[str, str]:
    """Return the versions of `PACKAGES`; phasesweep itself may run from a folder without being installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            if name != "phasesweep":
                raise
    return found


def packages() -> list[str]:
    """Return `name==version` of every package that is installed, by name."""
    return sorted({f"{package.name}=={package.version}" for package in distributions()}, key=str.lower)
