"""Types of the `--json` output of verbs that plan, and the kinds of numbers and texts that all verbs share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on only

from sweeps.fields import Scale

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
StudyName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
ConfigId = Annotated[str, Field(pattern="^[0-9a-f]{12}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Device = Literal["cpu", "cuda"]
Text = Annotated[str, Field(min_length=1)]
Stage = Literal["building", "training", "optimizer", "evaluation", "probes"]


class PluginJson(TypedDict):
    """Code from outside."""

    kind: Literal["file", "package"]
    name: str
    """Of the file, or of the installed distribution."""
    version: str
    """Of the distribution; a file has none."""
    sha256: Sha256
    """Of the code."""


class GridJson(TypedDict):
    """How many arms the grid of a study gave."""

    num_points: Positive
    """Points of the design."""
    num_repeats: Count
    """Points that compute what another does."""
    num_forbidden: Count
    num_arms: Positive


class AblationJson(TypedDict):
    """The arms of an ablation."""

    around: str
    """The arm that has all components."""
    design: str
    resolution: int | None
    """Of a fractional design."""
    components: Annotated[list[str], Field(min_length=1)]
    arms: Annotated[dict[str, list[str]], Field(min_length=1)]
    """The arms of the design, each with the components that it has."""
    placebos: list[str]
    """Arms to compare the whole with, outside of the design."""


class ContrastJson(TypedDict):
    """A planned comparison of two arms."""

    arm: str
    against: str
    meaning: str


class ExternalJson(TypedDict):
    """Values that somebody else measured."""

    name: str
    metric: str
    values: Annotated[list[float], Field(min_length=2)]
    source: str


class ResolvedArm(TypedDict):
    """An arm with every field."""

    role: Literal["baseline", "treatment", "control"]
    note: str
    architecture: dict[str, Any]
    task: dict[str, Any]
    optimizer: dict[str, Any]
    budget: dict[str, Any]
    pretraining: dict[str, Any] | None
    """How its backbone is trained first, if it has one."""
    resume_from: dict[str, Any] | None
    """Whose weights it starts with."""


class ResolvedStudy(TypedDict):
    """A study at one scale, with every field resolved; the same as study.yaml in a results folder."""

    format_version: Literal[1]
    study: StudyName
    scale: Scale
    title: str
    source: str
    metric: str | None
    """Null: the task's own."""
    plugins: list[PluginJson]
    """Code from outside that the arms use."""
    seeds: Annotated[list[Count], Field(min_length=1)]
    overrides: dict[str, Any]
    """The values of --set, by dotted key."""
    contrasts: list[ContrastJson]
    grid: GridJson | None
    ablation: AblationJson | None
    """Which arms lack which components of another one."""
    claims: list[dict[str, Any]]
    """As claims --json, without the study."""
    external: list[ExternalJson]
    resources: dict[str, Any]
    """The resources that one trial requests."""
    search: dict[str, Any] | None
    """How the settings of arms are searched for; null: they are as declared."""
    arms: Annotated[dict[str, ResolvedArm], Field(min_length=1)]


class Memory(TypedDict):
    """Of one worker at its peak; the parts add up."""

    parameters_mib: Amount
    gradients_mib: Amount
    optimizer_mib: Amount
    activations_mib: Amount
    workspace_mib: Amount
    context_mib: Amount
    total_mib: Amount


class RequestJson(TypedDict):
    """The Ray resources that a trial requests."""

    workers: Positive
    cpu: Amount
    gpu: Share
    memory_mib: Count


class PlannedUnit(TypedDict):
    """A configuration to be trained."""

    config_id: ConfigId
    arm: str
    parameters: dict[str, Any]
    """Every field of the configuration, with dotted keys."""
    num_parameters: Count
    seeds: list[Count]
    """None of an arm whose settings are searched for: its winner runs."""
    starts_with: dict[str, str]
    """Whose weights it starts with, by role: a config_id, with the seed if that is fixed, or a file's hash."""
    memory: Memory
    correction: Annotated[float, Field(gt=0)]
    """Factor by which measured peaks of the family correct the estimate beyond its context; 1: none yet."""
    size_class: Count
    request: RequestJson


class PlannedPlugin(PluginJson):
    """Code from outside, and whether it has changed."""

    previous_sha256: str | None
    """Of the newest sweep, if the code has changed since: arms that use it run again from the start."""


class Place(TypedDict):
    """Where trials of a size run."""

    card: str | None
    """The kind of GPU; null: any, or none."""
    gpu: Share
    concurrency: Positive


class SizeClassJson(TypedDict):
    """Trials with equal requests."""

    size_class: Count
    memory_mib: Count
    """What one worker may use."""
    num_configurations: Positive
    concurrency: Positive
    """Trials at once if nothing else runs."""
    places: Annotated[list[Place], Field(min_length=1)]


class PlannedClaim(TypedDict):
    """A claim, and the effect that the study can detect."""

    id: str
    kind: str
    settled_at: Scale
    value: float | None
    """Smallest effect that the test detects with these seeds."""
    text: str
    is_possible: bool


