"""The verdicts on all published claims in one picture: a line a claim, a mark a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.claims.published import DOCUMENTS, Document, published_id
from analysis.report.plotting import (
    BLUE,
    FAINT,
    GREY,
    INK,
    VERMILLION,
    WIDTH_INCHES,
    headline,
    style,
    written,
)
from analysis.report.sentences import OUTCOMES
from analysis.verdicts.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE_INCHES = 0.185
_TITLE_INCHES, _LEGEND_INCHES, _BOTTOM_INCHES = 0.62, 0.33, 0.05
_COLUMNS: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3))
"""Documents by column, so that both have about as many lines."""
_MARK_STEP = 0.042
"""Distance of two marks, in widths of a column."""
_SETTLED, _INDICATED = 6.5, 4.2
"""Sizes of marks, in points."""

_COLOURS: dict[Outcome, str] = {
    "supported": BLUE,
    "refuted": VERMILLION,
    "inconclusive": INK,
    "not run": GREY,
}


def overview(verdicts: Sequence[Verdict], path: Path) -> list[Path]:
    """Draw the verdicts on all published claims.

    Args:
        verdicts: Of every study; those on versions of no published claim are left out.
        path: The figure; its suffix chooses the format.

    Returns:
        The files written: the figure, and the CSV next to it.
    """
    columns = ("claim", "study", "test", "scale", "verdict", "is_settled")
    rows = [
        (claim.id, verdict.study, verdict.id, verdict.scale, verdict.verdict, verdict.is_settled)
        for document in DOCUMENTS
        for claim in document.claims
        for verdict in _of(claim.id, verdicts)
    ]
    return written(overview_figure(verdicts), path, columns, rows)


def overview_figure(verdicts: Sequence[Verdict], *, is_titled: bool = True) -> Figure:
    """Return the figure of `overview`."""
    from matplotlib.figure import Figure

    num_lines = max(sum(len(DOCUMENTS[index].claims) + 2 for index in column) for column in _COLUMNS)
    top = _LEGEND_INCHES + (_TITLE_INCHES if is_titled else 0.0)
    height = top + _BOTTOM_INCHES + _LINE_INCHES * num_lines
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, height))
        for place, column in enumerate(_COLUMNS):
            bottom, share = _BOTTOM_INCHES / height, _LINE_INCHES * num_lines / height
            axes = figure.add_axes((0.02 + 0.5 * place, bottom, 0.47, share))
            axes.set_xlim(0, 1)
            axes.set_ylim(num_lines, 0)
            axes.set_axis_off()
            line = 0.5
            for index in column:
                line = _draw_document(axes, DOCUMENTS[index], verdicts, line) + 1
        published = [verdict for verdict in verdicts if published_id(verdict.id)]
        if is_titled:
            headline(figure, "Verdicts on 47 published claims", "a line a claim, a mark a declared test of it")
        _legend(figure, published, (height - top) / height, height)
    return figure


def _draw_document(axes: Axes, document: Document, verdicts: Sequence[Verdict], line: float) -> float:
    axes.text(0, line, document.title, fontsize=9, fontweight="bold", va="center", color=INK)
    for claim in document.claims:
        line += 1
        axes.plot([0, 1], [line + 0.5, line + 0.5], color=FAINT, linewidth=0.4)
        axes.text(0, line, claim.id, fontsize=7.5, va="center", color=GREY)
        axes.text(0.062, line, claim.statement, fontsize=7.5, va="center", color=INK)
        tests = sorted(_of(claim.id, verdicts), key=lambda verdict: OUTCOMES.index(verdict.verdict))
        for position, verdict in enumerate(tests):
            _mark(axes, 1 - _MARK_STEP * (len(tests) - position - 0.5), line, verdict.verdict, verdict.is_settled)
    return line + 1


def _of(claim_id: str, verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if published_id(verdict.id) == claim_id]


def _mark(axes: Axes, x: float, y: float, outcome: Outcome, is_settled: bool) -> None:
    """Draw the mark of an outcome: a filled circle, a cross, a half circle, a small ring."""
    colour, size = _COLOURS[outcome], _SETTLED if is_settled else _INDICATED
    if outcome == "refuted":
        axes.plot([x], [y], "x", color=colour, markersize=size, mew=0.32 * size)
    elif outcome == "not run":
        axes.plot([x], [y], "o", color=colour, markersize=3, mfc="none", mew=0.6, alpha=0.8)
    else:
        fill = "full" if outcome == "supported" else "right"
        axes.plot([x], [y], "o", color=colour, markersize=size, fillstyle=fill, markerfacecoloralt="white", mew=0.9)


def _legend(figure: Figure, verdicts: Sequence[Verdict], bottom: float, height: float) -> None:
    axes = figure.add_axes((0.02, bottom + 0.1 / height, 0.96, 0.2 / height))
    axes.set_xlim(0, 1)
    axes.set_ylim(1, -1)
    axes.set_axis_off()
    for place, outcome in enumerate(OUTCOMES):
        count = sum(verdict.verdict == outcome for verdict in verdicts)
        _mark(axes, 0.008 + 0.16 * place, 0, outcome, is_settled=True)
        axes.text(
            0.022 + 0.16 * place, 0, f"{outcome}: {count}", fontsize=8.5, va="center", color=_COLOURS[outcome]
        )
    axes.text(1, 0, "large: settled; small: an indication", fontsize=8.5, va="center", ha="right", color=GREY)
