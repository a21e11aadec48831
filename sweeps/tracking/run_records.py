"""The runs that MLflow should hold for a journal, as plain records, without MLflow.

There is one run per configuration, with its replicates below it, and one run per sweep. A record is a function of
the journal alone, so that writing it again, from any process, changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Key, Replicate, ReportPoint
from analysis.records.statuses import FAILURES, RESULTS
from analysis.results.arms import summarise
from analysis.results.searches import selection_metrics
from analysis.results.table import ResultRow, ResultTable
from sweeps.fields import flatten
from sweeps.store.folder import ResultsFolder
from sweeps.store.reader import JournalView, SweepRun
from sweeps.tracking import notes as descriptions
from sweeps.tracking.tracker import RESOURCES, Level, RunRecord, RunStatus, mlflow_name

MAX_PARAMETER_CHARACTERS = 6000
MAX_TAG_CHARACTERS = 8000
CONFIGURATIONS_VIEW = "configurations"
"""Key of the shared view of an experiment that shows its configurations."""

PROBE_PREFIX = "with/"
"""Prefix of the name of a probe's mean over seeds, as in `with/probe/leak.ci_high`.

MLflow's comparison page sorts metrics by name, and fifty rows of probes would push the scores out of sight.
"""

POSITION_TAG = "mlflow.phasesweep.position"
"""Place of a configuration in its study. MLflow does not list tags that begin with `mlflow.`."""


def _texts(tree: dict[str, Any]) -> dict[str, str]:
    """Return {dotted key: text} of a nested mapping; lists and None as JSON, texts as they are."""
    return {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in flatten(tree).items()}


def _parameters(tree: dict[str, Any]) -> dict[str, str]:
    """Return the fields that fit MLflow's limit; a longer one is in config.yaml and the journal only."""
    flat = _texts(tree)
    return {mlflow_name(k): v for k, v in flat.items() if len(v) <= MAX_PARAMETER_CHARACTERS}


def _tags(tree: dict[str, Any]) -> dict[str, str]:
    return {mlflow_name(key): value[:MAX_TAG_CHARACTERS] for key, value in _texts(tree).items() if value}


