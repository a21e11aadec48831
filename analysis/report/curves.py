"""Learning curves as small multiples: one panel per arm with every seed, and the mean with its t interval.

Many arms in one panel hide each other, so each panel shows only one arm and the baseline's mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.records.journal import JournalState
from analysis.report.plotting import (
    BLUE,
    FAINT,
    GREY,
    INK,
    VERMILLION,
    grid_of_panels,
    headline,
    style,
    written,
)
from analysis.results.curves import Curve, Curves, curves_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN_FROM = 0.2
"""Fraction of training after which the vertical axis fits the curves; the initial fall would flatten them."""
FEWEST_FOR_BAND = 3
"""The interval of two seeds is 13 standard errors wide on either side: its band would fill the panel."""


def learning_curves(state: JournalState, metric: str | None, path: Path) -> list[Path]:
    """Draw a metric against optimiser steps for every arm.

    Args:
        state: The journal.
        metric: Name of the metric, as for `curves_of`.
        path: The figure; its suffix chooses the format (`.svg`, `.png`, `.pdf`).

    Returns:
        The files written: the figure, and the CSV next to it.

    Raises:
        JournalError: If the journal has no description of a sweep.
        ValueError: If the metric is unknown, or no arm reports it at two steps or more.
    """
    found = curves_of(state, metric)
    columns = ("arm", "step", "mean", "ci_low", "ci_high", "null", "seed", "value", "in_mean")
    return written(curves_figure(found), path, columns, _records(found.arms))


def curves_figure(found: Curves, title: str | None = None) -> Figure:
    """Return the figure of `learning_curves`."""
    info = found.metric
    reference = found.reference if found.reference and len(found.reference.means) > 1 else None
    curves = [curve for curve in found.arms if any(len(points) > 1 for points in curve.seeds.values())]
    with style():
        figure, panels = grid_of_panels(len(curves))
        for axes, curve in zip(panels, curves, strict=True):
            _draw(axes, curve, reference)
        notes = _fit(panels, curves)
        split, is_subset, _ = info.name.partition("_subset/")
        if is_subset:
            notes.insert(0, f"{split}_subset: a part of {split}")
        if any(_num_complete(curve) < FEWEST_FOR_BAND for curve in curves):
            notes.append(f"no band of fewer than {FEWEST_FOR_BAND} seeds")
        if any(curve.unfinished for curve in curves):
            notes.append("×: seed failed or not ended, outside the mean")
        subtitle = (
            f"{info.name}: mean and {100 * found.confidence:g} % Student-t band at each step; thin lines: seeds"
        )
        if reference is not None:
            subtitle += f"; dashed: {reference.arm}"
        if any(curve.nulls for curve in curves):
            notes.append("dotted: without structure")
        if untrained := [curve.arm for curve in found.arms if curve not in curves]:
            notes.append(f"not over training: {', '.join(untrained)}")
        headline(figure, title or found.sweep.title, f"{subtitle}\n{'; '.join(notes)}")
        figure.supxlabel("optimiser steps", fontsize=9.5, y=0.05 / figure.get_figheight())
        figure.supylabel(info.unit, fontsize=9.5, x=0.008)
    return figure


def _num_complete(curve: Curve) -> int:
    return len(curve.seeds.keys() - curve.unfinished)


def _draw(axes: Axes, curve: Curve, reference: Curve | None) -> None:
    is_reference = curve is reference
    colour = INK if is_reference else BLUE
    axes.set_title(curve.arm, fontsize=9, loc="left", pad=4, color=INK)
    axes.grid(color=FAINT, linewidth=0.5)
    if reference is not None and not is_reference:
        axes.plot(*_xy(reference.means), color=GREY, linewidth=1.1, linestyle=(0, (4, 2)), zorder=3)
    axes.plot(*_xy(curve.nulls), color=INK, linewidth=1.1, linestyle=(0, (1, 1.5)), zorder=3)
    for seed, points in curve.seeds.items():
        if seed in curve.unfinished:
            axes.plot(*_xy(points), color=VERMILLION, linewidth=0.9, zorder=4)
            axes.plot(*_xy(dict([max(points.items())])), "x", color=VERMILLION, markersize=6, mew=1.6, zorder=5)
        else:
            axes.plot(*_xy(points), color=colour, linewidth=0.5, alpha=0.45, zorder=2)
    has_band = _num_complete(curve) >= FEWEST_FOR_BAND
    bands = {step: interval for step, interval in curve.intervals.items() if interval is not None and has_band}
    lows, highs = [b.low for b in bands.values()], [b.high for b in bands.values()]
    if bands:
        axes.fill_between(list(bands), lows, highs, color=colour, alpha=0.18, linewidth=0, zorder=2)
    axes.plot(*_xy(curve.means), color=colour, linewidth=1.6, zorder=4)


def _fit(panels: Sequence[Axes], curves: Sequence[Curve]) -> list[str]:
    """Fit the vertical axis to the later part of training; return a note if that cuts a curve off."""
    last = max(step for curve in curves for step in curve.means)
    later = [
        value
        for curve in curves
        for points in (curve.means, curve.nulls)
        for step, value in points.items()
        if step >= _SHOWN_FROM * last
    ]
    low, high = min(later), max(later)
    margin = 0.12 * (high - low) or 0.1
    bottom = low - margin
    if bottom < 0 <= low:  # what cannot be below 0 has no room there, but for the line at 0
        bottom = -0.03 * (high + margin)
    panels[0].set_ylim(bottom, high + margin)
    everything = [v for curve in curves for v in curve.means.values()]
    is_cut = min(everything) < bottom or max(everything) > high + margin
    return ["the axis cuts the first steps"] if is_cut else []


def _xy(points: dict[int, float]) -> tuple[list[int], list[float]]:
    return list(points), list(points.values())


def _records(curves: Sequence[Curve]) -> Iterator[tuple[Any, ...]]:
    for curve in curves:
        for seed, points in sorted(curve.seeds.items()):
            for step, value in points.items():
                interval = curve.intervals.get(step)
                bounds = (interval.low, interval.high) if interval else (None, None)
                yield (
                    curve.arm,
                    step,
                    curve.means.get(step),
                    *bounds,
                    curve.nulls.get(step),
                    seed,
                    value,
                    seed not in curve.unfinished,
                )
