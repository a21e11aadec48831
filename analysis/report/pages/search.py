"""The search of each arm on a study's page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.records.journal import JournalState
from analysis.report.pages.inline import inline_svg
from analysis.report.pages.parts import Cells, Figure
from analysis.report.search import tables
from analysis.report.search.coordinates import coordinates_figure
from analysis.report.search.front import front_figure
from analysis.report.search.importance import importance_figure, importance_notes
from analysis.report.search.rungs import rungs_figure
from analysis.report.search.slices import slices_figure
from analysis.report.search.spending import spending_figure
from analysis.results.candidates import ArmCandidates, by_objective, candidates_of
from analysis.results.importance import ImportanceTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_DRAWN: tuple[tuple[str, Callable[[ArmCandidates], Drawing], str, str], ...] = (
    (
        "rungs",
        rungs_figure,
        "rank of every candidate at every rung",
        "Could a lower rung tell who leads at the next? Lines that cross say no. Where a line ends, others were "
        "better.",
    ),
    (
        "slices",
        slices_figure,
        "score of every candidate along each field",
        "Where does a field matter, and do the best lie at an edge, so that a wider space would be worth it?",
    ),
    (
        "coordinates",
        coordinates_figure,
        "fields and score of every candidate",
        "Which combinations climbed? An axis spans what was tried.",
    ),
    (
        "spending",
        spending_figure,
        "score of the leader by budget spent",
        "Would less have been enough? The leader's line may rise when it gets more seeds: one seed flatters.",
    ),
)
"""Name, figure, what it shows, and the question it answers."""
_FOR_EACH_OBJECTIVE = ("slices", "coordinates")
_FRONT = "What does a candidate give up in one objective for another? Fresh seeds say what is true of the winner."
_NOT_DRAWN = "rungs and spending rank candidates by one number, so they are not drawn for several objectives"


SHOWN = 10
"""Candidates above the fold of a long table."""


@dataclass(frozen=True)
class SearchSection:
    """What the page shows of the search of one arm."""

    title: str
    rungs: Cells
    candidates: Cells
    """The best ones."""
    more: Cells
    """All others."""
    figures: Sequence[Figure]
    notes: Sequence[str]


def search_sections(state: JournalState, importance: ImportanceTable | str) -> list[SearchSection]:
    """Return the searches of the newest sweep; none if it does not search.

    Args:
        state: The journal.
        importance: Of the fields; why there is none, if it cannot be had.
    """
    sections = []
    for place, found in enumerate(candidates_of(state)):
        headers, right = tables.candidate_headers(found)
        cells = tables.candidate_cells(found)
        shown = len(cells) if len(cells) <= 1.5 * SHOWN else SHOWN
        said = [f"which fields matter: {importance}"] if isinstance(importance, str) else []
        said += [_NOT_DRAWN] if found.info.objectives else []
        sections.append(
            SearchSection(
                title=tables.headline(found.search),
                rungs=Cells(tables.RUNG_HEADERS, tables.rung_cells(found), tables.RUNG_RIGHT),
                candidates=Cells(headers, cells[:shown], right),
                more=Cells(headers, cells[shown:], right),
                figures=[*_figures(state, found, place), *_importance(found, place, importance)],
                notes=[*tables.notes(found), *said],
            )
        )
    return sections


def _figures(state: JournalState, found: ArmCandidates, place: int) -> Iterator[Figure]:
    """Yield what can be drawn so far, of several objectives for each."""
    drawn = [(found, f"search{place}-", *one) for one in _DRAWN]
    if found.info.objectives:
        front = ("front", front_figure, "objectives of every candidate", _FRONT)
        drawn = [(found, f"search{place}-", *front)]
        for number, view in enumerate(by_objective(state, found)):
            each = [one for one in _DRAWN if one[0] in _FOR_EACH_OBJECTIVE]
            drawn += [(view, f"search{place}-{number}-", *one) for one in each]
    for view, prefix, name, draw, label, caption in drawn:
        try:
            drawing = draw(view)
        except ValueError:
            continue
        of = f" by {view.info.metric}" if view is not found else ""
        yield Figure(inline_svg(drawing, f"{prefix}{name}", f"{label}{of}, {found.search.arm}"), caption)


def _importance(found: ArmCandidates, place: int, importance: ImportanceTable | str) -> Iterator[Figure]:
    if isinstance(importance, str):
        return
    arm = next(arm for arm in importance.arms if arm.arm == found.search.arm)
    if len(arm.fields) > 1:
        svg = inline_svg(
            importance_figure(importance, [arm]),
            f"search{place}-importance",
            f"importance of the fields, {arm.arm}",
        )
        yield Figure(svg, f"Which fields would a next search need? {'; '.join(importance_notes(arm))}.")
