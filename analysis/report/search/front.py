"""The Pareto front of a search with several objectives: what each candidate gives up for the others."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from analysis.records.searching import Objective
from analysis.report.plotting import BLUE, FAINT, GREY, INK, WIDTH_INCHES, headline, style
from analysis.results.candidates import ArmCandidates, CandidateRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def front_figure(found: ArmCandidates) -> Figure:
    """Return a figure with a panel for each two objectives, and every candidate in each.

    Raises:
        ValueError: If the search has one objective, or no candidate has all.
    """
    from matplotlib.figure import Figure

    scored = [row for row in reversed(found.rows) if row.objectives]
    pairs = list(itertools.combinations(found.info.objectives, 2))
    if not pairs or not scored:
        raise ValueError(f"the search of {found.search.arm} has no candidate with several objectives to draw yet")
    top, body, bottom = 0.92, 2.4, 0.62
    height = top + body + bottom
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, height))
        panels = figure.subplots(1, len(pairs), squeeze=False)[0]
        figure.subplots_adjust(
            left=0.095, right=0.97, top=1 - top / height, bottom=bottom / height, wspace=0.42
        )  # each panel has an axis of its own
        for axes, (across, up) in zip(panels, pairs, strict=True):
            _panel(axes, scored, across, up)
        headline(
            figure,
            f"What is given up for what: the search of {found.search.arm}",
            "blue: the Pareto front, where none is as good in every objective and better in one; grey: the others\n"
            "diamond: the winner, best of the front in the first objective; means over the search's seeds, so too "
            "good",
        )
    return figure


def _panel(axes: Axes, scored: list[CandidateRow], across: Objective, up: Objective) -> None:
    axes.grid(color=FAINT, linewidth=0.5)
    for row in scored:
        x, y = row.objectives[across.name], row.objectives[up.name]
        if row.is_winner:
            axes.plot([x], [y], "D", color=INK, markersize=7, mew=0, zorder=6)
        elif row.is_on_front:
            axes.plot([x], [y], "o", color=BLUE, markersize=6, mew=0, zorder=5)
        else:
            axes.plot([x], [y], "o", color=GREY, mfc="none", markersize=4.5, mew=0.9, zorder=3)
        if row.is_on_front:
            axes.annotate(
                f"#{row.number}", (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=INK
            )
    axes.margins(0.12)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(_label(across), fontsize=9)
    axes.set_ylabel(_label(up), fontsize=9)


def _label(objective: Objective) -> str:
    return f"{objective.name} ({'lower' if objective.direction == 'minimise' else 'higher'} is better)"
