"""The runs of one journal in MLflow: the only file that imports it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeps.errors import UserError
from sweeps.tracking.mlflow_database import ensure_database, in_one_sentence
from sweeps.tracking.run_records import CONFIGURATIONS_VIEW, POSITION_TAG
from sweeps.tracking.tracker import RunRecord, SyncCounts, Value, holds_lost_points, milliseconds, missing_values
from sweeps.tracking.uri import database_path, without_password

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

METRICS_PER_REQUEST = 800
"""MLflow takes 1000 metrics, parameters and tags at once; the rest is room for parameters and tags."""
RUNS_PER_PAGE = 1000
KEY_TAG = "phasesweep.key"
JOURNAL_TAG = "mlflow.phasesweep.journal"
"""First sweep of the journal that the run shows. MLflow does not list tags that begin with `mlflow.`."""


def load() -> None:
    """Import MLflow, which takes seconds.

    Its modules import each other in a cycle: a second thread that imports them at the same time breaks both
    imports. So a program that uses MLflow in a thread calls this before it starts the thread.

    Unless they are set, this sets the environment variables that turn off telemetry and let requests time out
    within seconds rather than minutes; MLflow reads both from the environment only.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    import mlflow.tracking  # noqa: F401

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs with a traceback what it raises


def open_client(tracking_uri: str) -> tuple[MlflowClient, str]:
    """Return a client, and a notice about its database for the user; a new database gets its schema first."""
    load()
    from mlflow.tracking import MlflowClient

    database = database_path(tracking_uri)
    notice = "" if database is None else ensure_database(database, _make_database, _schema_version)
    return MlflowClient(tracking_uri=tracking_uri), notice


