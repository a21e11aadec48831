"""Figures of a result table, with every seed shown.

Each figure is a vector file with its data as a CSV file next to it. Equal input gives equal bytes. No
information is conveyed by colour alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.report.plotting import (
    GREY,
    INK,
    LINE_CHARACTERS,
    colour_of,
    draw_estimate,
    headline,
    name_sides,
    row_canvas,
    side_text,
    style,
    written,
)
from analysis.report.tables import FAILED_SEEDS_MARK, decimals_for, format_delta, format_number, short_conclusion
from analysis.results.table import ResultRow, ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def forest(table: ResultTable, path: Path) -> list[Path]:
    """Draw each arm's difference to the baseline: interval, mean, and every seed's paired difference.

    Args:
        table: A table with a baseline and at least one arm compared with it.
        path: The figure; its suffix chooses the format (`.svg`, `.png`, `.pdf`).

    Returns:
        The files written: the figure, and the CSV next to it.

    Raises:
        ValueError: If no arm has a difference to show.
    """
    return written(forest_figure(table), path, _FOREST_COLUMNS, _forest_records(_compared_rows(table)))


def forest_figure(table: ResultTable, title: str | None = None) -> Figure:
    """Return the figure of `forest`."""
    rows = _compared_rows(table)
    factor, unit = (100.0, " (%)") if table.delta_kind == "relative" else (1.0, f" ({table.unit})")
    with style():
        figure, axes = row_canvas([row.arm for row in rows], side_text_inches=2.4)
        axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
        for height, row in enumerate(rows):
            low, high = _scaled(row.delta_ci_low, factor), _scaled(row.delta_ci_high, factor)
            estimate = (_scaled(row.delta, factor), low, high)
            draw_estimate(axes, height, row.reading, estimate, [factor * d for d in row.differences.values()])
            text = f"{format_delta(row, table)}\n{_arm_note(row)}"
            side_text(axes, height, text, colour_of(row.reading))
        headline(figure, title or table.title, f"difference to {_baseline_name(table)}, {_basis(table)}")
        axes.set_xlabel(f"Δ {table.metric}{unit}")
        name_sides(axes, table.direction)
    return figure


def _compared_rows(table: ResultTable) -> list[ResultRow]:
    rows = [row for row in table.rows if row.role != "baseline"]
    if not any(row.delta is not None for row in rows):
        raise ValueError(f"study '{table.study}' has no difference to a baseline to draw")
    return rows


def arms(table: ResultTable, path: Path) -> list[Path]:
    """Draw each arm's mean: interval, every seed's value, and the scores of simple references.

    References far outside the arms' range are named below the axis instead of drawn.

    Returns:
        The files written: the figure, and the CSV next to it.

    Raises:
        ValueError: If no arm has a value.
    """
    return written(arms_figure(table), path, _ARMS_COLUMNS, _arms_records(table.rows))


def arms_figure(table: ResultTable, title: str | None = None) -> Figure:
    """Return the figure of `arms`."""
    rows = list(table.rows)
    values = [value for row in rows for value in row.values.values()]
    if not values:
        raise ValueError(f"study '{table.study}' has no finished replicate to draw")
    references = dict(table.references)
    if table.chance is not None:
        references["chance"] = table.chance
    decimals, near = decimals_for(table), _near(references, values)
    outside = _outside(references, near, decimals)
    with style():
        lines = outside.count("\n") + 1
        figure, axes = row_canvas([row.arm for row in rows], side_text_inches=2.3, lines_below=lines)
        for height, row in enumerate(rows):
            draw_estimate(axes, height, row.reading, (row.mean, row.ci_low, row.ci_high), list(row.values.values()))
            side_text(axes, height, _mean_text(row, decimals), colour_of(row.reading))
        _reference_lines(axes, near)
        headline(figure, title or table.title, f"mean over seeds, {_basis(table)}")
        better = {"minimise": " ← better", "maximise": " better →", "none": ""}[table.direction]
        axes.set_xlabel(f"{table.metric} ({table.unit}){better}")
        figure.text(0.02, 0.1 / figure.get_figheight(), outside, fontsize=8.5, color=GREY, linespacing=1.25)
    return figure


_FOREST_COLUMNS = ("arm", "delta", "ci_low", "ci_high", "p_adjusted", "reading", "seed", "seed_difference")
_ARMS_COLUMNS = ("arm", "mean", "ci_low", "ci_high", "n", "n_failed", "reading", "seed", "value")


def _forest_records(rows: Iterable[ResultRow]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        estimate = (row.arm, row.delta, row.delta_ci_low, row.delta_ci_high, row.p_adjusted, row.reading)
        for seed, difference in row.differences.items() or [(None, None)]:
            yield (*estimate, seed, difference)


def _arms_records(rows: Iterable[ResultRow]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        estimate = (row.arm, row.mean, row.ci_low, row.ci_high, row.n, row.n_failed, row.reading)
        for seed, value in row.values.items() or [(None, None)]:
            yield (*estimate, seed, value)


def _reference_lines(axes: Axes, references: dict[str, float]) -> None:
    """Draw references, each with its name above."""
    for name, value in references.items():
        axes.axvline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            name,
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=INK,
        )


def _near(references: dict[str, float], values: Sequence[float]) -> dict[str, float]:
    """Return the references that are so near to the values that an axis can show both."""
    low, high = min(values), max(values)
    margin = 0.35 * ((high - low) or abs(high) or 1.0)
    return {name: value for name, value in references.items() if low - margin <= value <= high + margin}


def _outside(references: dict[str, float], near: dict[str, float], decimals: int) -> str:
    """Return lines that name the references that are not near; empty if there are none."""
    far = [
        f"{name} {format_number(value, decimals)}"
        for name, value in sorted(references.items(), key=lambda item: item[1])
        if name not in near
    ]
    return textwrap.fill(f"outside this range: {', '.join(far)}", LINE_CHARACTERS) if far else ""


def _mean_text(row: ResultRow, decimals: int) -> str:
    if row.mean is None:
        return _arm_note(row)
    text = format_number(row.mean, decimals)
    if row.ci_low is not None and row.ci_high is not None:
        text += f" [{format_number(row.ci_low, decimals)}, {format_number(row.ci_high, decimals)}]"
    return f"{text}\n{_arm_note(row)}"


def _arm_note(row: ResultRow) -> str:
    planned = sum(row.statuses.values())
    n = f"n = {row.n}" if row.n == planned else f"n = {row.n} of {planned}"
    if row.n_failed:
        n = f"{FAILED_SEEDS_MARK} {n}"
    return f"{short_conclusion(row.reading)}, {n}"


def _basis(table: ResultTable) -> str:
    scale = "" if table.items is None else " on the logit"
    return f"{100 * table.confidence:g} % Student-t interval{scale}; dots: seeds"


def _baseline_name(table: ResultTable) -> str:
    return table.baseline.arm if table.baseline else "the baseline"


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value
