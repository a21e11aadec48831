"""Results in the schemas that the π-spiral experiments guide documents, for programs that read those.

metrics.jsonl: {task, length, depth, mode, accuracy, em, f1, seed, runtime}, a line for each cell of a retrieval
task; `mode` is the arm. system.csv: step, length, vram_mb, tokens_per_sec, window, state_size, a row a report.

Source:
    π-spiral experiments guide, "Logging schema".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key, Replicate

METRIC_KEYS = ("task", "length", "depth", "mode", "accuracy", "em", "f1", "seed", "runtime")
SYSTEM_COLUMNS = ("step", "length", "vram_mb", "tokens_per_sec", "window", "state_size")
TABLE_SUFFIX = "_metrics.jsonl"
"""Ends the names of the tables that retrieval tasks leave in a replicate's folder, as `niah_test_metrics.jsonl`."""

Texts = Callable[[Key], Mapping[str, str]]
"""Returns the texts in a replicate's folder whose names end so, by name."""


class SystemLog(NamedTuple):
    """The rows of system.csv of one replicate."""

    arm: str
    seed: int
    rows: list[tuple[Any, ...]]


def metric_rows(state: JournalState, sweep: SweepInfo, texts: Texts) -> Iterator[dict[str, Any]]:
    """Yield the rows of metrics.jsonl: of each finished replicate the cells of its test split, or of validation."""
    for arm, replicate in _finished(state, sweep):
        found = texts(replicate.key)
        for name in _of_one_split(found):
            for line in found[name].splitlines():
                row = {**json.loads(line), "mode": arm.arm, "seed": replicate.seed}
                yield {key: row[key] for key in METRIC_KEYS}


def _of_one_split(names: Mapping[str, str]) -> list[str]:
    """Return the tables to show: validation's only of tasks that have no test split."""
    tests = [name for name in names if name.endswith(f"_test{TABLE_SUFFIX}")]
    tested = {name.removesuffix(f"_test{TABLE_SUFFIX}") for name in tests}
    ending = f"_val{TABLE_SUFFIX}"
    return tests + [name for name in names if name.endswith(ending) and name.removesuffix(ending) not in tested]


def system_logs(
    state: JournalState, sweep: SweepInfo, fields: Callable[[ArmInfo], Mapping[str, Any]]
) -> Iterator[SystemLog]:
    """Yield the rows of system.csv of each finished replicate.

    Memory is the highest measured, on a CPU of the process; a window or a state that an arm lacks is None.

    Args:
        state: The journal.
        sweep: Its newest description.
        fields: Returns all fields of an arm's configuration, with dotted keys.
    """
    for arm, replicate in _finished(state, sweep):
        known = fields(arm)
        yield SystemLog(
            arm.arm,
            replicate.seed,
            [
                (
                    point.step,
                    known.get("task.context_length"),
                    replicate.peak_memory_mib,
                    point.metrics.get("train/tokens_per_second"),
                    known.get("architecture.attention_window"),
                    replicate.final_metrics.get("probe/attractor_state_bytes"),
                )
                for point in replicate.reports
            ],
        )


def _finished(state: JournalState, sweep: SweepInfo) -> Iterator[tuple[ArmInfo, Replicate]]:
    for arm in sweep.arms:
        for seed in arm.seeds:
            replicate = state.replicates.get((arm.config_id, seed))
            if replicate is not None and replicate.status == "finished":
                yield arm, replicate