class SearchedArmJson(TypedDict):
    """An arm whose settings are searched for."""

    arm: Text
    fields: Annotated[list[Text], Field(min_length=1)]
    """The fields that vary."""
    num_points: Positive | None
    """Combinations of their values; null: endlessly many."""
    is_over: bool
    """Whether its winner is selected."""


class RungJson(TypedDict):
    """A rung: how long a candidate trains, and with how many seeds, before it is compared."""

    steps: Positive
    seeds: Positive
    expected: Count
    """Candidates of an arm that are expected to be compared there."""


class SearchLeft(TypedDict):
    """What a search and the confirmation of its winners still add."""

    num_starts: Count
    """A candidate that stops at a rung and goes on later starts twice."""
    replicates: Amount
    """In replicates trained to the last step."""
    seconds: Amount
    core_seconds: Amount


class LookJson(TypedDict):
    """A comparison of winners with the baseline; more seeds start only if it settles nothing."""

    seeds: Positive
    alpha: Share
    """Its two-sided level."""


class PlannedSearch(TypedDict):
    """A search as planned."""

    method: Text
    metric: Text
    """Validation metric that chooses."""
    arms: Annotated[list[SearchedArmJson], Field(min_length=1)]
    rungs: Annotated[list[RungJson], Field(min_length=1)]
    replicates: Amount
    """Budget of each arm, in replicates trained to the last step."""
    configurations: Positive | None
    """Most candidates of each arm; null: as many as the budget allows."""
    seeds: Annotated[list[Count], Field(min_length=1)]
    """Of the search."""
    confirm_seeds: Annotated[list[Count], Field(min_length=1)]
    """Fresh ones, of winners and all other arms; with looks, at most."""
    looks: list[LookJson]
    """After how many fresh seeds winners are compared; empty: after all of them."""
    finalists: Positive
    """Candidates of an arm that are compared on fresh seeds."""
    left: SearchLeft


class PlanJson(TypedDict):
    """What would run, what it needs and how long it takes."""

    study: str
    scale: Scale
    device: Device
    configurations: Annotated[list[PlannedUnit], Field(min_length=1)]
    prerequisites: list[PlannedUnit]
    """Configurations that are trained because arms start with their weights."""
    grid: GridJson | None
    """How many arms the grid of the study gave; null where it has none."""
    plugins: list[PlannedPlugin]
    """Code from outside that the arms use."""
    num_trials: Count
    num_replicates: Count
    """What is known to run from the start; a search adds to it."""
    concurrency: Positive
    """The most trials that run at once."""
    size_classes: Annotated[list[SizeClassJson], Field(min_length=1, max_length=8)]
    """The largest first."""
    waste: Amount
    """Memory requested beyond the needs, as a fraction."""
    forecast_seconds: Amount
    forecast_core_seconds: Amount
    forecast_basis: str
    smallest_detectable_effect_sd: float | None
    claims: list[PlannedClaim]
    search: PlannedSearch | None
    """The search for the settings of arms; null where they are as declared."""


class EstimatedSize(TypedDict):
    """What one worker needs, and the arms for which that is the same."""

    arms: Annotated[list[str], Field(min_length=1)]
    num_parameters: Annotated[list[Count], Field(min_length=1)]
    """Of each arm."""
    memory: Memory
    peak_stage: Stage
    """The stage with the peak."""


class EstimatedChange(TypedDict):
    """A change of a study, and what it would do."""

    setting: str
    """As --set takes it."""
    meaning: str
    """What else changes; empty: results stay the same up to rounding."""
    memory: Memory
    peak_stage: Stage
    saved_mib: float
    """Negative where the change costs memory."""


class EstimateJson(TypedDict):
    """Where memory goes, and what would shrink it."""

    study: str
    scale: Scale
    device: Device
    sizes: Annotated[list[EstimatedSize], Field(min_length=1)]
    """The distinct sizes of the study's trials, the largest first."""
    arm: str
    """The arm of `changes`."""
    micro_batch_size: Positive
    """Of that arm."""
    changes: list[EstimatedChange]
    """What would shrink that arm, each by itself."""


Outcome = Literal["passed", "failed", "expected_violation", "not_declared"]


class ContractCheck(TypedDict):
    """One contract of one configuration."""

    kind: Literal["architecture", "task"]
    name: str
    configuration: dict[str, Any]
    """Every field of what was checked."""
    contract: str
    outcome: Outcome
    expected: Text
    """What the contract requires."""
    found: str
    """What was found instead; empty unless it failed."""


class CheckCounts(TypedDict):
    """How many contracts had each outcome."""

    passed: Count
    failed: Count
    expected_violation: Count
    not_declared: Count


class CheckJson(TypedDict):
    """What a plugin registers, checked."""

    plugins: Annotated[list[PluginJson], Field(min_length=1)]
    checks: Annotated[list[ContractCheck], Field(min_length=1)]
    counts: CheckCounts