class RunRecords:
    """Turns the state of a journal into run records.

    Args:
        experiment: `study@scale`; prefix of every key.
        replicates_dir: Folder of `<config_id>/seed=<k>/config.yaml`; may not exist.
    """

    def __init__(self, experiment: str, replicates_dir: Path) -> None:
        self.experiment = experiment
        self._replicates_dir = replicates_dir
        self._resolved: dict[str, dict[str, Any]] = {}

    def configuration_key(self, config_id: str) -> str:
        """Return the key of a configuration's run."""
        return f"{self.experiment}/{config_id}"

    def sweeps(self, view: JournalView) -> list[RunRecord]:
        """Return the records of all sweeps."""
        return [self._sweep(sweep, view) for sweep in view.sweeps.values()]

    def replicates(self, view: JournalView, keys: Iterable[Key]) -> list[RunRecord]:
        """Return the records of the replicates named by (config_id, seed)."""
        arms = _arms_by_configuration(view)
        return [self._replicate(view.state.replicates[key], arms[key[0]][0], view) for key in sorted(keys)]

    def configurations(self, view: JournalView, *, primary_only: bool = False) -> list[RunRecord]:
        """Return the records of all configurations of all sweeps, summarised over their replicates.

        Args:
            view: The journal.
            primary_only: Summarise the primary metric only, while the sweep runs: the time for all of them grows
                with arms times metrics.
        """
        state = view.state
        if state.sweep is None:
            return []
        newest = state.sweep
        names = [newest.primary_metric] if primary_only else _summarised(state, newest)
        rows = _rows(summarise(state, name) for name in names)
        replicates: dict[str, list[Replicate]] = {}
        for replicate in state.replicates.values():
            replicates.setdefault(replicate.config_id, []).append(replicate)
        first_of = _first_sweeps(view)
        chosen_by = selection_metrics(state)
        return [
            self._configuration(
                place,
                arms,
                rows.get(name, {}),
                replicates.get(name, []),
                first_of[name],
                newest,
                chosen_by.get(name, {}),
            )
            for place, (name, arms) in enumerate(_arms_by_configuration(view).items())
        ]

    def _fields(self, config_id: str) -> dict[str, Any]:
        if not self._resolved.get(config_id):  # not known yet; once written, they never change
            self._resolved[config_id] = ResultsFolder(self._replicates_dir.parent).configuration(config_id)
        return self._resolved[config_id]

    def _common(self, level: Level, sweep: SweepInfo, note: str) -> dict[str, Any]:
        tags: dict[str, Any] = {
            "phasesweep.level": level,
            "phasesweep.study": sweep.study,
            "phasesweep.scale": sweep.scale,
            "mlflow.note.content": note,
            "mlflow.source.name": "phasesweep",
            "mlflow.source.type": "LOCAL",
        }
        commit = sweep.provenance.get("git_commit")
        if commit:
            tags["mlflow.source.git.commit"] = commit
        return tags

    def _configuration(
        self,
        place: int,
        arms: list[ArmInfo],
        rows: Mapping[str, ResultRow],
        replicates: list[Replicate],
        first: SweepRun,
        newest: SweepInfo,
        selection: Mapping[str, float],
    ) -> RunRecord:
        arm = arms[0]
        key = self.configuration_key(arm.config_id)
        ended = [r for r in replicates if r.has_ended]
        ended_at = max((r.ended_at or 0.0 for r in ended), default=first.started_at)
        status = _status_of_all(arms, replicates, ended)
        note = descriptions.configuration(arm, rows)
        own = {
            "phasesweep.arm": arm.arm,
            "phasesweep.role": arm.role,
            "phasesweep.config_id": arm.config_id,
            POSITION_TAG: f"{place:06d}",
        }
        return RunRecord(
            key=key,
            level="configuration",
            name=" = ".join(a.arm for a in arms),
            started_at=first.started_at,
            ended_at=ended_at if status in {"FINISHED", "FAILED"} else None,
            status=status,
            parameters=_parameters({**arm.parameters, **self._fields(arm.config_id)}),
            tags=_tags({**self._common("configuration", newest, note), **own}),
            summary=_summary(rows, newest.primary_metric, selection, len(ended), ended_at),
        )

    def _replicate(self, replicate: Replicate, arm: ArmInfo, view: JournalView) -> RunRecord:
        config_id, seed = replicate.config_id, replicate.seed
        owner = view.sweeps[view.owners.get((config_id, seed), next(reversed(view.sweeps)))]
        parent = self.configuration_key(config_id)
        key = f"{parent}/{seed}"
        word, status, ended_at = _outcome(replicate, view)
        provenance = {k: v for k, v in owner.info.provenance.items() if k in {"git_dirty"}}
        own = {
            "phasesweep.arm": arm.arm,
            "phasesweep.config_id": config_id,
            "phasesweep.sweep": owner.sweep_id,
            "phasesweep.status": word,
            "phasesweep.message": replicate.message,
            "phasesweep": {**provenance, "data_hash": arm.data_hash},
            "predicted_peak_memory_mib": arm.predicted_memory_mib,
            "numerics": replicate.numerics,
        }
        return RunRecord(
            key=key,
            level="replicate",
            name=f"{arm.arm} · seed {seed}",
            started_at=view.first_started.get((config_id, seed), owner.started_at),
            ended_at=ended_at,
            status=status,
            parent=parent,
            parameters=_parameters({"seed": seed, "config_id": config_id, **arm.parameters}),
            tags=_tags({**self._common("replicate", owner.info, replicate.message), **own}),
            curve=replicate.reports,
            summary=_resources(replicate),
        )

    @staticmethod
    def _described(sweep: SweepRun, view: JournalView) -> SweepInfo:
        """Return the description of a sweep; of the newest, with what a search has added since it began."""
        is_newest = sweep.sweep_id == next(reversed(view.sweeps))
        return view.state.sweep if is_newest and view.state.sweep else sweep.info

    def _sweep(self, sweep: SweepRun, view: JournalView) -> RunRecord:
        info = self._described(sweep, view)
        planned = {(arm.config_id, seed) for arm in info.units for seed in arm.seeds}
        known = [view.state.replicates[key] for key in planned & view.state.replicates.keys()]
        ended = [replicate for replicate in known if replicate.has_ended]
        failed = sum(replicate.status in FAILURES for replicate in ended)
        status: RunStatus = "RUNNING"
        if sweep.interrupted_at is not None:
            status = "KILLED"
        elif len(ended) == len(planned) and _is_over(info, view):
            status = "FAILED" if failed else "FINISHED"
        key = f"{self.experiment}/sweep/{sweep.sweep_id}"
        note = descriptions.sweep(info)
        own = {"provenance": sweep.info.provenance}
        counts = {
            "replicates/planned": float(len(planned)),
            "replicates/ended": float(len(ended)),
            "replicates/failed": float(failed),
            "replicates/diverged": float(sum(r.status == "diverged" for r in ended)),
        }
        return RunRecord(
            key=key,
            level="sweep",
            name=f"sweep {sweep.sweep_id}",
            started_at=sweep.started_at,
            ended_at=sweep.last_event_at if status != "RUNNING" else None,
            status=status,
            tags=_tags({**self._common("sweep", sweep.info, note), **own}),
            summary=ReportPoint(len(ended), sweep.last_event_at, counts),
        )


