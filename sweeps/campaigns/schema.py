"""A campaign as it is written: the fields of its YAML file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sweeps.fields import Scale
from sweeps.studies.schema.names import STUDY_NAME
from trainables.schema import Schema

ALL_GATES = "all"
"""Stands for every gate of the campaign in a rule."""

GateOutcome = Literal["passed", "failed", "not judged"]


class PhaseStudy(Schema):
    """A study that a phase runs."""

    study: str
    """Of the library, or a file relative to the campaign's."""
    seeds: int | list[int] | None = None
    """Instead of those of the study, whose results are continued."""
    set: dict[str, Any] = {}
    """Overrides by dotted key, as `--set` takes them."""
    at: dict[Scale, dict[str, Any]] = {}
    """More of them at single scales."""


class Rule(Schema):
    """What follows if claims have these outcomes."""

    when: dict[str, Literal["passed", "failed"]] = Field(min_length=1)
    """By claim, as STUDY:CLAIM, whether or not it is a gate; `all` stands for every gate."""
    then: str


_KINDS = ("environment", "contracts", "studies", "package", "decision")


class Phase(Schema):
    """A step of a campaign: one kind of work, and the gates that later phases wait for."""

    title: str
    goal: str = ""
    after: list[str] = []
    """Phases whose gates must not have failed; a package or a decision does not wait for them."""
    environment: bool = False
    """Check this machine, as `doctor` does."""
    contracts: list[str] = []
    """Architectures that must meet every contract."""
    studies: list[PhaseStudy] = []
    parallel: bool = False
    """Whether its studies may run at once: each with a driver of its own on the cluster of RAY_ADDRESS. On one
    machine they run one after the other, because each fills it."""
    gates: list[str] = []
    """Claims of studies of this phase or of one before, as STUDY:CLAIM."""
    package: bool = False
    """Write everything that is needed to check the results to one folder."""
    decision: list[Rule] = []

    @field_validator("gates")
    @classmethod
    def _gates_name_claims(cls, gates: list[str]) -> list[str]:
        for gate in gates:
            if not all(gate.partition(":")):
                raise ValueError(f"'{gate}' is no claim: write STUDY:CLAIM")
        return gates

    @model_validator(mode="after")
    def _one_kind(self) -> Phase:
        chosen = [kind for kind in _KINDS if getattr(self, kind)]
        if len(chosen) != 1:
            given = f"has {' and '.join(chosen)}" if chosen else "has nothing to do"
            raise ValueError(f"a phase is one of {', '.join(_KINDS)}; this one {given}")
        if self.gates and not self.studies:
            raise ValueError("gates are claims of studies, and this phase runs none; move them to one that does")
        return self

    @property
    def kind(self) -> str:
        """What kind of work it is."""
        return next(kind for kind in _KINDS if getattr(self, kind))


class CampaignFile(Schema):
    """A campaign as written; its phases run in this order."""

    format_version: Literal[1]
    campaign: str = Field(pattern=STUDY_NAME)
    title: str
    description: str = ""
    source: str = ""
    phases: dict[str, Phase] = Field(min_length=1)
