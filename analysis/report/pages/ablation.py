"""The ablation of a study on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.records.journal import JournalState
from analysis.report import ablations
from analysis.report.pages.inline import inline_svg
from analysis.report.pages.parts import Cells, Figure
from analysis.report.search import path
from analysis.results.ablations import ablation_of
from analysis.results.search.path import PathTable, path_table


@dataclass(frozen=True)
class AblationSection:
    """What the page shows of an ablation."""

    title: str
    effects: Cells
    figure: Figure | None
    """None before there is an effect."""
    notes: Sequence[str]


def ablation_section(state: JournalState) -> AblationSection | None:
    """Return the ablation of the newest sweep; None if it has none."""
    if state.sweep is not None and state.sweep.search is not None and state.sweep.search.path:
        return _path_section(path_table(state, state.sweep.search))
    if state.sweep is None or state.sweep.ablation is None:
        return None
    table = ablation_of(state, state.sweep.ablation)
    figure = None
    if any(row.effect is not None for row in ablations.rows(table)):
        svg = inline_svg(ablations.effects_figure(table, "What each component does"), "ablation", "effects")
        figure = Figure(svg, "Diamond and bar: effect with interval. Below the line: interactions, placebos.")
    return AblationSection(
        title=ablations.title(table),
        effects=Cells(ablations.HEADERS, ablations.cells(table), ablations.RIGHT_ALIGNED),
        figure=figure,
        notes=ablations.notes(table),
    )


def _path_section(table: PathTable) -> AblationSection:
    figure = None
    if any(row.mean is not None for row in table.rows):
        svg = inline_svg(path.path_figure(table), "path", "the path to the winner")
        figure = Figure(svg, "Which of the winner's settings matter, in the order in which they were taken over?")
    return AblationSection(
        title=path.title(table),
        effects=Cells(path.headers(table), path.cells(table), path.RIGHT_ALIGNED),
        figure=figure,
        notes=path.notes(table),
    )