def experiment_tags(state: JournalState) -> dict[str, str]:
    """Return the experiment's description and its shared view: the configurations with their intervals."""
    sweep = state.sweep
    if sweep is None:
        return {}
    metric = sweep.primary_metric
    names = [metric, f"{metric}.ci_low", f"{metric}.ci_high", f"{metric}.std", "n_seeds", "n_failed"]
    differing = sorted({name for arm in sweep.units for name in flatten(arm.parameters)})
    columns = [f"metrics.`{mlflow_name(name)}`" for name in names]
    columns += [f"params.`{mlflow_name(name)}`" for name in differing]
    best_first = sweep.metric(metric).direction != "maximise"
    view = {
        "searchFilter": "tags.phasesweep.level = 'configuration'",
        "orderByKey": columns[0],
        "orderByAsc": best_first,
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {column: max(90, 7 * len(column) - 35) for column in columns},
        "runsHiddenMode": "SHOW_ALL",
    }
    return {
        "mlflow.note.content": descriptions.experiment(state),
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{CONFIGURATIONS_VIEW}": json.dumps(view),
    }


def _is_over(info: SweepInfo, view: JournalView) -> bool:
    """Return whether a sweep's search has selected all winners; True without one."""
    arms = info.search.arms if info.search else ()
    return all(one.search in view.state.searches.winners for one in arms)


def _arms_by_configuration(view: JournalView) -> dict[str, list[ArmInfo]]:
    """Return the arms of each configuration, as the newest sweep that has it describes them.

    The newest description comes first: it also has what a search has proposed since that sweep began.
    """
    found: dict[str, list[ArmInfo]] = {}
    newest = [view.state.sweep] if view.state.sweep else []
    for info in (*newest, *(sweep.info for sweep in reversed(view.sweeps.values()))):
        own: dict[str, list[ArmInfo]] = {}
        for arm in info.units:
            own.setdefault(arm.config_id, []).append(arm)
        found |= {config_id: arms for config_id, arms in own.items() if config_id not in found}
    return found


def _first_sweeps(view: JournalView) -> dict[str, SweepRun]:
    """Return the first sweep of each configuration."""
    sweeps = view.sweeps
    born = {config_id: sweeps[sweep_id] for config_id, sweep_id in view.state.searches.born_in.items()}
    return born | {
        arm.config_id: sweep for sweep in reversed(sweeps.values()) for arm in reversed(sweep.info.units)
    }


