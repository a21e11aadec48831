"""What verbs print with: plain tables for people, an emitter for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.table import Table

Emit = Callable[[Any], None]
"""Prints a value as JSON and nothing else."""


def text_table(*headers: str, right: Iterable[int] = ()) -> Table:
    """Return an empty table without lines; the columns whose numbers are in `right` align right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    aligned = set(right)
    for index, header in enumerate(headers):
        made.add_column(header, justify="right" if index in aligned else "left", overflow="fold")
    return made
