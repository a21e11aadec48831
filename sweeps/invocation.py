"""How this program was called: every command that it proposes works where this one was typed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

NAME = "phasesweep"


def proposed(*words: str) -> str:
    """Return a command line of this program to type next.

    Args:
        words: The verb, and what follows it.
    """
    return shlex.join([*_called_as(), *words])


def _called_as() -> list[str]:
    """Return how this program was called: by name if that is on the PATH, else as it was typed.

    Another program that calls our functions is proposed the name.
    """
    called = Path(sys.argv[0])
    if called.parts[-2:] == ("sweeps", "__main__.py"):
        return ["python", "-m", "sweeps"]
    if called.name != NAME:
        return [NAME]
    found = shutil.which(called.name)
    if found and Path(found).resolve() == called.resolve():
        return [called.name]
    absolute = called.absolute()
    inside = absolute.is_relative_to(Path.cwd())
    return [str(absolute.relative_to(Path.cwd()) if inside else absolute)]
