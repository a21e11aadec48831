"""A study that has been run before: its folder, its journal, and the arms that its newest sweep describes.

Needs no data, PyTorch, Ray or MLflow: the journal has everything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState
from sweeps.console import proposed
from sweeps.errors import UserError, nearest
from sweeps.fields import SECTIONS, check_scale, flatten
from sweeps.store.folder import ResultsFolder, results_root
from sweeps.studies.catalogue import StudyHead, find
from sweeps.studies.overrides import parse_overrides


@dataclass(frozen=True)
class StoredSweep:
    """Results of a study."""

    folder: ResultsFolder
    state: JournalState
    sweep: SweepInfo
    """The newest description in the journal."""

    @property
    def experiment(self) -> str:
        """`study@scale`, with a hash of the overrides if there are any; MLflow's name of it too."""
        return self.folder.experiment


def find_results(name: str, scale: str, sets: Iterable[str]) -> ResultsFolder:
    """Return the folder of a study's results, whether or not it has been run.

    Says on standard error if there are more results, which are not read.

    Args:
        name: A study of the library, a YAML file, or a study that has results here.
        scale: Its scale.
        sets: Overrides, as `key=value`.

    Raises:
        UserError: If there is no such study, scale or key, or something else is in the folder.
    """
    chosen, overrides = check_scale(scale), parse_overrides(sets)
    root = results_root()
    folder = ResultsFolder.find(root, _study_name(name, root), chosen, overrides)
    if folder.notice:
        sys.stderr.write(f"phasesweep: {folder.notice}\n")
    return folder


def _study_name(name: str, root: Path) -> str:
    try:
        return StudyHead.read(find(name)).name
    except UserError:
        if name.isidentifier() and (root / name).is_dir():
            return name  # its file is elsewhere, or gone
        raise


def load_results(name: str, scale: str, sets: Iterable[str]) -> StoredSweep:
    """Open the results of a study.

    Raises:
        UserError: As `find_results`, and if it has never been run at this scale with these overrides.
    """
    texts = list(sets)
    folder = find_results(name, scale, texts)
    state = folder.state()
    if state.sweep is None:
        raise no_results(folder, name, scale, texts)
    return StoredSweep(folder, state, state.sweep)


def no_results(folder: ResultsFolder, name: str, scale: str, sets: Iterable[str]) -> UserError:
    """Return the error for a study without results."""
    overrides = [part for text in sets for part in ("--set", text)]
    start = proposed("run", name, "--scale", scale, *overrides)
    return UserError(f"no results in {folder.path}; start with: {start}")


def find_arm(sweep: SweepInfo, text: str, where: str) -> ArmInfo:
    """Return the arm with this name or configuration id.

    Raises:
        UserError: If the sweep has no such arm; `where` begins the message.
    """
    for arm in sweep.units:
        if text in {arm.arm, arm.config_id}:
            return arm
    raise UserError(f"{where}: no arm '{text}'; {nearest(text, [arm.arm for arm in sweep.units])}")


def resolved_fields(folder: Path, arm: ArmInfo) -> dict[str, Any]:
    """Return every field of an arm's configuration, with dotted keys, from a results folder.

    They come from the configuration of its replicates or, before one has started, from the study as resolved for
    the newest sweep; empty if neither exists.
    """
    results = ResultsFolder(folder)
    resolved = results.configuration(arm.config_id)
    if not resolved:
        arms = results.resolved_study().get("arms", {})
        resolved = {key: value for key, value in arms.get(arm.arm, {}).items() if key in SECTIONS}
    return flatten(resolved)


def find_metric_name(sweep: SweepInfo, name: str | None) -> str:
    """Return `name` if the sweep has such a metric, or its primary metric for None.

    Raises:
        UserError: If it has none of that name.
    """
    try:
        return sweep.metric(name or sweep.primary_metric).name
    except KeyError:
        known = [metric.name for metric in sweep.all_metrics]
        raise UserError(f"--metric: unknown metric '{name}'; {nearest(str(name), known)}") from None
