"""What the fields of a study and the files that it names decide: checked before PyTorch is imported."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from analysis.records.ablation import AblationInfo
from analysis.records.description import SHARED_METRICS, MetricInfo
from cluster.inventory import Inventory
from sweeps.errors import UserError, nearest
from sweeps.plan.batch_splits import check_batch_splits
from sweeps.plan.dependencies import absolute, check_sources, trained_arms
from sweeps.plan.search.corners import corner_arms
from sweeps.plan.size_limits import check_sizes
from sweeps.studies.claims import check_claimed_metrics
from sweeps.studies.study import Arm, Study
from sweeps.studies.validation import field_in
from trainables.data.errors import DataError
from trainables.plugins.files import last_line_in
from trainables.plugins.rules import in_words


def data_dir_from_environment() -> Path | None:
    """Return `PHASESWEEP_DATA` as a path.

    Raises:
        UserError: If it names no folder.
    """
    text = os.environ.get("PHASESWEEP_DATA")
    if not text:
        return None
    path = Path(text).expanduser().resolve()
    if not path.is_dir():
        raise UserError(f"PHASESWEEP_DATA={text}: no such folder; correct it or unset it")
    return path


def checked(study: Study, inventory: Inventory | None, data_dir: Path | None) -> Study:
    """Check everything that needs neither data nor a model; return the study with every path absolute.

    Paths are made absolute because Ray's workers run in folders of their own.

    Args:
        study: The study.
        inventory: The resources for trials; None: unknown.
        data_dir: Where local data lies.

    Raises:
        UserError: On the first mistake.
    """
    if names := study.baseline.config.task.metric_names:
        check_metrics(study, dict.fromkeys(names))
    at_corners = replace(study, arms=(*study.arms, *(arm for arms in corner_arms(study).values() for arm in arms)))
    _check_workers(at_corners)
    check_sizes(at_corners, inventory)
    check_batch_splits(at_corners)
    check_sources(study)
    arm = study.baseline
    try:
        study = absolute(study, data_dir)
        for arm in trained_arms(study):
            arm.config.task.check_files(data_dir)
    except (DataError, OSError) as error:
        raise data_mistake(study, arm, error) from error
    for arm in trained_arms(study):
        try:
            arm.config.architecture.check_files()
        except ValueError as error:
            raise model_mistake(study, arm, error) from error
    # Around a winner, what a component changes is known when there is one.
    if study.ablation is not None and study.ablation.tuning != "winner":
        canonical = {arm.name: json.dumps(arm.config.canonical(), sort_keys=True) for arm in study.arms}
        check_ablation(study.ablation, study, canonical)
    return study


def check_metrics(study: Study, of_task: Mapping[str, str | None]) -> None:
    """Check that the study's metric is one of its task or a probe, and those of its claims.

    Args:
        study: The study.
        of_task: The direction of each metric of its task; None if it is not known yet.

    Raises:
        UserError: If a metric is unknown, or a claim does not say which side of one is better.
    """
    of_models = {probe.name: probe.direction for probe in probes(study)}
    known = [*of_task, *of_models]
    if study.metric is not None and study.metric not in known:
        raise UserError(f"{study.where('metric')}: unknown metric '{study.metric}'; {nearest(study.metric, known)}")
    shared = {metric.name: metric.direction for metric in SHARED_METRICS}
    check_claimed_metrics(study, {**of_task, **shared, **of_models})


def probes(study: Study) -> tuple[MetricInfo, ...]:
    """Return the probes that the families of a study's arms declare, each once."""
    declared = {probe.name: probe for arm in trained_arms(study) for probe in arm.config.architecture.probes}
    return tuple(MetricInfo(**vars(probe)) for probe in declared.values())


def data_mistake(study: Study, arm: Arm, error: DataError | OSError) -> UserError:
    """Return what is wrong with the data of an arm's task, with the place of the field that names them."""
    said, fields = str(error), arm.config.task.model_dump(exclude={"name"})
    named = (field for field, value in fields.items() if isinstance(value, str) and f"'{value}'" in said)
    field = next(named, "corpus")
    key = ("task", field) if field in fields else ("task",)
    return UserError(f"{study.where(*key, arm=arm.name)}: {said}")


def model_mistake(study: Study, arm: Arm, error: ValueError) -> UserError:
    """Return what is wrong with an arm's model, with the place of the field that is to blame."""
    field = field_in(str(error), arm.config.architecture.model_dump())
    return UserError(f"{study.where('architecture', *map(str, field), arm=arm.name)}: {error} (arm '{arm.name}')")


def plugin_mistake(arm: Arm, error: Exception) -> UserError | None:
    """Return what the code of an arm's plugins raised, with its line; None if it is not in the traceback."""
    files = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    for plugin in arm.config.plugins.values():
        if plugin.location in files:
            return UserError(
                f"{last_line_in(plugin, error)}: {in_words(error)} (arm '{arm.name}', while it is planned); "
                "`phasesweep check FILE` tests a plugin by itself"
            )
    return None


def _check_workers(study: Study) -> None:
    """Refuse arms that several workers cannot train together."""
    workers, sharding = study.resources.workers, study.resources.sharding
    for arm in trained_arms(study):
        if arm.config.budget.batch_size % workers:
            raise UserError(
                f"{study.where('resources', 'workers')}: workers={workers} must divide "
                f"budget.batch_size={arm.config.budget.batch_size} of arm '{arm.name}': every worker trains on an "
                "equal part of each batch"
            )
        if sharding == "fsdp" and arm.config.optimizer.name == "adamw_8bit":
            raise UserError(
                f"{study.where('resources', 'sharding')}: sharding=fsdp cannot divide the state of "
                f"optimizer.name=adamw_8bit of arm '{arm.name}'; choose adamw, or sharding=replicated"
            )
        if sharding == "fsdp" and not arm.config.architecture.shardable:
            raise UserError(
                f"{study.where('resources', 'sharding')}: sharding=fsdp cannot divide architecture "
                f"'{arm.config.architecture.name}' of arm '{arm.name}'; choose sharding=replicated"
            )


def check_ablation(info: AblationInfo, study: Study, canonical: Mapping[str, str]) -> None:
    """Refuse an ablation of which two arms compute the same: their results would count twice.

    Args:
        info: The ablation.
        study: Whose it is.
        canonical: The canonical configuration of each arm, by name.

    Raises:
        UserError: If there are two.
    """
    first: dict[str, str] = {}
    for name in dict.fromkeys((info.around, *info.arms, *info.placebos)):
        before = first.setdefault(canonical[name], name)
        if before == name:
            continue
        missing = [one for one in info.components if one not in info.arms.get(name, info.components)]
        where = study.where("ablation", "components", missing[0]) if missing else study.where("ablation", "placebo")
        if before == info.around:
            raise UserError(
                f"{where}: '{name}' computes the same as '{before}', which has these settings itself; leave it out"
            )
        raise UserError(
            f"{where}: '{name}' computes the same as '{before}', so that its results would count twice; make one "
            "component of those that depend on each other, or choose another design"
        )
