"""Two or more studies of the same arms in one table: what is published beside what is corrected."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.results import ResultRow, ResultTable
from analysis.tables import decimals_for, format_delta, format_number, markdown_table, short_reading


def render_beside(tables: Sequence[ResultTable]) -> str:
    """Return a Markdown table with a row an arm and, for each study, its mean, its Δ and how that reads.

    Every Δ is to the baseline of its own study. Arms are those of the first study, then what the others add.

    Raises:
        ValueError: If the studies report different metrics or units: their columns could not be read together.
    """
    metrics = {(table.metric, table.unit) for table in tables}
    if len(metrics) != 1:
        shown = ", ".join(f"{table.study}: {table.metric} in {table.unit}" for table in tables)
        raise ValueError(f"studies beside each other need one metric in one unit, got {shown}")
    headers = ["arm", *(cell for table in tables for cell in (f"`{table.study}`", "Δ", "reading"))]
    rows = {table.study: {row.arm: row for row in table.rows} for table in tables}
    names = dict.fromkeys(row.arm for table in tables for row in table.rows)
    body = [
        [name, *(cell for table in tables for cell in _cells(rows[table.study].get(name), table))] for name in names
    ]
    ((metric, unit),) = metrics
    note = f"{metric}, {unit}; mean [95 % interval]; Δ is to the baseline of the same study, paired by seed."
    return "\n".join([*markdown_table(headers, body, [False, *[True, True, False] * len(tables)]), "", note]) + "\n"


def _cells(row: ResultRow | None, table: ResultTable) -> list[str]:
    if row is None or row.mean is None:
        return ["–", "–", "–" if row is None else short_reading(row.reading)]
    decimals = decimals_for(table)
    mean = format_number(row.mean, decimals)
    if row.ci_low is not None and row.ci_high is not None:
        mean += f" [{format_number(row.ci_low, decimals)}, {format_number(row.ci_high, decimals)}]"
    return [mean, format_delta(row, table), short_reading(row.reading)]