def _outcome(replicate: Replicate, view: JournalView) -> tuple[str, RunStatus, float | None]:
    """Return the replicate's status in our terms and in MLflow's, and when it ended.

    A diverged replicate is FINISHED in MLflow, since it is a result; FAILED is for replicates without one.
    """
    if replicate.has_ended:
        word = str(replicate.status)
        return word, "FINISHED" if word in RESULTS else "FAILED", replicate.ended_at
    if replicate.reruns and replicate.started_at is None:
        return "reopened", "SCHEDULED", None
    interrupted_at = view.interrupted_at(replicate)
    if interrupted_at is not None:
        return "interrupted", "KILLED", interrupted_at
    if replicate.has_open_attempt:
        return "running", "RUNNING", None
    return replicate.status or "preempted", "KILLED", replicate.ended_at


def _status_of_all(arms: list[ArmInfo], replicates: list[Replicate], ended: list[Replicate]) -> RunStatus:
    planned = {seed for arm in arms for seed in arm.seeds}
    if not planned <= {replicate.seed for replicate in ended}:
        return "RUNNING" if replicates else "SCHEDULED"
    return "FAILED" if any(r.status in FAILURES for r in ended) else "FINISHED"


def _summarised(state: JournalState, sweep: SweepInfo) -> list[str]:
    """Return the metrics that a configuration has means of: the primary one, then others that a result reports.

    Training metrics (`train/...`) are in the replicates' curves only: their last values say nothing about an arm
    that the scores do not say.
    """
    reported = {name for r in state.replicates.values() if r.status == "finished" for name in r.final_metrics}
    names = [metric.name for metric in sweep.all_metrics if not metric.name.startswith("train/")]
    return [sweep.primary_metric, *(n for n in names if n in reported and n != sweep.primary_metric)]


def _name_in_summary(metric: str) -> str:
    """Return the name of a metric's mean in a configuration; probes sort after the scores."""
    return f"{PROBE_PREFIX}{metric}" if metric.startswith("probe/") else metric


def _rows(tables: Iterable[ResultTable]) -> dict[str, dict[str, ResultRow]]:
    """Return {configuration: {metric: row}}; arms that are one configuration have equal rows."""
    rows: dict[str, dict[str, ResultRow]] = {}
    for table in tables:
        for row in reversed(table.rows):
            rows.setdefault(row.config_id, {})[table.metric] = row
    return rows


def _summary(
    rows: Mapping[str, ResultRow], primary: str, selection: Mapping[str, float], num_ended: int, ended_at: float
) -> ReportPoint | None:
    """Return the summary of a configuration's replicates; its step counts those that have ended."""
    if primary not in rows:
        return ReportPoint(num_ended, ended_at, dict(selection)) if selection else None
    row = rows[primary]
    values: dict[str, float | None] = {"n_seeds": float(row.n), "n_failed": float(row.n_failed)}
    # MLflow sorts metrics by name: these two sort after val/, so that the intervals come first.
    values |= {"wall_seconds": row.seconds, "worst_peak_memory_mib": row.peak_memory_mib}
    for metric, result in rows.items():
        name = _name_in_summary(metric)
        values |= {name: result.mean, f"{name}.std": result.std}
        values |= {f"{name}.ci_low": result.ci_low, f"{name}.ci_high": result.ci_high}
    values |= selection
    return ReportPoint(num_ended, ended_at, {k: v for k, v in values.items() if v is not None})


def _resources(replicate: Replicate) -> ReportPoint | None:
    if replicate.ended_at is None:
        return None
    used = dict(zip(RESOURCES, (replicate.seconds, replicate.peak_memory_mib), strict=True))
    step = replicate.reports[-1].step if replicate.reports else 0
    return ReportPoint(step, replicate.ended_at, {k: v for k, v in used.items() if v is not None})
