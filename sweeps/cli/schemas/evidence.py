"""Types of what `lint --json` prints."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on only

from sweeps.cli.schemas.planning import Count, Text


class FindingJson(TypedDict):
    """A number that cannot be as it is printed, or does not mean what it is printed for."""

    line: Count | None
    """In the document; null if that is not known."""
    rule: Text
    text: Text
    """What is wrong, in a sentence."""


class LintedJson(TypedDict):
    """A document whose numbers were checked."""

    document: Text
    title: Text
    checks: Count
    """Statements that were checked."""
    findings: list[FindingJson]


class LintJson(TypedDict):
    """What is wrong with reported numbers."""

    documents: list[LintedJson]
