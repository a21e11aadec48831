"""Which fields matter, as a figure: shares with intervals, beside what fields by themselves do not explain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from analysis.report.plotting import BLUE, GREY, INK, headline, row_canvas, side_text, style
from analysis.results.comparison import seeds_in_words
from analysis.results.importance import ArmImportance, ImportanceTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("arm", "field", "share", "ci_low", "ci_high")


def importance_title(table: ImportanceTable, arm: ArmImportance) -> str:
    """Return whose importances they are, and of which scores."""
    return (
        f"importance in the search of {arm.arm}, {table.evaluator}: {table.metric} after {arm.steps} steps with "
        f"{seeds_in_words(arm.seeds)}, {arm.n_configurations} candidates ({arm.n_adaptive} proposed by a model)"
    )


def importance_notes(arm: ArmImportance) -> list[str]:
    """Return how to read the shares, and every caveat."""
    if arm.explained is None:
        notes = ["shares of how differently the best tenth of candidates is spread along a field; of no variance"]
    else:
        notes = [f"explained by fields alone {arm.explained:.2f}, the rest {1 - arm.explained:.2f}"]
    if arm.noise_share is not None:
        notes.append(f"seeds alone account for {arm.noise_share:.2f} of the variance of the scores")
    if arm.n_left_out:
        notes.append(f"{arm.n_left_out} more candidates were left out: a forest of all takes minutes")
    return notes + ([arm.warning] if arm.warning else [])


def importance_figure(table: ImportanceTable, arms: Sequence[ArmImportance] | None = None) -> Figure:
    """Return a figure of the shares of every field, arm by arm.

    Args:
        table: The importances.
        arms: Those to draw; all if None.
    """
    chosen = list(table.arms if arms is None else arms)
    rows = [row for arm in chosen for row in _rows(arm, is_named=len(chosen) > 1)]
    with style():
        figure, axes = row_canvas([name for name, *_ in rows], side_text_inches=1.6)
        for height, (_, share, low, high) in enumerate(rows):
            _bar(axes, height, share, low, high)
        axes.set_xlim(
            0, max(1.0 if table.evaluator == "fanova" else 0.0, 1.05 * max(row[3] or row[1] for row in rows))
        )
        seeds = f"{chosen[0].steps:,} steps, {seeds_in_words(chosen[0].seeds)}"
        counts = ", ".join(f"{arm.n_configurations} candidates of {arm.arm}" for arm in chosen)
        subtitle = (
            f"{table.metric} after {seeds}; {counts}; {table.evaluator}, {table.evaluator_version}\n"
            "lines: 95 % intervals, from random halves of the candidates"
        )
        headline(figure, "Which fields matter", subtitle)
        of = "variance of the scores" if table.evaluator == "fanova" else "spread of the best tenth, all fields = 1"
        axes.set_xlabel(f"share of the {of}")
    return figure


def records(table: ImportanceTable) -> Iterator[tuple[Any, ...]]:
    """Yield the figure's data, under `COLUMNS`."""
    for arm in table.arms:
        for field in arm.fields:
            yield arm.arm, field.name, field.share, field.ci_low, field.ci_high
        if arm.unexplained is not None:
            yield arm.arm, "not by single fields", arm.unexplained, None, None


def _rows(arm: ArmImportance, *, is_named: bool) -> Iterator[tuple[str, float, float | None, float | None]]:
    before = f"{arm.arm}: " if is_named else ""
    for field in arm.fields:
        yield f"{before}{field.name}", field.share, field.ci_low, field.ci_high
    if arm.unexplained is not None:
        yield f"{before}interactions and noise", arm.unexplained, None, None


def _bar(axes: Axes, height: float, share: float, low: float | None, high: float | None) -> None:
    """Draw a share; one without an interval is the rest, hollow."""
    text = f"{share:.2f}"
    if low is None or high is None:
        axes.barh(
            [height], [share], height=0.44, color="none", edgecolor=GREY, linewidth=1.0, linestyle=(0, (3, 2))
        )
    else:
        axes.barh([height], [share], height=0.44, color=BLUE, alpha=0.55, linewidth=0)
        axes.plot([low, high], [height, height], color=INK, linewidth=1.6)
        text += f" [{low:.2f}, {high:.2f}]"
    side_text(axes, height, text, INK if low is not None else GREY)
