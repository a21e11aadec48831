"""Probe results of every arm, each order parameter together with its value for random phases (the null).

Coupling is learnt in some arms and fixed in others; the study says which.
"""

from __future__ import annotations

from analysis.records.description import JournalError
from analysis.records.journal import JournalState
from analysis.report.tables import markdown_table
from analysis.statistics.inference import mean, mean_interval

_ORDERS = ("oscillators", "positions", "published")
_HEADERS = (
    "arm",
    "leak, nats/token",
    "R over oscillators",
    "R over positions",
    "published statistic",
    "coupling K",
)


NOTE = (
    "Mean over finished seeds ± half a 95 % Student-t interval, on validation windows; in brackets the value "
    "of uniform random phases. Leak: what the tokens after a position are worth to its prediction."
)


def probes_for_display(state: JournalState) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells: mean over seeds with a 95 % Student-t interval, and the null in brackets.

    Raises:
        JournalError: If the journal has no `sweep` line.
    """
    if state.sweep is None:
        raise JournalError("the journal has no `sweep` line")
    rows = []
    for arm in state.sweep.arms:
        replicates = [state.replicates.get((arm.config_id, seed)) for seed in arm.seeds]
        finished = [r.final_metrics for r in replicates if r is not None and r.status == "finished"]
        orders = [_with_null(finished, f"probe/order_{name}") for name in _ORDERS]
        rows.append([arm.arm, _cell(finished, "probe/leak"), *orders, _cell(finished, "probe/coupling")])
    return list(_HEADERS), rows


def probes_markdown(state: JournalState) -> str:
    """Return the cells of `probes_for_display` as a Markdown table.

    Raises:
        JournalError: If the journal has no `sweep` line.
    """
    headers, rows = probes_for_display(state)
    table = markdown_table(headers, rows, [False, *[True] * (len(headers) - 1)])
    return "\n".join([*table, "", NOTE]) + "\n"


def _values(finished: list[dict[str, float]], metric: str) -> list[float]:
    return [metrics[metric] for metrics in finished if metric in metrics]


def _cell(finished: list[dict[str, float]], metric: str) -> str:
    values = _values(finished, metric)
    if not values:
        return "–"
    interval = mean_interval(values)
    half = "" if interval is None else f" ± {(interval.high - interval.low) / 2:.3f}"
    return f"{mean(values) + 0.0:.3f}{half}".replace("-0.000", "0.000").replace("-", "−")


def _with_null(finished: list[dict[str, float]], metric: str) -> str:
    nulls = _values(finished, f"{metric}_null")
    cell = _cell(finished, metric)
    return f"{cell} ({mean(nulls):.3f})" if nulls else cell
