"""A journal as tidy tables in CSV or Parquet: one row per replicate, configuration or report.

Nothing is left out: replicates that failed, that have not ended, or that the study no longer plans are
included, and marked by `status` and `planned`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.results.arms import summarise
from analysis.results.comparison import PENDING
from analysis.results.table import ResultRow

if TYPE_CHECKING:
    import pyarrow as pa

What = Literal["replicates", "configurations", "curves"]
ROW_KINDS: tuple[What, ...] = get_args(What)
SUFFIXES = (".csv", ".parquet")
NUMERICS_PREFIX = "numerics."
"""Prefix of the columns with a replicate's numerics; parameter columns also have a dot, metric columns a slash."""

Row = dict[str, Any]
Fields = Callable[[ArmInfo], Mapping[str, Any]]
"""Maps an arm to all fields of its configuration, with dotted keys."""


def rows_of(what: What, state: JournalState, sweep: SweepInfo, fields: Fields) -> list[Row]:
    """Return the rows of a table; rows may lack columns that others have.

    Args:
        what: What one row stands for.
        state: The journal.
        sweep: Its newest description.
        fields: Source of the parameter columns.
    """
    if what == "replicates":
        return [_replicate(each, sweep, fields) for each in _replicates(state, sweep)]
    if what == "curves":
        return [row for each in _replicates(state, sweep) for row in _curve(each, sweep)]
    return _configurations(state, sweep, fields)


def _replicates(state: JournalState, sweep: SweepInfo) -> list[Replicate]:
    """Return the planned replicates in the study's order, then those that it no longer plans."""
    planned = {(arm.config_id, seed): None for arm in sweep.units for seed in arm.seeds}
    keys = [*planned, *(key for key in state.replicates if key not in planned)]
    return [state.replicates.get(key) or Replicate(*key) for key in keys]


def _arms(sweep: SweepInfo, config_id: str) -> list[ArmInfo]:
    return [arm for arm in sweep.units if arm.config_id == config_id]


def _identity(replicate: Replicate, sweep: SweepInfo) -> Row:
    arms = _arms(sweep, replicate.config_id)
    return {
        "study": sweep.study,
        "scale": sweep.scale,
        "arm": " = ".join(arm.arm for arm in arms) or None,
        "config_id": replicate.config_id,
        "seed": replicate.seed,
        "status": replicate.status or PENDING,
        "planned": any(replicate.seed in arm.seeds for arm in arms),
    }


def _replicate(replicate: Replicate, sweep: SweepInfo, fields: Fields) -> Row:
    arms = _arms(sweep, replicate.config_id)
    described: Row = {}
    if arms:
        described = {"role": arms[0].role, "num_parameters": arms[0].num_parameters, **fields(arms[0])}
    return {
        **_identity(replicate, sweep),
        "step": replicate.reports[-1].step if replicate.reports else None,
        "seconds": replicate.seconds,
        "cpu_seconds": replicate.cpu_seconds,
        "peak_memory_mib": replicate.peak_memory_mib,
        "starts": replicate.starts,
        "message": replicate.message,
        **described,
        **{name: float(value) for name, value in replicate.final_metrics.items()},
        **{f"{NUMERICS_PREFIX}{name}": value for name, value in replicate.numerics.items()},
    }


def _curve(replicate: Replicate, sweep: SweepInfo) -> list[Row]:
    identity = _identity(replicate, sweep)
    return [
        {
            **identity,
            "step": point.step,
            "time": point.time,
            **{name: float(value) for name, value in point.metrics.items()},
        }
        for point in replicate.reports
    ]


def _configurations(state: JournalState, sweep: SweepInfo, fields: Fields) -> list[Row]:
    """Return a row per arm: its means over seeds with their intervals, and the differences to the baseline."""
    reported = {name for r in state.replicates.values() if r.status == "finished" for name in r.final_metrics}
    names = [metric.name for metric in sweep.all_metrics if metric.name in reported]
    tables = [summarise(state, name) for name in names or [sweep.primary_metric]]
    arms = {arm.arm: arm for arm in sweep.arms}
    rows = []
    for index, first in enumerate(tables[0].rows):
        row: Row = {
            "study": sweep.study,
            "scale": sweep.scale,
            "arm": first.arm,
            "role": first.role,
            "config_id": first.config_id,
            "num_parameters": first.num_parameters,
            "n_planned": sum(first.statuses.values()),
            "n_failed": first.n_failed,
            **fields(arms[first.arm]),
        }
        for table in tables:
            row |= _summary(table.metric, table.rows[index])
        rows.append(row)
    return rows


_INTERVALS = ("ci_low", "ci_high", "ci_method", "delta", "delta_ci_low", "delta_ci_high")
_SUMMARY = ("n", "std", *_INTERVALS, "p", "p_adjusted", "reading")


def _summary(metric: str, row: ResultRow) -> Row:
    return {metric: row.mean, **{f"{metric}.{name}": getattr(row, name) for name in _SUMMARY}}


def to_columns(rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Return columns of one type each: booleans, integers, floats, or else text; None if a row has no value.

    Lists, mappings and columns of mixed types become JSON text, so that every file format can hold them. The
    identifying columns come first, then parameters, metrics and numerics.
    """
    listed = list(rows)
    names = dict.fromkeys(name for row in listed for name in row)
    return {name: _unified([row.get(name) for row in listed]) for name in sorted(names, key=_group)}


def _group(column: str) -> int:
    if "/" in column:
        return 2
    if column.startswith(NUMERICS_PREFIX):
        return 3
    return 1 if "." in column else 0


def _unified(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    if len(kinds) <= 1 and kinds <= {bool, int, float, str}:
        return values
    return [None if v is None else v if isinstance(v, str) else json.dumps(v, default=str) for v in values]


def write_table(rows: Iterable[Row], path: Path, suffix: str) -> tuple[int, list[str]]:
    """Write rows to a file, as `.csv` or `.parquet` by `suffix`; return the number of rows and the columns.

    Raises:
        ValueError: If the suffix is anything else.
        OSError: If the file cannot be written.
    """
    if suffix not in SUFFIXES:
        raise ValueError(f"{suffix}: a table is {' or '.join(SUFFIXES)}")
    table = _table(rows)
    _write(table, path, suffix)
    return table.num_rows, table.column_names


def csv_bytes(rows: Iterable[Row]) -> bytes:
    """Return rows as the content of a CSV file."""
    stream = io.BytesIO()
    _write(_table(rows), stream, ".csv")
    return stream.getvalue()


def _table(rows: Iterable[Row]) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: _array(values) for name, values in to_columns(rows).items()})


def _array(values: list[Any]) -> pa.Array:
    import pyarrow as pa

    # A column without any value has no type; as a numeric column, readers see missing numbers.
    return pa.array(values, type=pa.float64() if all(value is None for value in values) else None)


def _write(table: pa.Table, target: Path | io.BytesIO, suffix: str) -> None:
    if suffix == ".parquet":
        from pyarrow import parquet

        parquet.write_table(table, target)
    else:
        from pyarrow import csv

        csv.write_csv(table, target, csv.WriteOptions(quoting_style="needed"))