def _make_database(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{path}", "mlflow-artifacts:/").engine.dispose()


def _schema_version() -> str:
    import mlflow.store.db_migrations
    from alembic.script import ScriptDirectory

    (folder,) = mlflow.store.db_migrations.__path__
    return str(ScriptDirectory(folder).get_current_head())


@dataclass
class _Run:
    """The content of a run in MLflow: what was read when it was opened, and what was sent since."""

    run_id: str
    tags: dict[str, str]
    status: str = "RUNNING"
    ended_ms: int | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    latest: dict[str, Value] = field(default_factory=dict)
    """Of each metric, the number of the highest step."""

    @classmethod
    def found(cls, run: Run) -> _Run:
        """Return the content of a run that an earlier process has written."""
        info, data = run.info, run.data
        latest = {m.key: Value(m.step, m.timestamp, m.value) for m in data.to_proto().metrics}
        return cls(info.run_id, dict(data.tags), info.status, info.end_time, dict(data.params), latest)


class MlflowTracker:
    """A `Tracker` for MLflow, a database or a server. Sends only what MLflow lacks.

    It stores no bookkeeping there: what a run lacks follows from the newest number of each of its metrics. MLflow
    drops a number that it already has, by step and time, so that sending too much is never wrong.

    Make it before a thread uses it: this imports MLflow, see `load`.
    """

    def __init__(self, tracking_uri: str) -> None:
        load()
        self.written, self.notice = SyncCounts(), ""
        self._uri = tracking_uri
        self._client: Any = None
        self._journal = self._experiment_id = ""
        self._experiment_tags: dict[str, str] = {}
        self._runs: dict[str, _Run] = {}

    def open(self, experiment: str, sweep_ids: Sequence[str]) -> None:
        """See `Tracker`.

        Raises:
            mlflow.exceptions.MlflowException: If the server does not answer, or the schema has another version.
        """
        self._client, notice = open_client(self._uri)
        self.notice = notice or self.notice
        self._journal = sweep_ids[0]
        self._experiment_id = self._find_experiment(experiment)
        self._experiment_tags = {}
        found = (_Run.found(run) for run in _search(self._client, self._experiment_id))
        own = [run for run in found if run.tags.get(JOURNAL_TAG) in sweep_ids]
        self._runs = {run.tags[KEY_TAG]: run for run in own}

    def close(self) -> None:
        """See `Tracker`."""
        self._client = None

    def _find_experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            database = database_path(self._uri)
            artifacts = None if database is None else (database.parent / "mlartifacts" / name).as_uri()
            return str(self._client.create_experiment(name, artifact_location=artifacts))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def describe(self, tags: Mapping[str, str]) -> None:
        """See `Tracker`."""
        for key, value in tags.items():
            if self._experiment_tags.get(key) != value:
                self._client.set_experiment_tag(self._experiment_id, key, value)
                self._experiment_tags[key] = value

    def has(self, key: str) -> bool:
        """See `Tracker`."""
        return key in self._runs

    def write(self, record: RunRecord) -> None:
        """See `Tracker`."""
        run = self._runs.get(record.key)
        if run is not None and holds_lost_points(run.latest, record):
            self._client.delete_run(run.run_id)  # MLflow cannot delete points
            run = None
        if run is None:
            run = self._runs[record.key] = self._create(record)
        self._send(run, record)
        self._set_status(run, record)

    def _create(self, record: RunRecord) -> _Run:
        tags = self._tags(record, self._journal)
        made = self._client.create_run(self._experiment_id, milliseconds(record.started_at), tags, record.name)
        self.written.num_requests += 1
        return _Run(made.info.run_id, {**tags, "mlflow.runName": record.name})

    def _tags(self, record: RunRecord, journal: str) -> dict[str, str]:
        tags = {**record.tags, KEY_TAG: record.key, JOURNAL_TAG: journal}
        if record.parent is not None:
            tags["mlflow.parentRunId"] = self._runs[record.parent].run_id
        return tags

    def _send(self, run: _Run, record: RunRecord) -> None:
        tags = {**self._tags(record, run.tags[JOURNAL_TAG]), "mlflow.runName": record.name}
        changed = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        # Parameters cannot change. One that differs has no effect on results: else the config_id would differ.
        parameters = {key: value for key, value in record.parameters.items() if key not in run.parameters}
        values = missing_values(run.latest, record)
        for start in range(0, max(len(values), 1), METRICS_PER_REQUEST):
            self._log(run, record.key, changed, parameters, values[start : start + METRICS_PER_REQUEST])
            changed, parameters = {}, {}
        for key in [key for key in run.tags if key.startswith("phasesweep.") and key not in tags]:
            # Such as the message of a crash, once a second attempt has finished.
            self._client.delete_tag(run.run_id, key)
            del run.tags[key]

    def _log(
        self,
        run: _Run,
        key: str,
        tags: Mapping[str, str],
        parameters: Mapping[str, str],
        values: Sequence[tuple[str, Value]],
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if not (tags or parameters or values):
            return
        self._client.log_batch(
            run.run_id,
            metrics=[Metric(name, v.value, v.at_ms, v.step) for name, v in values],
            params=[Param(name, value) for name, value in parameters.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        run.tags |= tags
        run.parameters |= parameters
        run.latest |= dict(values)
        self.written.runs.add(key)
        self.written.num_metrics += len(values)
        self.written.num_requests += 1

    def _set_status(self, run: _Run, record: RunRecord) -> None:
        ended_ms = None if record.ended_at is None else milliseconds(record.ended_at)
        if ended_ms is not None and (run.status, run.ended_ms) != (record.status, ended_ms):
            self._client.set_terminated(run.run_id, record.status, ended_ms)
        elif run.status != record.status:
            self._client.update_run(run.run_id, status=record.status)
        else:
            return
        run.status, run.ended_ms = record.status, ended_ms
        self.written.runs.add(record.key)
        self.written.num_requests += 1


def _search(client: MlflowClient, experiment_id: str, query: str = "", order_by: str = "") -> Iterator[Run]:
    """Yield all runs, page by page: MLflow returns a thousand at once."""
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment_id],
            query,
            max_results=RUNS_PER_PAGE,
            order_by=[order_by] if order_by else None,
            page_token=token,
        )
        yield from page
        token = page.token or ""


def log_page(tracking_uri: str, experiment: str, page: Path) -> None:
    """Log a file as an artifact of an experiment's newest sweep, where MLflow's page shows it.

    Raises:
        UserError: If MLflow cannot be written, or does not have the experiment.
    """
    try:
        client, _ = open_client(tracking_uri)
        found = client.get_experiment_by_name(experiment)
        query = "tags.`phasesweep.level` = 'sweep'"
        runs = (
            [] if found is None else client.search_runs([found.experiment_id], query, order_by=["start_time DESC"])
        )
        if not runs:
            raise LookupError(f"it has no sweep of {experiment}")
        client.log_artifact(runs[0].info.run_id, str(page))
    except Exception as error:  # MLflow's, SQLAlchemy's or the system's
        shown, reason = without_password(tracking_uri), without_password(in_one_sentence(error))
        raise UserError(f"MLflow at {shown} lacks the page: {reason}") from error


def find_configurations(tracking_uri: str, experiment: str | None) -> tuple[str, list[str]] | None:
    """Return an experiment's id and its configurations' run ids in the study's order; None if it has none.

    Args:
        tracking_uri: MLflow's store. A database that does not exist is not made.
        experiment: Its name; None for the one written last.

    Raises:
        UserError: If MLflow cannot be read.
    """
    database = database_path(tracking_uri)
    if database is not None and not database.exists():
        return None
    try:
        client, _ = open_client(tracking_uri)
        return _find_configurations(client, experiment)
    except Exception as error:  # MLflow's, SQLAlchemy's or the system's
        shown, reason = without_password(tracking_uri), without_password(in_one_sentence(error))
        raise UserError(f"MLflow cannot be read at {shown}: {reason}") from error


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
    runs = _search(client, found.experiment_id, "tags.`phasesweep.level` = 'configuration'", "start_time ASC")
    newest = {run.data.tags[KEY_TAG]: run for run in runs}
    in_order = sorted(newest.values(), key=lambda run: run.data.tags[POSITION_TAG])
    return str(found.experiment_id), [run.info.run_id for run in in_order]
