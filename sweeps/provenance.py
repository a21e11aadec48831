"""Where numbers come from: versions, machine and the git state of the code."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("phasesweep", "torch", "ray", "mlflow", "transformers", "datasets", "bitsandbytes", "numpy", "scipy")


def _git(*arguments: str) -> str | None:
    """Return what git says about this code, or None where it is no git checkout or git is missing."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _is_our_checkout() -> bool:
    """Return whether git speaks of this code: an installed copy may lie inside somebody else's repository."""
    toplevel = _git("rev-parse", "--show-toplevel")
    return toplevel is not None and Path(toplevel).resolve() == Path(__file__).resolve().parent.parent


@cache
def provenance() -> dict[str, Any]:
    """Return versions, machine, and git commit; `git_dirty` says whether the code differs from the commit."""
    ours = _is_our_checkout()
    changes = _git("status", "--porcelain", "--untracked-files=no") if ours else None
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "git_commit": _git("rev-parse", "HEAD") if ours else None,
        "git_dirty": None if changes is None else bool(changes),
    }
