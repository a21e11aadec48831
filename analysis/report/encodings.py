"""Figures of encodings of positions: similarity by lag, spectrum, discrepancy, a panel an encoding.

Every function takes the columns of its table by encoding, and returns the files it wrote: the figure and, as CSV,
its data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.report.plotting import BLUE, FAINT, INK, grid_of_panels, headline, style, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Columns = Mapping[str, Sequence[Sequence[float]]]
"""By encoding: one list for each column."""

SMALLEST_POWER = 1e-9
"""Below this a spectrum is rounding errors of the transform."""


def similarity_by_lag(columns: Columns, path: Path) -> list[Path]:
    """Draw how alike two positions are by how far they are apart: lag, lowest and highest similarity in a bin."""

    def draw(axes: Axes, lags: Any, lowest: Any, highest: Any) -> None:
        axes.set_xscale("log")
        axes.axhline(0, color=INK, linewidth=0.6, zorder=1)
        axes.fill_between(lags, lowest, highest, color=BLUE, linewidth=0.4, step="post", zorder=2)

    return _figure(
        columns,
        path,
        title="How alike two positions are",
        subtitle="lowest and highest mean cosine within a bin of lags; 1: the encoding cannot tell them apart",
        axis_labels=("lag (positions)", "cosine similarity"),
        names=("encoding", "lag", "lowest", "highest"),
        draw=draw,
    )


def spectrum(columns: Columns, path: Path) -> list[Path]:
    """Draw the spectrum of each encoding over positions: frequency in cycles a position, relative power."""

    def draw(axes: Axes, frequencies: Any, power: Any) -> None:
        axes.set_yscale("log")
        axes.axhline(1, color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)
        axes.plot(frequencies, [max(each, SMALLEST_POWER) for each in power], color=BLUE, linewidth=1.1)

    return _figure(
        columns,
        path,
        title="Spectrum over positions",
        subtitle="power of the first pair, as a multiple of its mean; white noise would be flat at 1",
        axis_labels=("frequency (cycles a position)", "relative power"),
        names=("encoding", "frequency", "power"),
        draw=draw,
    )


def discrepancy(columns: Columns, path: Path) -> list[Path]:
    """Draw how evenly the phases of the first N positions fill the circle: N, and N·D*/ln N."""

    def draw(axes: Axes, sizes: Any, values: Any) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.plot(sizes, values, color=BLUE, linewidth=1.3)

    return _figure(
        columns,
        path,
        title="How evenly phases fill the circle",
        subtitle="N·D*/ln N of the first N positions: bounded for numbers that fractions approximate badly",
        axis_labels=("positions N", "N·D*/ln N"),
        names=("encoding", "positions", "discrepancy"),
        draw=draw,
    )


def _figure(
    columns: Columns,
    path: Path,
    *,
    title: str,
    subtitle: str,
    axis_labels: tuple[str, str],
    names: Sequence[str],
    draw: Callable[..., None],
) -> list[Path]:
    """Draw a panel an encoding and write the data; nothing if there is no encoding to draw."""
    if not columns:
        return []
    with style():
        figure, panels = grid_of_panels(len(columns))
        for axes, (encoding, lists) in zip(panels, columns.items(), strict=True):
            axes.set_title(encoding, fontsize=9, loc="left", pad=4, color=INK)
            axes.grid(color=FAINT, linewidth=0.5)
            draw(axes, *lists)
        headline(figure, title, subtitle)
        figure.supxlabel(axis_labels[0], fontsize=9.5, y=0.05 / figure.get_figheight())
        figure.supylabel(axis_labels[1], fontsize=9.5, x=0.008)
    records = ((encoding, *row) for encoding, lists in columns.items() for row in zip(*lists, strict=True))
    return written(figure, path, names, records)
