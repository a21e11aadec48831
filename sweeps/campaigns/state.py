"""What verbs say of a campaign: its phases, gates and rules at one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sweeps.campaigns.campaign import Campaign
from sweeps.campaigns.schema import GateOutcome

Progress = Literal["done", "begun", "not begun", "when run"]
"""`when run`: nothing of it is kept, so it is done again by every `run`."""


REPORTS = ("package", "decision")
"""Kinds of phases that only say what there is, and so wait for nothing."""


@dataclass(frozen=True)
class StudyState:
    """A study of a phase."""

    study: str
    sets: list[str]
    """Overrides, as `key=value`."""
    num_replicates: int
    num_ended: int
    """Replicates with a result, or a failure that is final."""
    num_failed: int

    @property
    def num_missing(self) -> int:
        """Replicates that have not ended."""
        return self.num_replicates - self.num_ended


@dataclass(frozen=True)
class GateState:
    """A gate: the verdict on a claim."""

    gate: str
    """STUDY:CLAIM."""
    statement: str
    outcome: GateOutcome
    """`passed`: the claim is supported. `failed`: it is refuted. `not judged`: neither, and `why` says why."""
    why: str
    effect: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    is_settled: bool
    """Whether the scale can settle the claim; at a smaller one the outcome only indicates."""


@dataclass(frozen=True)
class PhaseState:
    """A phase."""

    phase: str
    title: str
    kind: str
    after: list[str]
    progress: Progress
    studies: list[StudyState]
    gates: list[GateState]

    @property
    def stopping(self) -> list[str]:
        """The gates that failed at a scale that can settle their claims: an indication stops nothing."""
        return [gate.gate for gate in self.gates if gate.outcome == "failed" and gate.is_settled]


@dataclass(frozen=True)
class RuleState:
    """A rule of the decision."""

    when: dict[str, str]
    then: str
    holds: bool | None
    """Null: a claim that it asks for is not judged."""


@dataclass(frozen=True)
class CampaignState:
    """A campaign at one scale."""

    campaign: str
    title: str
    scale: str
    phases: list[PhaseState]
    decision: list[RuleState]

    def blocking(self, campaign: Campaign, phase: str) -> list[str]:
        """Return the failed gates that a phase waits for."""
        before = campaign.before(phase)
        return [gate for each in self.phases if each.phase in before for gate in each.stopping]
