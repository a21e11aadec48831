"""The search of each arm on a study's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.records.journal import JournalState
from analysis.report.pages.parts import Cells
from analysis.report.search import tables
from analysis.results.candidates import candidates_of


@dataclass(frozen=True)
class SearchSection:
    """What the page shows of the search of one arm."""

    title: str
    rungs: Cells
    candidates: Cells
    notes: Sequence[str]


def search_sections(state: JournalState) -> list[SearchSection]:
    """Return the searches of the newest sweep; none if it does not search."""
    sections = []
    for found in candidates_of(state):
        headers, right = tables.candidate_headers(found)
        sections.append(
            SearchSection(
                title=tables.headline(found.search),
                rungs=Cells(tables.RUNG_HEADERS, tables.rung_cells(found), tables.RUNG_RIGHT),
                candidates=Cells(headers, tables.candidate_cells(found), right),
                notes=tables.notes(found),
            )
        )
    return sections
