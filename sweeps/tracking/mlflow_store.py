"""The runs of one journal in MLflow: the only file that imports it."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from analysis.records.replicates import ReportPoint
from sweeps.errors import UserError
from sweeps.tracking.run_records import CONFIGURATIONS_VIEW, POSITION_TAG, RunRecord, mlflow_name

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

METRICS_PER_REQUEST = 800
"""MLflow takes 1000 metrics, parameters and tags at once; the rest is room for parameters and tags."""
CURSOR_TAG = "mlflow.phasesweep.projected"
"""What a run holds: number and digest of its points, digest of its summary.

A run that one batch fills is made with it, since a tag beside a batch makes that half as dear again. In a run
without any metric it is therefore a promise that was not kept: whoever made the run died before the batch.
"""
JOURNAL_TAG = "mlflow.phasesweep.journal"
"""First sweep of the journal that the run shows. MLflow does not list tags that begin with `mlflow.`."""


def database_path(tracking_uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI; None for any other."""
    return Path(tracking_uri.removeprefix("sqlite:///")) if tracking_uri.startswith("sqlite:///") else None


def load() -> None:
    """Import MLflow, which takes seconds.

    Its modules import each other in a circle: a second thread that meets them half made breaks both imports. So
    a program that uses MLflow in a thread of its own calls this before it starts one.

    This process's environment gets, unless it has its own: no telemetry, and requests that give up within
    seconds, since MLflow reads both from there only and waits for minutes otherwise.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    import mlflow.tracking  # noqa: F401


def open_client(tracking_uri: str) -> MlflowClient:
    """Return a client; the schema of a new database is made first, under a lock, without a word.

    MLflow makes the schema when a client is made, and two processes that do so at once break it.
    """
    load()
    from mlflow.tracking import MlflowClient

    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    database = database_path(tracking_uri)
    if database is None:
        return MlflowClient(tracking_uri=tracking_uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f"{database.name}.lock"), fallback_to_soft=False):
        return MlflowClient(tracking_uri=tracking_uri)


def prepare(tracking_uri: str) -> None:
    """Make the database and its schema if there is none yet; call it before any process writes there.

    Raises:
        mlflow.exceptions.MlflowException: If the database is of another MLflow's schema, or not writable.
    """
    open_client(tracking_uri)


@dataclass
class _Run:
    """What a run in MLflow holds, as far as we need to know it."""

    run_id: str
    status: str
    ended_ms: int | None
    tags: dict[str, str]
    parameters: dict[str, str]
    num_points: int = 0
    points_digest: str = ""
    summary_digest: str = ""
    last_point: ReportPoint | None = None
    """The last of the num_points, if this process sent it."""

    def read_cursor(self) -> None:
        """Take over what an earlier projection noted in the run."""
        count, self.points_digest, self.summary_digest = self.tags.get(CURSOR_TAG, "0::").split(":")
        self.num_points = int(count)

    def is_prefix_of(self, curve: Sequence[ReportPoint]) -> bool:
        """Return whether `curve` begins with the points that the run holds."""
        if self.num_points > len(curve):
            return False
        if self.num_points and curve[self.num_points - 1] is self.last_point:
            return True  # a replicate takes back points from the end only, so all before it are the same
        return _digest_points("", curve[: self.num_points]) == self.points_digest


@dataclass
class SyncCounts:
    """What has been sent to MLflow."""

    runs: set[str] = field(default_factory=set)
    """Keys of the runs that were made or changed."""
    num_metrics: int = 0
    """Numbers sent."""
    num_requests: int = 0
    """Calls of MLflow that made or changed a run."""


class RunStore:
    """The runs of one journal in one MLflow experiment. Writes only what differs, and counts it in `written`."""

    def __init__(self, tracking_uri: str, experiment: str, sweep_ids: Sequence[str], written: SyncCounts) -> None:
        self._client = open_client(tracking_uri)
        self._written = written
        self._journal = sweep_ids[0]
        self.experiment_id = self._find_experiment(tracking_uri, experiment)
        self._experiment_tags: dict[str, str] = {}
        self._runs = {run.tags["phasesweep.key"]: run for run in self._existing(set(sweep_ids))}

    def _find_experiment(self, tracking_uri: str, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            database = database_path(tracking_uri)
            artifacts = None if database is None else (database.parent / "mlartifacts" / name).as_uri()
            return str(self._client.create_experiment(name, artifact_location=artifacts))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def _existing(self, sweep_ids: set[str]) -> Iterator[_Run]:
        """Yield the runs of this journal; those of another one of the same name are left alone."""
        token: str | None = None
        while token != "":
            page = self._client.search_runs([self.experiment_id], max_results=1000, page_token=token)
            for found in page:
                if found.data.tags.get(JOURNAL_TAG) in sweep_ids:
                    info, tags = found.info, dict(found.data.tags)
                    run = _Run(info.run_id, info.status, info.end_time, tags, dict(found.data.params))
                    if found.data.metrics:  # else the cursor promises what never came
                        run.read_cursor()
                    yield run
            token = page.token or ""

    def describe_experiment(self, tags: Mapping[str, str]) -> None:
        """Set the experiment's tags that differ from those set before."""
        for key, value in tags.items():
            if self._experiment_tags.get(key) != value:
                self._client.set_experiment_tag(self.experiment_id, key, value)
                self._experiment_tags[key] = value

    def __contains__(self, key: str) -> bool:
        """Whether there is a run with this key."""
        return key in self._runs

    def write(self, record: RunRecord) -> None:
        """Make the run hold what `record` says."""
        run = self._runs.get(record.key)
        if run is not None and not run.is_prefix_of(record.curve):
            # A continued replicate repeated steps that MLflow already has from its lost attempt, and MLflow
            # cannot take points back.
            self._client.delete_run(run.run_id)
            run = None
        if run is None:
            run = self._runs[record.key] = self._create(record)
        self._send(run, record)
        self._set_status(run, record)

    def _create(self, record: RunRecord) -> _Run:
        run = _Run("", "RUNNING", None, self._tags(record), {})
        batches = list(itertools.islice(_batches(run, record), 2))
        if record.ended_at is not None and len(batches) == 1:
            run.tags[CURSOR_TAG] = batches[0].cursor
        start_ms = _milliseconds(record.started_at)
        made = self._client.create_run(self.experiment_id, start_ms, run.tags, record.name)
        run.run_id = made.info.run_id
        run.tags["mlflow.runName"] = record.name
        self._written.num_requests += 1
        return run

    def _tags(self, record: RunRecord) -> dict[str, str]:
        tags = {**record.tags, JOURNAL_TAG: self._journal}
        if record.parent is not None:
            tags["mlflow.parentRunId"] = self._runs[record.parent].run_id
        return tags

    def _send(self, run: _Run, record: RunRecord) -> None:
        tags = {**self._tags(record), "mlflow.runName": record.name, JOURNAL_TAG: run.tags[JOURNAL_TAG]}
        changed = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        # A parameter cannot change. One that would is without effect, or the configuration had another id.
        missing = {key: value for key, value in record.parameters.items() if key not in run.parameters}
        for batch in _batches(run, record):
            if run.tags.get(CURSOR_TAG) != batch.cursor:
                changed[CURSOR_TAG] = batch.cursor
            self._log(run, record, changed, missing, batch.metrics)
            run.last_point = record.curve[run.num_points - 1] if run.num_points else None
            changed, missing = {}, {}
        if changed or missing:
            self._log(run, record, changed, missing, [])
        for key in [key for key in run.tags if key.startswith("phasesweep.") and key not in tags]:
            # Such as the message of a crash that a second attempt has mended.
            self._client.delete_tag(run.run_id, key)
            del run.tags[key]

    def _log(
        self,
        run: _Run,
        record: RunRecord,
        tags: Mapping[str, str],
        parameters: Mapping[str, str],
        metrics: Sequence[Metric],
    ) -> None:
        from mlflow.entities import Param, RunTag

        self._client.log_batch(
            run.run_id,
            metrics=metrics,
            params=[Param(key, value) for key, value in parameters.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        run.tags |= tags
        run.parameters |= parameters
        run.read_cursor()
        self._written.runs.add(record.key)
        self._written.num_metrics += len(metrics)
        self._written.num_requests += 1

    def _set_status(self, run: _Run, record: RunRecord) -> None:
        ended_ms = None if record.ended_at is None else _milliseconds(record.ended_at)
        if ended_ms is not None and (run.status, run.ended_ms) != (record.status, ended_ms):
            self._client.set_terminated(run.run_id, record.status, ended_ms)
        elif run.status != record.status:
            self._client.update_run(run.run_id, status=record.status)
        else:
            return
        run.status, run.ended_ms = record.status, ended_ms
        self._written.runs.add(record.key)
        self._written.num_requests += 1


@dataclass(frozen=True)
class _Batch:
    metrics: list[Metric]
    cursor: str
    """What the run holds once this batch is in."""


def _batches(run: _Run, record: RunRecord) -> Iterator[_Batch]:
    """Yield what the run lacks, so cut that each batch holds whole reports."""
    count, digest, summary = run.num_points, run.points_digest, run.summary_digest
    metrics: list[Metric] = []
    for point in itertools.islice(record.curve, count, None):
        metrics += _metrics(point)
        count, digest = count + 1, _digest_points(digest, [point])
        if len(metrics) + len(point.metrics) > METRICS_PER_REQUEST:
            yield _Batch(metrics, f"{count}:{digest}:{summary}")
            metrics = []
    if record.summary is not None:
        new = hashlib.sha256(repr(record.summary).encode()).hexdigest()[:16]
        metrics += _metrics(record.summary) if new != summary else []
        summary = new
    if metrics:
        yield _Batch(metrics, f"{count}:{digest}:{summary}")


def _metrics(point: ReportPoint) -> list[Metric]:
    from mlflow.entities import Metric

    at = _milliseconds(point.time)
    return [Metric(mlflow_name(name), value, at, point.step) for name, value in point.metrics.items()]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _digest_points(digest: str, points: Iterable[ReportPoint]) -> str:
    """Continue a chain of hashes over points; equal chains mean equal points."""
    for point in points:
        digest = hashlib.sha256(f"{digest} {point.step} {point.time}".encode()).hexdigest()[:16]
    return digest


def find_configurations(tracking_uri: str, experiment: str | None) -> tuple[str, list[str]] | None:
    """Return an experiment's id and its configurations' run ids in the study's order; None if it has none.

    Args:
        tracking_uri: Where MLflow reads. A database that does not exist is not made.
        experiment: Its name; None for the one written last.

    Raises:
        UserError: If MLflow cannot be read.
    """
    database = database_path(tracking_uri)
    if database is not None and not database.exists():
        return None
    from mlflow.exceptions import MlflowException

    try:
        return _find_configurations(open_client(tracking_uri), experiment)
    except MlflowException as error:
        reason = str(error).partition("\n")[0][:300]
        raise UserError(f"MLflow cannot be read at {tracking_uri}: {reason}") from error


def _find_configurations(client: MlflowClient, experiment: str | None) -> tuple[str, list[str]] | None:
    if experiment is None:
        latest = client.search_experiments(order_by=["last_update_time DESC"])
        names = [found.name for found in latest if f"mlflow.sharedViewState.{CONFIGURATIONS_VIEW}" in found.tags]
        if not names:
            return None
        experiment = names[0]
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return None
    runs = client.search_runs(
        [found.experiment_id], "tags.`phasesweep.level` = 'configuration'", order_by=["start_time DESC"]
    )
    newest = {run.data.tags["phasesweep.key"]: run for run in reversed(runs)}
    in_order = sorted(newest.values(), key=lambda run: run.data.tags[POSITION_TAG])
    return str(found.experiment_id), [run.info.run_id for run in in_order]
