"""The ladder of a search: who climbed, and whether a rung could tell who leads at the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.report.plotting import BLUE, CHARACTER_INCHES, FAINT, GREY, INK, WIDTH_INCHES, headline, style
from analysis.report.tables import format_number
from analysis.results.candidates import ArmCandidates, CandidateRow
from analysis.results.comparison import seeds_in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def rungs_figure(found: ArmCandidates) -> Figure:
    """Return a figure with the rank of every candidate at every rung.

    Raises:
        ValueError: If fewer than two candidates have a score.
    """
    from matplotlib.figure import Figure

    ranks = ranks_of(found)
    most = max((len(at) for at in ranks), default=0)
    if most < 2:
        raise ValueError(f"the search of {found.search.arm} has too few scores to rank yet")
    body, top, bottom = min(3.4, max(1.3, 0.17 * most)), 1.02, 0.68
    height = top + body + bottom
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, height))
        longest = max(
            (len(_words(row, found.search.arm)) for row in found.rows if _is_named(row, ranks)), default=0
        )
        right = 0.2 + CHARACTER_INCHES * longest
        axes = figure.add_axes((0.075, bottom / height, 0.92 - right / WIDTH_INCHES, body / height))
        for row in reversed(found.rows):
            _draw(axes, row, ranks, found.search.arm)
        _label(axes, found, ranks)
        axes.set_ylim(most + 0.6, 0.4)
        axes.set_ylabel("rank, best on top", fontsize=9)
        axes.set_yticks(sorted({1, *(tick for tick in range(0, most + 1, 5 if most > 9 else 2) if tick)}))
        axes.tick_params(axis="y", length=0)
        axes.spines["bottom"].set_visible(False)
        headline(
            figure,
            f"Who climbed: the search of {found.search.arm}",
            "rank among those scored at each rung; ρ: rank correlation of two rungs over candidates that have both",
        )
    return figure


def ranks_of(found: ArmCandidates) -> list[dict[int, int]]:
    """Return for each rung the rank of every candidate that has a score there, 1 being the best."""
    sign = -1.0 if found.info.direction == "maximise" else 1.0
    ranks = []
    for rung in range(len(found.info.rungs)):
        scored = [(sign * score.mean, row.number) for row in found.rows if (score := row.scores[rung]) is not None]
        ranks.append({number: rank for rank, (_, number) in enumerate(sorted(scored), start=1)})
    return ranks


def _draw(axes: Axes, row: CandidateRow, ranks: list[dict[int, int]], arm: str) -> None:
    places = [(rung, at[row.number]) for rung, at in enumerate(ranks) if row.number in at]
    if not places:
        return
    has_climbed = len(places) > 1
    colour = INK if row.is_winner else BLUE if has_climbed else GREY
    xs, ys = [rung for rung, _ in places], [rank for _, rank in places]
    width = 2.4 if row.is_winner else 1.1
    axes.plot(xs, ys, color=colour, linewidth=width, alpha=1.0 if row.is_winner else 0.75, zorder=3, clip_on=False)
    size = 6.5 if row.is_winner else 4.5
    axes.plot(xs, ys, "D" if row.is_winner else "o", color=colour, markersize=size, mew=0, zorder=4, clip_on=False)
    if _is_named(row, ranks):
        words = _words(row, arm)
        axes.annotate(
            words, (xs[-1], ys[-1]), xytext=(9, 0), textcoords="offset points", va="center", fontsize=8.5,
            color=colour, annotation_clip=False,
        )  # fmt: skip


def _is_named(row: CandidateRow, ranks: list[dict[int, int]]) -> bool:
    return row.is_winner or row.number in ranks[-1]


def _words(row: CandidateRow, arm: str) -> str:
    return f"{arm}#{row.number}" + (f", {row.standing}" if row.is_winner else "")


def _label(axes: Axes, found: ArmCandidates, ranks: list[dict[int, int]]) -> None:
    """Name the rungs below, and write the rank correlations above."""
    labels = []
    for index, (rung, at) in enumerate(zip(found.info.rungs, ranks, strict=True)):
        labels.append(f"rung {index}\n{rung.steps:,} steps, {seeds_in_words(rung.seeds)}\n{len(at)} scored")
        axes.axvline(index, color=FAINT, linewidth=0.8, zorder=1)
    axes.set_xticks(range(len(labels)), labels, fontsize=8.5)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.12, len(labels) - 1 + 0.12)
    for index, (correlation, pairs) in enumerate(found.rank_correlations):
        text = f"ρ {format_number(correlation, 2)} ({pairs})" if correlation is not None else f"no ρ ({pairs})"
        axes.annotate(
            text, (index + 0.5, 1), xycoords=("data", "axes fraction"), xytext=(0, 5), textcoords="offset points",
            ha="center", fontsize=8.5, color=INK if correlation is not None else GREY,
        )  # fmt: skip
