"""A metric at steps of the training, a row an arm: beside the tables over training in published documents."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.records.journal import JournalState
from analysis.report.tables import markdown_table
from analysis.results.curves import Curve, Curves, curves_of

NUM_STEPS = 5
"""Steps that a table shows unless it is told which."""

SIGNIFICANT_DIGITS = 4


def reported_steps(curves: Curves) -> list[int]:
    """Return the steps at which some arm has a mean, ascending."""
    return sorted({step for curve in curves.arms for step in curve.means})


def shown_steps(curves: Curves, wanted: Sequence[int] | None = None) -> list[int]:
    """Return the steps that a table shows: those wanted, or the first, the last and evenly spaced ones between.

    Raises:
        ValueError: If a wanted step was not reported; the message lists those that were.
    """
    known = reported_steps(curves)
    if wanted is None:
        count = min(NUM_STEPS, len(known))
        return [known[round(place * (len(known) - 1) / max(1, count - 1))] for place in range(count)]
    unknown = [step for step in wanted if step not in known]
    if unknown:
        listed = ", ".join(map(str, known))
        raise ValueError(f"no arm reports {curves.metric.name} at step {unknown[0]}; it is reported at {listed}")
    return list(wanted)


def cells(curves: Curves, steps: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    """Return headers and rows: the mean over finished seeds ± half its interval, and a probe's null in brackets."""
    shown = [abs(curve.means[step]) for curve in curves.arms for step in steps if step in curve.means]
    largest = max(shown, default=0.0)
    digits = SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(largest)) if largest > 0 else 0
    decimals = min(max(digits, 0), 8)
    rows = [[curve.arm, *(_cell(curve, step, decimals) for step in steps)] for curve in curves.arms]
    return ["arm", *(f"step {step:,}" for step in steps)], rows


def _cell(curve: Curve, step: int, decimals: int) -> str:
    if step not in curve.means:
        return "–"
    interval = curve.intervals[step]
    half = "" if interval is None else f" ± {(interval.high - interval.low) / 2:.{decimals}f}"
    null = f" ({curve.nulls[step]:.{decimals}f})" if step in curve.nulls else ""
    return f"{curve.means[step]:.{decimals}f}{half}{null}".replace("-", "−")


def note(curves: Curves) -> str:
    """Return what the numbers are, in a sentence."""
    null = "; in brackets the value of a model without structure" if any(c.nulls for c in curves.arms) else ""
    percent = f"{100 * curves.confidence:g} %"
    return (
        f"{curves.metric.name} ({curves.metric.unit}): {curves.metric.meaning}. Mean over finished seeds ± half a "
        f"{percent} Student-t interval at each step{null}."
    )


def steps_markdown(state: JournalState, metric: str | None) -> str:
    """Return the table as Markdown.

    Raises:
        JournalError: If the journal has no `sweep` line.
        ValueError: If the metric is unknown, or not reported over training.
    """
    curves = curves_of(state, metric)
    headers, rows = cells(curves, shown_steps(curves))
    table = markdown_table(headers, rows, [False, *[True] * (len(headers) - 1)])
    return "\n".join([*table, "", note(curves)]) + "\n"
