"""What the linter finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A number that cannot be as it is printed, or does not mean what it is printed for."""

    document: str
    """The document, or the file that was read."""
    line: int | None
    """In that document."""
    rule: str
    text: str
    """What is wrong, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Linted:
    """A document, and what its numbers were found to be."""

    document: str
    title: str
    family: str | None
    """Of published models, whose claims the document makes; None if it makes none."""
    num_checks: int
    """Statements that were checked."""
    findings: tuple[Finding, ...]
