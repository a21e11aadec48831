"""A study that has been run before: its folder, its journal, and the arms that its newest sweep describes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState
from sweeps.console import proposed
from sweeps.errors import UserError, nearest
from sweeps.fields import SECTIONS, flatten
from sweeps.store.folder import ResultsFolder, replicate_fields, results_root
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study


@dataclass(frozen=True)
class StoredSweep:
    """A study with results, read without its data, Ray or MLflow."""

    study: Study
    folder: ResultsFolder
    state: JournalState
    sweep: SweepInfo
    """The newest description in the journal."""

    @property
    def experiment(self) -> str:
        """`study@scale`, with a hash of the overrides if there are any; MLflow's name of it too."""
        return f"{self.study.name}@{self.study.folder_name}"


def load_results(name: str, scale: str, sets: Iterable[str]) -> StoredSweep:
    """Open the results of a study.

    Raises:
        UserError: If the study is not valid, or has never been run at this scale with these overrides.
    """
    study = load_study(name, scale, sets)
    folder = ResultsFolder.of(results_root(), study)
    state = folder.state()
    if state.sweep is None:
        overrides = [part for text in study.override_texts for part in ("--set", text)]
        start = proposed("run", name, "--scale", scale, *overrides)
        raise UserError(f"no results in {folder.path}; start with: {start}")
    return StoredSweep(study, folder, state, state.sweep)


def find_arm(sweep: SweepInfo, text: str, where: str) -> ArmInfo:
    """Return the arm with this name or configuration id.

    Raises:
        UserError: If the sweep has no such arm; `where` says who asked.
    """
    for arm in sweep.units:
        if text in {arm.arm, arm.config_id}:
            return arm
    raise UserError(f"{where}: no arm '{text}'; {nearest(text, [arm.arm for arm in sweep.units])}")


def resolved_fields(folder: Path, arm: ArmInfo) -> dict[str, Any]:
    """Return every field of an arm's configuration, with dotted keys, from a results folder.

    That is what its replicates were given, or, before one has started, the study as it was resolved for the
    newest sweep; empty where neither is there.
    """
    resolved = replicate_fields(folder / "replicates", arm.config_id)
    written = folder / "study.yaml"
    if not resolved and written.is_file():
        study = yaml.safe_load(written.read_text(encoding="utf-8"))
        resolved = {key: value for key, value in study["arms"].get(arm.arm, {}).items() if key in SECTIONS}
    return flatten(resolved)


def find_metric_name(sweep: SweepInfo, name: str | None) -> str:
    """Return `name` if the sweep has such a metric, or its primary metric for None.

    Raises:
        UserError: If it has none of that name.
    """
    known = [metric.name for metric in sweep.all_metrics]
    if name is not None and name not in known:
        raise UserError(f"--metric: unknown metric '{name}'; {nearest(name, known)}")
    return name or sweep.primary_metric
