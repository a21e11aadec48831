"""Parallel coordinates: where in the space the candidates lie that climbed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.report.plotting import BLUE, GREY, INK, VERMILLION, WIDTH_INCHES, headline, style
from analysis.report.search.scales import FieldScale, scale_of
from analysis.report.search.tables import short_names
from analysis.report.tables import decimals_of, format_number
from analysis.results.candidates import ArmCandidates, CandidateRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ABSENT = -0.14
"""Height of a field that has no effect in a candidate."""
_WORST = 0.75
"""Share of the scores that the last axis shows by their value; worse ones stand at its foot."""


def coordinates_figure(found: ArmCandidates) -> Figure:
    """Return a figure with a line a candidate through its fields to its score at the first rung.

    Raises:
        ValueError: If no candidate has a score, or a single field varies: then the slices say it all.
    """
    from matplotlib.figure import Figure

    fields = found.search.fields
    if len(fields) < 2 or not any(row.scores[0] for row in found.rows):
        raise ValueError(f"the search of {found.search.arm} has no two fields with a score to draw yet")
    scales = [scale_of(found, field) for field in fields]
    top, body, bottom = 0.86, 2.6, 0.62
    height = top + body + bottom
    has_absent = any(field not in row.point for row in found.rows for field in fields)
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, height))
        axes = figure.add_axes((0.095, bottom / height, 0.80, body / height))
        scores = _ScoreScale(found)
        for row in reversed(found.rows):
            _draw(
                axes, row, [_place(scale, row, field) for scale, field in zip(scales, fields, strict=True)], scores
            )
        for index, scale in enumerate(scales):
            _axis(axes, index, *scale.ticks(4))
        _axis(axes, len(fields), *scores.ticks())
        rung = found.info.rungs[0]
        names = [*short_names(fields), f"score after\n{rung.steps:,} steps"]
        axes.set_xticks(range(len(names)), names, fontsize=9)
        axes.tick_params(axis="x", length=0, pad=6)
        axes.set_yticks([])
        axes.set_xlim(0, len(fields) + 0.001)
        axes.set_ylim(_ABSENT - 0.03 if has_absent else -0.04, 1.04)
        axes.spines["bottom"].set_visible(False)
        headline(
            figure, f"Where in the space candidates of {found.search.arm} climbed", _subtitle(found, has_absent)
        )
    return figure


def _subtitle(found: ArmCandidates, has_absent: bool) -> str:
    said = ["better scores on top", "grey: stayed at rung 0", "blue: climbed, thicker the higher"]
    said += ["diamonds: the winner"] if any(row.is_winner for row in found.rows) else []
    said += ["dashed red: failed"] if any(row.has_failed for row in found.rows) else []
    said += ["below an axis: no effect"] if has_absent else []
    return "; ".join(said)


class _ScoreScale:
    """The axis of scores: the worse quarter, which would flatten the others, stands at its foot."""

    def __init__(self, found: ArmCandidates) -> None:
        sign = -1.0 if found.info.direction == "maximise" else 1.0
        losses = sorted(sign * row.scores[0].mean for row in found.rows if row.scores[0] is not None)
        self._sign, self._best = sign, losses[0]
        middle = losses[int(_WORST * (len(losses) - 1))]
        is_far = losses[-1] - self._best > 3 * (middle - self._best) > 0
        self._worst, self._is_cut = (middle, True) if is_far else (losses[-1], False)

    def at(self, score: float) -> float:
        if self._worst == self._best:
            return 0.5
        foot = 0.08 if self._is_cut else 0.0
        share = (self._sign * score - self._best) / (self._worst - self._best)
        return 0.0 if share > 1 else 1 - (1 - foot) * share

    def ticks(self) -> tuple[list[float], list[str]]:
        decimals = decimals_of(self._best)
        shown = [self._best, (self._best + self._worst) / 2, self._worst]
        labels = [format_number(self._sign * each, decimals) for each in shown]
        places = [self.at(self._sign * each) for each in shown]
        return ([*places, 0.0], [*labels, "worse"]) if self._is_cut else (places, labels)


def _place(scale: FieldScale, row: CandidateRow, field: str) -> float:
    return scale.at(row.point[field]) if field in row.point else _ABSENT


def _draw(axes: Axes, row: CandidateRow, places: list[float], scores: _ScoreScale) -> None:
    score = row.scores[0]
    if score is not None:
        places = [*places, scores.at(score.mean)]
    rung, xs = row.rung or 0, range(len(places))
    if row.has_failed:
        axes.plot(xs, places, color=VERMILLION, linewidth=0.9, linestyle=(0, (4, 2)), zorder=2)
        axes.plot(xs[-1:], places[-1:], "x", color=VERMILLION, markersize=6, mew=1.5, zorder=5, clip_on=False)
    elif row.is_winner:
        axes.plot(xs, places, color=INK, linewidth=2.4, zorder=6)
        axes.plot(xs, places, "D", color=INK, markersize=5.5, mew=0, zorder=6, clip_on=False)
    elif rung > 0:
        axes.plot(xs, places, color=BLUE, linewidth=0.7 + 0.5 * rung, alpha=0.8, zorder=3 + rung / 10)
    else:
        axes.plot(xs, places, color=GREY, linewidth=0.7, alpha=0.5, zorder=2)


def _axis(axes: Axes, x: float, places: list[float], labels: list[str]) -> None:
    axes.plot([x, x], [0, 1], color=GREY, linewidth=0.9, zorder=4, clip_on=False)
    for place, label in zip(places, labels, strict=True):
        axes.plot([x], [place], "_", color=GREY, markersize=6, zorder=4, clip_on=False)
        text = axes.annotate(
            label, (x, place), xytext=(-5 if x == 0 else 5, 0), textcoords="offset points", va="center", fontsize=8,
            ha="right" if x == 0 else "left", color=INK, zorder=7, annotation_clip=False,
        )  # fmt: skip
        if x > 0:
            text.set_bbox({"facecolor": "#ffffff", "alpha": 0.75, "linewidth": 0, "pad": 0.8})
