"""Regret against budget, as a figure: a panel for each strategy of simulated searches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.report.plotting import BLUE, FAINT, GREY, INK, grid_of_panels, headline, style
from analysis.statistics.regret import RegretPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("strategy", "spent_replicates", "regret_median", "regret_quartile_low", "regret_quartile_high")

Curves = Mapping[str, Sequence[RegretPoint]]
"""By strategy."""


def regret_figure(curves: Curves, *, title: str, searches: int, world: str) -> Figure:
    """Return a figure with a panel a strategy, the others in grey behind it.

    Args:
        curves: One of each strategy.
        title: Of the figure.
        searches: Of each strategy.
        world: In words.

    Raises:
        ValueError: If nothing is known, or no regret differs from 0, as where no candidate is better than another.
    """
    known = [point for curve in curves.values() for point in curve if point.median is not None]
    if not any(point.quartile_high for point in known):
        raise ValueError("no search has any regret in these worlds, so there is nothing to draw")
    with style():
        figure, panels = grid_of_panels(len(curves), top=1.28)
        for axes, name in zip(panels, curves, strict=True):
            _panel(axes, curves, name)
            axes.set_title(name.replace(", ", ",\n", 1), fontsize=9, loc="left", color=INK)
        panels[0].set_ylim(0, 1.05 * max(point.quartile_high or 0.0 for point in known))
        panels[0].set_xlim(0, 1.02 * max(point.spent for point in known))
        figure.supxlabel("spent (replicates of all steps)", fontsize=9, y=0.02)
        figure.supylabel("regret", fontsize=9, x=0.012)
        headline(
            figure,
            title,
            "regret: how much worse the leader truly is than the best possible, in standard deviations over the "
            f"space\nline: median of {searches} searches, band: quartiles, dot: all are over; grey: the other "
            f"strategies; {world}",
        )
    return figure


def records(curves: Curves) -> Iterator[tuple[Any, ...]]:
    """Yield the figure's data, under `COLUMNS`."""
    for name, curve in curves.items():
        for point in curve:
            yield name, point.spent, point.median, point.quartile_low, point.quartile_high


def _panel(axes: Axes, curves: Curves, own: str) -> None:
    axes.grid(color=FAINT, linewidth=0.6)
    for name, curve in curves.items():
        known = [(point.spent, point.median) for point in curve if point.median is not None]
        spent, medians = [at for at, _ in known], [median for _, median in known]
        if name != own:
            axes.plot(spent, medians, color=GREY, linewidth=0.8, alpha=0.6, drawstyle="steps-post", zorder=2)
            continue
        axes.plot(spent, medians, color=BLUE, linewidth=1.8, drawstyle="steps-post", zorder=4)
        axes.plot(spent[-1:], medians[-1:], "o", color=BLUE, markersize=5, mew=0, zorder=5)
        band = [point for point in curve if point.quartile_high is not None]
        low, high = ([getattr(point, end) for point in band] for end in ("quartile_low", "quartile_high"))
        axes.fill_between(
            [point.spent for point in band], low, high, step="post", color=BLUE, alpha=0.2, linewidth=0, zorder=3
        )
