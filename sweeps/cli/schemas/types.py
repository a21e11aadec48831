"""What verbs print with `--json`, as types; `generate` makes the shipped JSON Schemas from them.

Verbs name these types in annotations only, so that printing needs no pydantic. What `results`, `compare`, `receipt`
and `claims` print are dataclasses of `analysis`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on only

from analysis.claims.claim import Claim
from analysis.results.ablations import AblationTable
from analysis.results.aggregates import AggregateTable
from analysis.results.importance import ImportanceTable
from analysis.results.memory import Receipt
from analysis.results.search.path import PathTable
from analysis.results.search_table import BestTable
from analysis.results.sweeps import ComparedSweeps
from analysis.results.table import ResultTable
from analysis.verdicts.verdict import Verdicts
from sweeps.campaigns.state import CampaignState
from sweeps.cli.schemas.curves import CurvesJson
from sweeps.cli.schemas.diagnosis import DiagnoseJson
from sweeps.cli.schemas.evidence import LintJson
from sweeps.cli.schemas.library import Families, Space, StudyRow
from sweeps.cli.schemas.planning import (
    Amount,
    CheckJson,
    Count,
    EstimateJson,
    PlanJson,
    Positive,
    ResolvedStudy,
    StudyName,
    Text,
)
from sweeps.cli.schemas.searching import EnqueueJson, SimulateJson
from sweeps.fields import Scale

ReplicateStatus = Literal[
    "finished", "diverged", "pruned", "oom", "timed_out", "crashed", "preempted",
    "running", "queued", "stale", "unfinished", "waiting",
]  # fmt: skip


class ReplicateRow(TypedDict):
    """A planned replicate."""

    config_id: str | None
    """Null until a driver has described the sweep."""
    arm: str
    seed: Count
    status: ReplicateStatus
    step: Count | None
    """Of the last report."""
    seconds: Amount | None
    """Of the attempt that ended."""
    message: str
    standing: str | None
    """Where a candidate is that its search has stopped, as `waiting at rung 1`; null for all others."""


class RunningReplicate(TypedDict):
    """A replicate that a worker runs."""

    config_id: str
    arm: str
    seed: Count
    sweep_id: str
    host: str
    pid: int | None
    device: str
    step: Count
    seconds_since_report: Amount
    """Or since the start."""
    predicted_memory_mib: Amount | None


class HostRow(TypedDict):
    """What runs on one machine."""

    host: str
    num_running: Positive
    memory_mib: Amount
    """Sum of the predicted peaks."""


class DriverRow(TypedDict):
    """A driver at work."""

    sweep_id: str
    host: str
    pid: int
    started_at: float
    """Unix seconds."""
    seconds_since_heartbeat: Amount


class StaleLease(TypedDict):
    """A replicate that a dead driver had leased."""

    config_id: str
    seed: Count
    sweep_id: str


class SearchProgressJson(TypedDict):
    """How far the search of an arm is."""

    arm: Text
    num_candidates: Count
    is_over: bool
    """Whether its winner is selected."""


class LookProgressJson(TypedDict):
    """How far the comparison of winners on fresh seeds is, if it is by looks."""

    taken: Count
    of: Positive
    seeds: Positive
    """Fresh seeds that have been started, or are next."""
    is_over: bool
    """Whether no more seeds will start."""


class StatusJson(TypedDict):
    """The progress of a study, and what runs where."""

    study: str
    scale: Scale
    folder: str
    statuses: dict[ReplicateStatus, Positive]
    """How many replicates there are of each status."""
    num_replicates: Count
    num_missing: Count
    """What `run` would run; a search that is not over adds to it."""
    searches: list[SearchProgressJson]
    """One for each arm whose settings are searched for."""
    looks: LookProgressJson | None
    """Null where winners are compared on all fresh seeds at once."""
    replicates: list[ReplicateRow]
    running: list[RunningReplicate]
    hosts: list[HostRow]
    drivers: list[DriverRow]
    stale_leases: list[StaleLease]
    """Leases of dead drivers; the next run takes them."""


class StoppedDriver(TypedDict):
    """A driver that was asked to stop."""

    sweep_id: str
    host: str
    pid: int
    stopped: bool
    seconds: Amount | None
    """Until it had stopped."""


class StopJson(TypedDict):
    """The drivers that were asked to stop, and whether they have."""

    study: str
    scale: Scale
    folder: str
    drivers: list[StoppedDriver]
    """The drivers that were at work."""


class LogJson(TypedDict):
    """The log of a replicate that has started."""

    arm: str
    seed: Count
    path: str
    lines: list[str]
    """With --tail the newest."""


class ExportJson(TypedDict):
    """A table that was written, or the published logs."""

    path: str
    """Absolute; of the logs their folder."""
    what: Literal["replicates", "configurations", "curves", "published"]
    rows: Positive
    columns: Annotated[list[str], Field(min_length=1)]
    """Of the logs those of metrics.jsonl, or of system.csv where there is no metrics.jsonl."""
    files: Annotated[list[str], Field(min_length=1)]
    """Everything that was written, absolute."""


class ReportJson(TypedDict):
    """A page that was written."""

    path: str
    """Absolute."""
    study: str | None
    """Null: of all claims."""
    scale: str | None
    claims: Count
    """Verdicts on the page."""
    bytes: Positive
    paper: list[str]
    """Tables, figures and their data for a paper, absolute; none unless `--paper` asks for them."""


class KitJson(TypedDict):
    """A kit that was written."""

    path: str
    """Absolute."""
    study: str
    scale: str
    files: Annotated[list[str], Field(min_length=1)]
    """Relative to it."""
    bytes: Positive
    replicate: str
    """`ARM@SEED`, which `kit verify` runs again."""


class VerifyJson(TypedDict):
    """What came of verifying a kit."""

    outcome: Literal["equal", "equal in law", "different", "damaged", "not run"]
    holds: bool
    """Whether the exit code is 0."""
    replicate: str
    """`ARM@SEED`."""
    values: Count
    """Metrics of its last report that are compared."""
    unequal: dict[str, list[float | None]]
    """Those that are not equal to the last bit: value in the kit, value here."""
    primary_difference: float | None
    """Of the primary metric, here − kit; null if there is no value here."""
    tolerance: float
    """By which it may differ where numerics do."""
    numerics: dict[str, str]
    """Fields of the numerics that differ, as `kit | here`."""
    told: str


class Removed(TypedDict):
    """A file or folder that was no longer needed."""

    path: str
    reason: str
    mib: Amount


class GcJson(TypedDict):
    """What was removed, and what is left."""

    study: str
    scale: Scale
    folder: str
    keep: Annotated[str, Field(pattern="^(last|none)$")]
    dry_run: bool
    """Nothing was removed; `removed` is what would be."""
    at_work: list[str]
    """Drivers; while there is one, only --dry-run is possible."""
    removed: list[Removed]
    freed_mib: Amount
    used_mib: Amount
    """What the study takes on disk now."""


class SyncJson(TypedDict):
    """How far MLflow is."""

    study: str
    scale: Scale
    experiment: str
    """MLflow's name of the study at this scale."""
    tracking_uri: str
    """Passwords and tokens are masked."""
    num_events: Count
    """In the journal."""
    num_missing: Count
    """Events that MLflow may lack."""
    num_runs: Count
    """MLflow runs made or changed now."""
    num_metrics: Count
    """Numbers sent now."""
    delegated_to: str
    """The process that is writing them; empty if none is."""
    error: str
    """Why events are missing; empty if none are."""


