"""What a search showed by how much it had spent, beside what fresh seeds said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.report.plotting import BLUE, FAINT, GREY, INK, STRIPE, WIDTH_INCHES, headline, style
from analysis.report.search.tables import confirmed
from analysis.report.tables import decimals_of
from analysis.results.candidates import ArmCandidates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def spending_figure(found: ArmCandidates) -> Figure:
    """Return a figure of every score of all steps, and of the leader's, against the budget spent.

    Raises:
        ValueError: If no candidate has trained all steps.
    """
    from matplotlib.figure import Figure

    if not found.spent:
        raise ValueError(f"in the search of {found.search.arm} no candidate has trained all steps yet")
    top, body, bottom = 0.92, 2.1, 0.52
    height = top + body + bottom
    winner = next((row for row in found.rows if row.is_winner and row.confirmed is not None), None)
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, height))
        axes = figure.add_axes((0.095, bottom / height, 0.62, body / height))
        axes.grid(color=FAINT, linewidth=0.6)
        spent = [point.spent for point in found.spent]
        end = max(found.search.spent_replicates, spent[-1])
        axes.step([*spent, end], [*(p.leader for p in found.spent), found.spent[-1].leader], where="post",
                  color=INK, linewidth=1.8, zorder=3)  # fmt: skip
        for point in found.spent:
            size = 4.0 + 1.2 * point.seeds
            axes.plot([point.spent], [point.score], "o", color=BLUE, markersize=size, mew=0, alpha=0.6, zorder=4)
        axes.set_xlim(0, max(end, found.search.budget_replicates) * 1.01)
        axes.set_xlabel("spent (replicates of all steps)")
        axes.set_ylabel(found.unit, fontsize=9)
        if winner is not None and winner.confirmed is not None and winner.confirmed.mean is not None:
            values = [*(point.score for point in found.spent), *winner.confirmed.values.values()]
            margin = 0.08 * (max(values) - min(values)) or 0.1
            axes.set_ylim(min(values) - margin, max(values) + margin)  # two seeds have an interval wider than all
            _fresh(figure.add_axes((0.745, bottom / height, 0.05, body / height), sharey=axes), found)
        headline(
            figure,
            f"What more budget brought: the search of {found.search.arm}",
            f"{found.info.metric}; line: the leader, best at the highest rung so far; dots: candidates with all "
            "steps, larger with\nmore seeds; these numbers chose the leader, so it looks better than it is: fresh "
            "seeds say how good it is",
        )
    return figure


def _fresh(axes: Axes, found: ArmCandidates) -> None:
    """Draw the winner on fresh seeds, apart from the numbers that chose it."""
    row = next(row for row in found.rows if row.is_winner and row.confirmed is not None)
    result = row.confirmed
    assert result is not None and result.mean is not None
    axes.axvspan(-1, 1, color=STRIPE, linewidth=0, zorder=0)
    axes.plot(
        [0] * len(result.values), list(result.values.values()), "o", color=GREY, alpha=0.55, markersize=4, mew=0
    )
    if result.ci_low is not None and result.ci_high is not None:
        axes.plot([0.35, 0.35], [result.ci_low, result.ci_high], color=INK, linewidth=2.2, zorder=4)
    axes.plot([0.35], [result.mean], "D", color=INK, markersize=6.5, mew=0, zorder=5)
    axes.set_xlim(-1, 1)
    axes.set_xticks([0], ["fresh\nseeds"], fontsize=9)
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.tick_params(axis="x", length=0)
    text = confirmed(row, decimals_of(result.mean)).replace(" [", "\n[")
    axes.annotate(
        f"{found.search.arm}#{row.number}\n{text}\nn = {result.n}", (1, result.mean),
        xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8.5,
        color=INK, annotation_clip=False,
    )  # fmt: skip
