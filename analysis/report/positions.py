"""Figures of a metric over positions: by band of a long text, and by length and depth of a retrieval task.

Both show a panel an arm, the baseline first, and write their data as CSV next to the figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.description import JournalError
from analysis.records.journal import JournalState
from analysis.report.plotting import BLUE, FAINT, GREY, INK, grid_of_panels, headline, style, written
from analysis.results.arms import summarise
from analysis.results.table import ResultRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class _Parts:
    """A metric that is reported for parts of what is scored."""

    title: str
    metric: str
    unit: str
    arms: dict[str, dict[tuple[int, ...], ResultRow]]
    """{arm: {numbers in the part's name: result}}, the baseline first, parts in order."""


def by_band(state: JournalState, metric: str | None, path: Path) -> list[Path]:
    """Draw the mean and interval of a metric in each band of a text; a band is as long as a training sequence.

    Args:
        state: The journal.
        metric: The metric whose bands are drawn, as `test/bits_per_byte`; None: the primary one.
        path: The figure; its suffix chooses the format.

    Returns:
        The files written: the figure, and the CSV next to it.

    Raises:
        JournalError: If the journal has no description of a sweep.
        ValueError: If the study has no bands of this metric.
    """
    found = _parts(state, metric, r"_band_(\d+)")
    first = next(iter(found.arms))
    means = {
        arm: {band: row.mean for (band,), row in rows.items() if row.mean is not None}
        for arm, rows in found.arms.items()
    }

    def draw(axes: Axes, arm: str) -> None:
        colour = INK if arm == first else BLUE
        axes.grid(color=FAINT, linewidth=0.5)
        axes.plot(list(means[first]), list(means[first].values()), color=GREY, linewidth=1.1, linestyle=(0, (4, 2)))
        axes.plot(list(means[arm]), list(means[arm].values()), color=colour, linewidth=1.6)
        rows = {band: row for (band,), row in found.arms[arm].items() if row.ci_low is not None}
        lows, highs = ([getattr(row, end) for row in rows.values()] for end in ("ci_low", "ci_high"))
        axes.fill_between(list(rows), lows, highs, color=colour, alpha=0.2, linewidth=0)

    return _figure(
        found,
        path,
        draw,
        subtitle=f"mean over seeds, 95 % interval; bands are as long as a training sequence\ndashed: {first}",
        labels=("band", f"{found.metric} ({found.unit})"),
        numbers=("band",),
    )


def by_cell(state: JournalState, metric: str | None, path: Path) -> list[Path]:
    """Draw the mean of a rate by length and depth, a heat map an arm.

    Args:
        state: The journal.
        metric: The metric whose cells are drawn, as `val/niah_exact_match`; None: the primary one.
        path: The figure; its suffix chooses the format.

    Returns:
        The files written: the figure, and the CSV next to it.

    Raises:
        JournalError: If the journal has no description of a sweep.
        ValueError: If the study has no such cells.
    """
    found = _parts(state, metric, r"_length_(\d+)_depth_(\d+)")
    cells = next(iter(found.arms.values()))
    lengths, depths = (sorted({cell[axis] for cell in cells}) for axis in (0, 1))

    def draw(axes: Axes, arm: str) -> None:
        _heat_map(axes, [[found.arms[arm][length, depth].mean for length in lengths] for depth in depths])
        axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths], fontsize=7)
        axes.set_yticks(range(len(depths)), [f"{depth} %" for depth in depths])

    return _figure(
        found,
        path,
        draw,
        subtitle="mean over seeds by length of the text and depth in it; white 0, blue 1",
        labels=("length (tokens)", "depth"),
        numbers=("length", "depth"),
    )


def _parts(state: JournalState, metric: str | None, pattern: str) -> _Parts:
    if state.sweep is None:
        raise JournalError("the journal has no `sweep` line, so nothing says what its numbers mean")
    metric = metric or state.sweep.primary_metric
    names = re.compile(re.escape(metric) + pattern)
    parts = {
        tuple(map(int, part.groups())): part[0] for m in state.sweep.metrics if (part := names.fullmatch(m.name))
    }
    if not parts:
        raise ValueError(f"study '{state.sweep.study}' reports {metric} as a whole, not by position")
    tables = {numbers: summarise(state, name) for numbers, name in sorted(parts.items())}
    arms: dict[str, dict[tuple[int, ...], ResultRow]] = {}
    for numbers, table in tables.items():
        for row in table.rows:
            arms.setdefault(row.arm, {})[numbers] = row
    return _Parts(f"{state.sweep.study}: {metric} by position", metric, next(iter(tables.values())).unit, arms)


def _figure(
    found: _Parts,
    path: Path,
    draw: Callable[[Axes, str], None],
    *,
    subtitle: str,
    labels: tuple[str, str],
    numbers: tuple[str, ...],
) -> list[Path]:
    with style():
        figure, panels = grid_of_panels(len(found.arms))
        for axes, arm in zip(panels, found.arms, strict=True):
            axes.set_title(arm, fontsize=9, loc="left", pad=4, color=INK)
            draw(axes, arm)
        headline(figure, found.title, subtitle)
        figure.supxlabel(labels[0], fontsize=9.5, y=0.05 / figure.get_figheight())
        figure.supylabel(labels[1], fontsize=9.5, x=0.008)
    records = (
        (arm, *part, row.mean, row.ci_low, row.ci_high, row.n)
        for arm, rows in found.arms.items()
        for part, row in rows.items()
    )
    return written(figure, path, ("arm", *numbers, "mean", "ci_low", "ci_high", "n"), records)


def _heat_map(axes: Axes, values: Sequence[Sequence[float | None]]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("share", ["white", BLUE])
    shown = [[float("nan") if value is None else value for value in row] for row in values]
    axes.imshow(shown, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            colour = "white" if value is not None and value > 0.6 else INK
            text = "–" if value is None else f"{value:.2f}"
            axes.text(x, y, text, ha="center", va="center", fontsize=7, color=colour)
