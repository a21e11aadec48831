"""An ablation as text, as Markdown, and as a forest plot of its effects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from analysis.records.journal import JournalState
from analysis.report.plotting import (
    INK,
    colour_of,
    draw_estimate,
    headline,
    name_sides,
    row_canvas,
    side_text,
    style,
    written,
)
from analysis.report.tables import (
    DIRECTIONS,
    SMOKE,
    SMOKE_NOTE,
    decimals_of,
    format_change,
    markdown_table,
    short_conclusion,
)
from analysis.results.ablations import AblationTable, EffectRow, ablation_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADERS = ("added", "effect", "p (Holm)", "reading")
RIGHT_ALIGNED = (False, True, True, False)
_WHERE = {
    "leave_one_out": "added to all others",
    "pairs": "added to all others",
    "base_plus_one": "added to nothing",
}
_CANNOT = {
    "leave_one_out": "leaving one out shows no interactions: of two that replace each other, each seems worthless",
    "base_plus_one": "adding one shows no interactions: of two that need each other, each seems worthless",
}
_UNITS = {"relative": "relative change", "log odds": "difference of log odds"}


def title(table: AblationTable) -> str:
    """Return one line that says what the numbers are."""
    unit = _UNITS.get(table.effect_kind, table.unit)
    whose = {
        "declared": table.around,
        "winner": f"the winner of {table.around}",
        "each": f"{table.around}, each arm tuned by itself",
    }[table.tuning]
    return f"ablation of {whose}: {table.metric}, {unit}, {DIRECTIONS[table.direction]}; {table.design}"


def rows(table: AblationTable) -> list[EffectRow]:
    """Return every row: effects, interactions, placebos."""
    return [*table.effects, *table.interactions, *table.placebos]


def cells(table: AblationTable) -> list[list[str]]:
    """Return the cells of every row, under `HEADERS`."""
    return [
        [
            _name(row, table),
            _effect(row, table),
            "–" if row.p_adjusted is None else f"{row.p_adjusted:.3g}",
            short_conclusion(row.reading),
        ]
        for row in rows(table)
    ]


def notes(table: AblationTable) -> list[str]:
    """Return the lines below the table: how effects are meant, aliases, shares and caveats."""
    design = table.design.partition(",")[0]
    where = _WHERE.get(design, "averaged over the others being there or not")
    found = [SMOKE_NOTE] if table.scale == SMOKE else []
    found.append(
        f"an effect is what a component changes, {where}; a × b is how much more a changes with b than without"
    )
    found += [_CANNOT[design]] if design in _CANNOT else []
    found.append(
        f"one linear model with the seed as block: {table.n_arms} arms, {table.n_values} values, "
        f"{table.residual_df} degrees of freedom; {100 * table.confidence:g} % Student-t intervals, not adjusted; "
        "p by Holm over the effects, over the interactions and over the placebos; not separable is no proof of 0"
    )
    if table.n_missing:
        found.append(f"{table.n_missing} planned replicates have no value: no effect is read from the others")
    over_seeds = [_name(row, table) for row in rows(table) if row.test == "over seeds"]
    if over_seeds:
        found.append(
            f"{', '.join(over_seeds)}: seeds differ by more than the model's error allows, so interval and p are "
            "of one estimate a seed"
        )
    found += [
        f"{_name(row, table)} cannot be told from {', '.join(row.aliases)}" for row in rows(table) if row.aliases
    ]
    if table.shapley:
        shares = ", ".join(f"{row.component} {row.share:.0%}" for row in table.shapley)
        found.append(f"Shapley's shares of whole − nothing, no tests: {shares}")
    return found


def ablation_markdown(state: JournalState, metric: str | None = None) -> str:
    """Return the ablation of a journal as Markdown.

    Raises:
        ValueError: If it describes none.
    """
    table = table_of(state, metric)
    body = markdown_table(HEADERS, cells(table), RIGHT_ALIGNED)
    return "\n".join([f"**{title(table)}**", "", *body, "", *(f"- {note}" for note in notes(table))]) + "\n"


def effects_forest(table: AblationTable, path: Path) -> list[Path]:
    """Draw every effect with its interval.

    Args:
        table: The ablation.
        path: The figure; its suffix chooses the format (`.svg`, `.png`, `.pdf`).

    Returns:
        The files written: the figure, and the CSV next to it.

    Raises:
        ValueError: If there is no effect to show.
    """
    return written(effects_figure(table), path, _COLUMNS, _records(table))


def effects_figure(table: AblationTable, title_text: str | None = None) -> Figure:
    """Return the figure of `effects_forest`.

    Raises:
        ValueError: If there is no effect to show.
    """
    shown = rows(table)
    if all(row.effect is None for row in shown):
        raise ValueError(f"study '{table.study}' has no effect to draw yet")
    factor = 100.0 if table.effect_kind == "relative" else 1.0

    def scaled(value: float | None) -> float | None:
        return None if value is None else factor * value

    with style():
        figure, axes = row_canvas([_name(row, table) for row in shown], side_text_inches=2.4)
        axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
        for height, row in enumerate(shown):
            estimate = (scaled(row.effect), scaled(row.ci_low), scaled(row.ci_high))
            draw_estimate(axes, height, row.reading, estimate, [])
            text = f"{_effect(row, table)}\n{short_conclusion(row.reading)}"
            side_text(axes, height, text, colour_of(row.reading))
        if table.interactions:
            axes.axhline(len(table.effects) - 0.5, color=INK, linewidth=0.6)
        subtitle = f"{table.metric}; {table.design}; {100 * table.confidence:g} % Student-t interval"
        headline(figure, title_text or table.title, subtitle)
        unit = "%" if table.effect_kind == "relative" else _UNITS.get(table.effect_kind, table.unit)
        axes.set_xlabel(f"change of {table.metric} ({unit})")
        name_sides(axes, table.direction)
    return figure


_COLUMNS = ("added", "effect", "ci_low", "ci_high", "p", "p_adjusted", "reading")


def _records(table: AblationTable) -> Iterator[tuple[Any, ...]]:
    for row in rows(table):
        yield _name(row, table), row.effect, row.ci_low, row.ci_high, row.p, row.p_adjusted, row.reading


def table_of(state: JournalState, metric: str | None = None) -> AblationTable:
    """Return the ablation of a journal.

    Raises:
        ValueError: If it describes none.
    """
    if state.sweep is None or state.sweep.ablation is None:
        raise ValueError("the journal describes no ablation")
    return ablation_of(state, state.sweep.ablation, metric)


def _name(row: EffectRow, table: AblationTable) -> str:
    if row in table.placebos:
        return f"{table.around} − {row.components[0]}"
    return " × ".join(row.components)


def _effect(row: EffectRow, table: AblationTable) -> str:
    kind: Literal["relative", "difference"] = "relative" if table.effect_kind == "relative" else "difference"
    bounds = [abs(each) for each in (row.effect, row.ci_low, row.ci_high) if each is not None]
    decimals = min(5, decimals_of(max(bounds, default=0.0)))
    return format_change(row.effect, row.ci_low, row.ci_high, kind=kind, decimals=decimals)
