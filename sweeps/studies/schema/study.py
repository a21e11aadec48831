"""A study as it is written: the fields of its YAML file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from search_spaces.designs import MIN_RESOLUTION, Design
from sweeps.fields import SECTIONS, Scale
from sweeps.studies.schema.ablation import AblationSpec
from sweeps.studies.schema.names import LABEL, STUDY_NAME, Name
from sweeps.studies.schema.search import ConfirmSpec, SchedulerSpec, SearchSpec, SpaceSpec
from trainables.schema import Schema

Role = Literal["baseline", "treatment", "control", "prerequisite"]
"""A prerequisite is trained because others start with its weights; no study file names this role."""


class Contrast(Schema):
    """A planned comparison of two arms, in addition to those with the baseline."""

    arm: str
    against: str
    meaning: str
    """What the difference `arm` − `against` measures."""


class External(Schema):
    """Values that somebody else measured, with which the baseline must agree."""

    name: str
    metric: str
    values: list[float] = Field(min_length=2)
    """One value per seed."""
    source: str


class ConfigOverlay(Schema):
    """Parts of a TrialConfig, not yet validated: they are merged first."""

    architecture: dict[str, Any] = {}
    task: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    budget: dict[str, Any] = {}
    pretraining: dict[str, Any] = {}
    """How a backbone is trained first, where the architecture needs one."""
    resume_from: dict[str, Any] = {}
    """Another arm, or a file, whose weights to start with."""

    def as_overlay(self) -> dict[str, Any]:
        """Return only the fields that are set."""
        return {name: getattr(self, name) for name in SECTIONS if getattr(self, name)}


class ArmSpec(ConfigOverlay):
    """An arm: what it changes of the base."""

    role: Literal["baseline", "treatment", "control"] = "treatment"
    """Exactly one arm is the baseline that the others are compared with."""
    note: str = ""


class ArmOverlay(ConfigOverlay):
    """What a scale changes of an arm."""


class GridField(Schema):
    """The values of one field of a grid; a design's baseline has the first."""

    values: list[Any] = Field(min_length=1)
    label: str | None = None
    """Stands before the value in an arm's name, as K in `K0p5`; the field's own name unless given. A value
    that is a word needs none."""
    labels: list[str] | None = None
    """Name of each value in an arm's name; empty: the value is left out of the name."""

    @model_validator(mode="after")
    def _one_label_a_value(self) -> GridField:
        if self.labels is not None and (self.label is not None or len(self.labels) != len(self.values)):
            raise ValueError("give `label`, or `labels` with one for each of the values")
        for value in self.values:
            if not _is_plain(value):
                raise ValueError(f"a value is a number, a word, a switch, null or a list of these, got {value!r}")
        for text in (*(self.labels or ()), self.label or ""):
            if not LABEL.fullmatch(text):
                raise ValueError(f"a label has letters, digits, _ and - only, got {text!r}")
        return self


class GridCondition(Schema):
    """Fields that vary only while a condition holds; elsewhere they stay as in the base."""

    fields: list[str] = Field(min_length=1)
    """Names, or patterns such as `architecture.coherence_*`."""
    only_if: str
    """Expression over fields declared before, such as `architecture.coupling != 0`."""


class GridForbidden(Schema):
    """A combination that is left out."""

    when: str
    """Expression over the fields that is true of the combination."""
    reason: str


class GridMark(Schema):
    """Name, role or note for some of the arms."""

    when: str
    """Expression over the fields. A field without effect on an arm cannot be used for it."""
    role: Role | None = None
    note: str | None = None
    name: Name | None = None
    """Name in place of the generated one; the expression must then be true of one arm only."""


class GridSpec(ConfigOverlay):
    """Arms made from a design over fields. Settings beside `fields` are shared by all of them."""

    design: Design = "full_factorial"
    resolution: int | None = Field(None, ge=MIN_RESOLUTION)
    """Of a fractional design: any `resolution` - 1 fields appear in all their combinations equally often."""
    name: str = Field("", pattern=f"^{LABEL.pattern}$")
    """Begins the name of every arm."""
    role: Role = "treatment"
    note: str = ""
    fields: dict[str, GridField] = Field(min_length=1)
    """Dotted fields of a trial's configuration, such as `architecture.coupling`."""
    when: list[GridCondition] = []
    forbid: list[GridForbidden] = []
    marks: list[GridMark] = []
    """Every mark that is true of an arm applies, later ones winning."""


class ScaleSpec(Schema):
    """What a scale changes of the study."""

    note: str = ""
    seeds: int | list[int] | None = None
    base: ConfigOverlay = ConfigOverlay()
    architectures: dict[str, dict[str, Any]] = {}
    arms: dict[str, ArmOverlay] = {}
    external: list[External] = []
    resources: dict[str, Any] = {}
    space: dict[str, Any] = {}
    search: dict[str, Any] = {}
    scheduler: dict[str, Any] = {}
    confirm: dict[str, Any] = {}
    ablation: dict[str, Any] = {}


class StudyFile(Schema):
    """A study as written.

    Fields are merged in this order, later ones winning: `base`, the scale's `base`, `architectures.<name>`
    (fields shared by all arms of that architecture), the scale's `architectures.<name>`, the arm, the
    scale's arm, `--set`.
    """

    format_version: Literal[1]
    study: str = Field(pattern=STUDY_NAME)
    title: str
    description: str = ""
    source: str = ""
    metric: str | None = None
    """Metric of the results table; by default the task's own."""
    plugins: list[str] = []
    """Python files with architectures and tasks of your own, relative to this file."""
    seeds: int | list[int]
    """A number n stands for the seeds 0 … n-1. All arms share the seeds."""
    base: ConfigOverlay
    architectures: dict[str, dict[str, Any]] = {}
    arms: dict[Name, ArmSpec] = {}
    grid: GridSpec | None = None
    """More arms, made from a design over fields."""
    ablation: AblationSpec | None = None
    """More arms, which lack components of another one."""
    contrasts: list[Contrast] = []
    claims: dict[Name, dict[str, Any]] = {}
    """Statements to test, by id; fields and kinds are those of `analysis.claims.claim`."""
    resources: dict[str, Any] = {}
    space: SpaceSpec | None = None
    """What varies in a search for the best settings of arms."""
    search: SearchSpec | None = None
    scheduler: SchedulerSpec | None = None
    confirm: ConfirmSpec | None = None
    scales: dict[Scale, ScaleSpec]


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list) else not isinstance(value, dict)
