"""The path to a winner as text and as a figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from analysis.report.plotting import (
    GREY,
    INK,
    colour_of,
    draw_estimate,
    headline,
    row_canvas,
    side_text,
    style,
)
from analysis.report.search.tables import NONE, short, short_names
from analysis.report.tables import DIRECTIONS, decimals_of, format_change, format_number, short_conclusion
from analysis.results.search.path import PathTable, StepRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT_ALIGNED = (True, False, True, True, True, True, True, False)
COLUMNS = ("step", "field", "value", "arm", "mean", "ci_low", "ci_high", "delta", "delta_ci_low", "delta_ci_high")
"""Of the figure's data: fresh seeds only."""


def title(table: PathTable) -> str:
    """Return one line that says what the numbers are."""
    return (
        f"path from the own settings of {table.around} to its winner: {table.metric}, {table.unit}, "
        f"{DIRECTIONS[table.direction]}"
    )


def headers(table: PathTable) -> list[str]:
    """Return the headers of `cells`: what selected stands apart from fresh seeds."""
    chosen, fresh = (", ".join(map(str, seeds)) for seeds in (table.seeds, table.confirm_seeds))
    return [
        "step", "field", "value", "tried", f"selected on {chosen}", f"fresh seeds {fresh}", "Δ to the step before",
        "reading",
    ]  # fmt: skip


def cells(table: PathTable) -> list[list[str]]:
    """Return the cells of every step, under `headers`."""
    names = dict(zip(_fields(table), short_names(tuple(_fields(table))), strict=True))
    decimals = _decimals(table)
    return [
        [
            str(row.step),
            names.get(row.field, "own settings"),
            short(row.value),
            str(row.n_tried or NONE),
            NONE if row.mean_search is None else format_number(row.mean_search, decimals),
            _fresh(row, decimals),
            _change(row, table),
            short_conclusion(row.reading) if row.reading else NONE,
        ]
        for row in table.rows
    ]


def notes(table: PathTable) -> list[str]:
    """Return how to read the table."""
    if not table.is_walked:
        return ["the path has not come to the winner yet; then it runs on fresh seeds"]
    chosen = ", ".join(map(str, table.seeds))
    return [
        f"at each step every field that was left was tried with the seeds {chosen} of the search, by "
        f"{table.selection_metric}, and the best got the winner's value; that number selected, so it is too good",
        "fresh seeds say what each step is worth after the steps before; Δ is paired by seed, readings by Holm "
        "over the study's contrasts; in another order steps would be worth something else",
    ]


def path_figure(table: PathTable) -> Figure:
    """Return a figure with a row a step: its mean on fresh seeds, and the change to the step before.

    Raises:
        ValueError: If no step has a value on fresh seeds.
    """
    if all(row.mean is None for row in table.rows):
        raise ValueError(f"the path to the winner of {table.around} has no value on fresh seeds to draw yet")
    names = dict(zip(_fields(table), short_names(tuple(_fields(table))), strict=True))
    labels = [f"{names[row.field]} = {short(row.value)}" if row.step else "own settings" for row in table.rows]
    with style():
        figure, axes = row_canvas(labels, side_text_inches=2.4)
        means = [(height - 0.1, row.mean) for height, row in enumerate(table.rows) if row.mean is not None]
        axes.plot([mean for _, mean in means], [height for height, _ in means], color=GREY, linewidth=1.0, zorder=2)
        for height, row in enumerate(table.rows):
            reading = row.reading or "baseline"
            draw_estimate(axes, height, reading, (row.mean, row.ci_low, row.ci_high), list(row.values.values()))
            text = f"Δ {_change(row, table)}\n{short_conclusion(row.reading)}" if row.reading else "where it begins"
            side_text(axes, height, text, colour_of(reading) if row.reading else INK)
        headline(
            figure,
            f"From the own settings of {table.around} to its winner, one field at a time",
            f"{table.metric} on {len(table.confirm_seeds)} fresh seeds, with 95 % intervals; Δ: to the step above, "
            "paired by seed",
        )
        axes.set_xlabel(f"{table.metric} ({table.unit}), {DIRECTIONS[table.direction]}")
    return figure


def records(table: PathTable) -> Iterator[tuple[Any, ...]]:
    """Yield the figure's data, under `COLUMNS`."""
    for row in table.rows:
        estimate = (row.mean, row.ci_low, row.ci_high, row.delta, row.delta_ci_low, row.delta_ci_high)
        yield row.step, row.field, row.value, row.arm, *estimate


def _fields(table: PathTable) -> list[str]:
    return [row.field for row in table.rows if row.field]


def _decimals(table: PathTable) -> int:
    known = [abs(value) for row in table.rows for value in (row.mean, row.mean_search) if value is not None]
    return decimals_of(min(known, default=0.0))


def _fresh(row: StepRow, decimals: int) -> str:
    if row.mean is None:
        return NONE
    text = format_number(row.mean, decimals)
    if row.ci_low is None or row.ci_high is None:
        return text
    return f"{text} [{format_number(row.ci_low, decimals)}, {format_number(row.ci_high, decimals)}]"


def _change(row: StepRow, table: PathTable) -> str:
    kind: Literal["relative", "difference"] = "relative" if table.delta_kind == "relative" else "difference"
    bounds = [abs(each) for each in (row.delta, row.delta_ci_low, row.delta_ci_high) if each is not None]
    decimals = min(5, decimals_of(max(bounds, default=0.0)))
    return format_change(row.delta, row.delta_ci_low, row.delta_ci_high, kind=kind, decimals=decimals)
