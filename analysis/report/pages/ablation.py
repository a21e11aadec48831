"""The ablation of a study on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.records.journal import JournalState
from analysis.report import ablations
from analysis.report.pages.inline import inline_svg
from analysis.report.pages.parts import Cells, Figure
from analysis.results.ablations import ablation_of


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
