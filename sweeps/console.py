"""What verbs print with: plain tables for people, an emitter for JSON."""

from __future__ import annotations

import math
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

Emit = Callable[[Any], None]
"""Prints a value as JSON and nothing else."""


class Output(NamedTuple):
    """Where a verb prints: text for people, or one JSON value and nothing else."""

    console: Console
    emit: Emit | None = None
    """Prints JSON; None to print text."""

    @property
    def beside(self) -> Console:
        """Where text goes that is printed in either case: standard error where JSON is printed."""
        return Console(stderr=True, soft_wrap=True, highlight=False) if self.emit else self.console

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line of text; nothing where JSON is printed."""
        if self.emit is None:
            self.console.print(text, markup=False, style=style)

    def show(self, value: Any, text: Callable[[Console], None]) -> None:
        """Print a result as JSON, or call the function that prints it as text."""
        if self.emit is not None:
            self.emit(value)
        else:
            text(self.console)


def text_table(*headers: str, right: Iterable[int] = ()) -> Table:
    """Return an empty table without lines; the columns whose numbers are in `right` align right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    aligned = set(right)
    for index, header in enumerate(headers):
        made.add_column(header, justify="right" if index in aligned else "left", overflow="fold")
    return made


def without_infinities(value: Any) -> tuple[Any, int]:
    """Return `value` with null for every NaN and infinity, which JSON does not have, and how many there were.

    Dataclasses become mappings.
    """
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, float):
        return (value, 0) if math.isfinite(value) else (None, 1)
    if isinstance(value, dict):
        pairs = {key: without_infinities(item) for key, item in value.items()}
        return {key: item for key, (item, _) in pairs.items()}, sum(count for _, count in pairs.values())
    if isinstance(value, list | tuple):
        items = [without_infinities(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    return value, 0


def format_duration(seconds: float) -> str:
    """Return `less than a second`, `42 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = round(seconds)
    if whole < 1:
        return "less than a second"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_mib(mib: float) -> str:
    """Return `0 MiB`, `<0.1 MiB`, `0.4 MiB`, `12 MiB` or `3.4 GiB`."""
    if mib < 0.1:
        return "<0.1 MiB" if mib else "0 MiB"
    if mib >= 1024:
        return f"{mib / 1024:,.1f} GiB"
    return f"{mib:.0f} MiB" if mib >= 10 else f"{mib:.1f} MiB"


NAME = "phasesweep"


def proposed(*words: str) -> str:
    """Return a command line of this program, for a message to propose.

    Args:
        words: The verb, and what follows it.
    """
    return shlex.join([*_called_as(), *words])


def _called_as() -> list[str]:
    """Return how this program was called: by name if that is on the PATH, else as it was typed.

    Where another program calls our functions, it is the name.
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
