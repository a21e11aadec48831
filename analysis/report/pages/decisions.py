"""What follows from verdicts, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """What a branch asks for."""

    text: str
    told: str
    """What came out instead, or as well."""
    holds: bool | None
    """None: a claim that it asks for is not judged."""


@dataclass(frozen=True)
class Branch:
    """A rule: it is taken if all its conditions hold."""

    conditions: tuple[Condition, ...]
    then: str
    holds: bool | None


@dataclass(frozen=True)
class Decision:
    """Rules over verdicts, each by itself: several may hold."""

    campaign: str
    title: str
    branches: tuple[Branch, ...]
