"""Figures of one model: loss by position, where it attends, and what a long sequence costs it.

Every function returns the files it wrote: the figure and, as CSV, its data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.report.plotting import (
    BLUE,
    FAINT,
    INK,
    VERMILLION,
    WIDTH_INCHES,
    grid_of_panels,
    headline,
    style,
    written,
)


def loss_by_position(
    positions: Sequence[int], nats: Sequence[float], path: Path, *, measured_from: int, title: str
) -> list[Path]:
    """Draw the mean loss at each position, and where the trend is measured from."""
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 3.2))
        axes = figure.add_axes((0.09, 0.17, 0.89, 0.60))
        axes.grid(color=FAINT, linewidth=0.6)
        axes.axvline(measured_from, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.plot(positions, nats, color=BLUE, linewidth=0.9)
        axes.set_xlabel("position")
        axes.set_ylabel("nats/token")
        headline(figure, title, "mean loss at each position; dashed: the trend is measured from here on")
    return written(figure, path, ("position", "nats"), zip(positions, nats, strict=True))


def attention_maps(maps: Sequence[Sequence[Sequence[float]]], path: Path, *, length: int, title: str) -> list[Path]:
    """Draw a heat map of each layer: queries downwards, keys to the right; darker: more weight.

    Args:
        maps: Of each layer the weights in bins, rows of which sum to 1.
        path: The figure.
        length: Positions of a sequence.
        title: Of the figure.
    """
    with style():
        figure, panels = grid_of_panels(len(maps))
        for layer, (axes, weights) in enumerate(zip(panels, maps, strict=True)):
            axes.set_title(f"layer {layer}", fontsize=9, loc="left", pad=4, color=INK)
            shown = [[weight**0.5 for weight in row] for row in weights]
            extent = (0, length, length, 0)
            axes.imshow(shown, cmap="Blues", extent=extent, aspect="auto", vmin=0, interpolation="nearest")
        headline(figure, title, "square root of the attention weights, mean over heads and sequences")
        figure.supxlabel("key position", fontsize=9.5, y=0.05 / figure.get_figheight())
        figure.supylabel("query position", fontsize=9.5, x=0.008)
    records = (
        (layer, query, key, weight)
        for layer, rows in enumerate(maps)
        for query, row in enumerate(rows)
        for key, weight in enumerate(row)
    )
    return written(figure, path, ("layer", "query_bin", "key_bin", "weight"), records)


def cost_by_length(
    lengths: Sequence[int],
    *,
    tokens_per_second: Sequence[float],
    peak_memory_mib: Sequence[float],
    state_mib: Sequence[float],
    path: Path,
    title: str,
) -> list[Path]:
    """Draw speed, peak memory and carried state against the length of what was read."""
    from matplotlib.figure import Figure

    curves = (
        ("tokens a second", tokens_per_second, BLUE),
        ("peak memory (MiB)", peak_memory_mib, VERMILLION),
        ("carried state (MiB)", state_mib, INK),
    )
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, 3.0))
        for index, (axes, (label, values, colour)) in enumerate(
            zip(figure.subplots(1, 3, squeeze=False).flat, curves, strict=True)
        ):
            axes.set_xscale("log", base=2)
            axes.set_ylim(0, 1.15 * max(values) or 1)
            axes.plot(lengths, values, "o-", color=colour, markersize=4, linewidth=1.3)
            axes.grid(color=FAINT, linewidth=0.6)
            axes.set_title(label, fontsize=9, loc="left")
            axes.set_xlabel("tokens read" if index == 1 else "")
        figure.subplots_adjust(left=0.07, right=0.985, top=0.72, bottom=0.17, wspace=0.28)
        headline(figure, title, "one sequence, read in chunks with the state carried on")
    columns = ("length", "tokens_per_second", "peak_memory_mib", "state_mib")
    rows = zip(lengths, tokens_per_second, peak_memory_mib, state_mib, strict=True)
    return written(figure, path, columns, rows)