class SubmitJson(TypedDict):
    """A job that a cluster has accepted."""

    job_id: Text
    """For `ray job status`, `ray job logs` and `ray job stop`."""
    address: Annotated[str, Field(pattern="^https?://[^/]+.*[^/]$")]
    """Of the cluster's dashboard."""
    command: Annotated[str, Field(pattern="^python -m sweeps run ")]
    results: Annotated[str, Field(pattern="^/")]
    """Folder of this sweep, on the cluster."""
    uploaded_mib: Annotated[float, Field(gt=0, le=100)]


class NewJson(TypedDict):
    """A study file that was written."""

    study: StudyName
    path: str
    """Absolute."""
    scales: Annotated[list[Scale], Field(min_length=1)]
    arms: Annotated[list[str], Field(min_length=1)]
    next: str
    """The command that checks and prices it."""


class FetchJson(TypedDict):
    """A pretrained model on this machine."""

    source: str
    folder: str
    """Where it lies, absolute."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of its weights; part of the id of every configuration that is built on it."""
    mib: Amount


class DoctorCheck(TypedDict):
    """A finding about this machine."""

    name: str
    ok: bool | None
    """False: sweeps will fail; null: worth knowing."""
    detail: str
    cure: str
    """What to do; empty where there is nothing to do."""


OF_VERBS: dict[str, Any] = {
    "ablate": AblationTable | PathTable,
    "aggregate": AggregateTable,
    "best": BestTable,
    "check": CheckJson,
    "claims": list[Claim],
    "compare": ComparedSweeps,
    "curves": CurvesJson,
    "diagnose": DiagnoseJson,
    "doctor": Annotated[list[DoctorCheck], Field(min_length=1)],
    "enqueue": EnqueueJson,
    "estimate": EstimateJson,
    "export": ExportJson,
    "families": Families,
    "fetch": FetchJson,
    "gc": GcJson,
    "importance": ImportanceTable,
    "kit": KitJson | VerifyJson,
    "lint": LintJson,
    "logs": list[LogJson],
    "new": NewJson,
    "plan": PlanJson | CampaignState,
    "receipt": Receipt,
    "report": ReportJson,
    "results": ResultTable | CampaignState,
    "show": ResolvedStudy,
    "simulate": SimulateJson,
    "spaces": list[Space],
    "status": StatusJson | CampaignState,
    "stop": StopJson,
    "studies": list[StudyRow],
    "submit": SubmitJson,
    "sync": SyncJson,
    "verdicts": Verdicts,
}
"""What each verb prints."""

BESIDE: dict[str, tuple[type, dict[str, Any]]] = {
    "claims": (Claim, {"study": {"type": "string"}}),
    "compare": (
        ComparedSweeps,
        {
            "all_fields_known": {
                "type": "boolean",
                "description": "False: a compact journal is among them, so only changes to the studies' bases are "
                "compared.",
            }
        },
    ),
}
"""Fields that a verb adds to those of a type."""
