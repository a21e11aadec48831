"""What sections of a page consist of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A drawing with what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Cells:
    """A table as it is shown."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[bool]
    title: str = ""
