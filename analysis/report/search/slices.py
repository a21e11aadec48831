"""Slices: the score of every candidate along each field, and whether the best lie at an edge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.report.plotting import BLUE, COLUMNS, FAINT, GREY, INK, VERMILLION, WIDTH_INCHES, headline, style
from analysis.report.search.scales import scale_of
from analysis.report.search.tables import short_names
from analysis.results.candidates import ArmCandidates, CandidateRow
from analysis.results.comparison import seeds_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 0.75
"""Share of the scores that the axis always shows; far worse ones stand at its edge."""
_EDGE = 0.04


def slices_figure(found: ArmCandidates) -> Figure:
    """Return a figure with a panel a field: every candidate's score at the first rung.

    Raises:
        ValueError: If no candidate has a score.
    """
    from matplotlib.figure import Figure

    scored = [row for row in reversed(found.rows) if row.scores[0] is not None]
    if not scored:
        raise ValueError(f"the search of {found.search.arm} has no score to draw yet")
    fields = found.search.fields
    rows = math.ceil(len(fields) / COLUMNS)
    columns = max(2, math.ceil(len(fields) / rows))
    top, bottom, panel = 1.02, 0.52, 1.9
    height = top + bottom + panel * rows
    low, high, is_cut = _limits(found)
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, height))
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        figure.subplots_adjust(
            left=0.095, right=0.985, top=1 - top / height, bottom=bottom / height, wspace=0.1, hspace=0.55
        )
        panels = list(grid.flat)
        for unused in panels[len(fields) :]:
            unused.set_visible(False)
        for axes, field, name in zip(panels, fields, short_names(fields), strict=False):
            _panel(axes, found, scored, field, (low, high))
            axes.set_title(name, fontsize=9, loc="left", pad=4, color=INK)
        panels[0].set_ylim(low, high)
        for inner in grid[:, 1:].flat:
            inner.tick_params(axis="y", length=0)
        _describe(figure, found, is_cut)
    return figure


def _describe(figure: Figure, found: ArmCandidates, is_cut: bool) -> None:
    rung, info = found.info.rungs[0], found.info
    name = info.metric if rung.steps == info.last_step else info.subset_metric
    seeds = seeds_in_words(rung.seeds)
    said = ["hollow: stayed at rung 0", "filled: climbed"]
    said += ["diamond: the winner"] if any(row.is_winner for row in found.rows) else []
    said += ["×: failed"] if any(row.has_failed for row in found.rows) else []
    said += ["triangle: far worse, beyond the axis"] if is_cut else []
    better = "lower" if info.direction == "minimise" else "higher"
    headline(
        figure,
        f"Scores of the candidates of {found.search.arm} along each field",
        f"{name} after {rung.steps:,} steps with {seeds}, {better} is better; {'; '.join(said[:2])}\n"
        f"{'; '.join(said[2:])}",
    )
    figure.supylabel(found.unit, fontsize=9, x=0.008)


def _limits(found: ArmCandidates) -> tuple[float, float, bool]:
    """Return the limits of the axis, and whether far worse scores lie beyond it."""
    sign = -1.0 if found.info.direction == "maximise" else 1.0
    losses = sorted(sign * row.scores[0].mean for row in found.rows if row.scores[0] is not None)
    middle = losses[int(_SHOWN * (len(losses) - 1))]
    is_cut = losses[-1] - losses[0] > 3 * (middle - losses[0]) > 0
    worst = losses[0] + 1.5 * (middle - losses[0]) if is_cut else losses[-1]
    margin = 0.1 * (worst - losses[0]) or 0.1
    ends = sorted((sign * (losses[0] - margin), sign * (worst + margin)))
    return ends[0], ends[1], is_cut and losses[-1] > worst + margin


def _panel(
    axes: Axes, found: ArmCandidates, scored: list[CandidateRow], field: str, limits: tuple[float, float]
) -> None:
    scale = scale_of(found, field)
    axes.grid(color=FAINT, linewidth=0.5)
    if not scale.values:
        return
    for row in scored:
        score = row.scores[0]
        if field in row.point and score is not None:
            _mark(axes, row, scale.at(row.point[field]), score.mean, limits)
    failed = [
        scale.at(row.point[field])
        for row in found.rows
        if row.has_failed and row.rung is None and field in row.point
    ]
    worst = limits[1] if found.info.direction == "minimise" else limits[0]
    axes.plot(failed, [worst] * len(failed), "x", color=VERMILLION, markersize=6, mew=1.5, zorder=5, clip_on=False)
    axes.set_xticks(*scale.ticks(4), fontsize=8)
    axes.set_xlim(-_EDGE, 1 + _EDGE)


def _mark(axes: Axes, row: CandidateRow, x: float, y: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= y <= high:
        up = y > high
        axes.plot([x], [high if up else low], "^" if up else "v", color=GREY, markersize=5, mew=0, clip_on=False)
    elif row.is_winner:
        axes.plot([x], [y], "D", color=INK, markersize=7, mew=0, zorder=6)
    elif row.has_failed:
        axes.plot([x], [y], "x", color=VERMILLION, markersize=6, mew=1.5, zorder=5)
    elif (row.rung or 0) > 0:
        axes.plot([x], [y], "o", color=BLUE, markersize=5.5, mew=0, alpha=0.85, zorder=4)
    else:
        axes.plot([x], [y], "o", color=GREY, mfc="none", markersize=4.5, mew=0.9, zorder=3)
