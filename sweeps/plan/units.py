"""What is trained: an arm with its size and what it starts with, and a replicate of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.records.replicates import Key
from sweeps.studies.study import Arm, Study

if TYPE_CHECKING:
    from cluster.memory.estimate import MemoryEstimate
    from sweeps.plan.dependencies import Dependency
    from trainables.config.trial import TrialConfig


@dataclass(frozen=True)
class PlannedArm:
    """An arm with its name, size and dependencies, which all depend on its data."""

    arm: Arm
    config_id: str
    data_hash: str
    memory: MemoryEstimate
    """Of one worker, by the estimate alone."""
    num_parameters: int
    context_length: int
    """Tokens of one of its task's sequences."""
    dependencies: tuple[Dependency, ...] = ()
    """Whose weights it starts with."""
    seed: int | None = None
    """The one seed of a prerequisite; None: the seeds of the study."""
    correction: float = 1.0
    """Factor from measured peaks of its family for the estimate's growth beyond the process or context."""
    sized_as: str = ""
    """config_id of the planned configuration whose size class it has; empty: its own."""
    scored_tokens: int = 0
    """Tokens that its task reads when it scores the model once."""

    @property
    def need_mib(self) -> float:
        """Memory that one worker is expected to need: the estimate, corrected by what was measured."""
        context_mib = self.memory.context_mib
        return context_mib + (self.memory.total_mib - context_mib) * self.correction

    @property
    def config(self) -> TrialConfig:
        """The configuration."""
        return self.arm.config

    def seeds(self, study: Study) -> tuple[int, ...]:
        """Return the seeds that it runs with; none if its settings follow from a search: then its winner runs, or
        what an ablation takes from that.
        """
        if self.seed is not None:
            return (self.seed,)
        if study.search is None:
            return study.compared_seeds
        ablation = study.ablation
        is_made = ablation is not None and ablation.tuning == "winner" and self.arm.name in ablation.settings
        return () if is_made or study.search.space_of(self.arm.name) else study.compared_seeds

    def depends_on(self, seed: int) -> list[Key]:
        """Return the replicates that must have finished before this one starts."""
        return [key for need in self.dependencies if (key := need.key(seed)) is not None]


@dataclass(frozen=True)
class PlannedReplicate:
    """An arm with one of its seeds: what one trial runs."""

    arm: PlannedArm
    seed: int
    continues: str = ""
    """Why it trains on although it was pruned; empty if it was not."""

    @property
    def key(self) -> Key:
        """Its identity: (config_id, seed)."""
        return (self.arm.config_id, self.seed)

    @property
    def depends_on(self) -> list[Key]:
        """The replicates that must have finished before it starts."""
        return self.arm.depends_on(self.seed)
