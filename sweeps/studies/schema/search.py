"""The sections of a study about a search, as they are written: `space`, `search`, `scheduler`, `confirm`."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from analysis.records.searching import MAX_FINALISTS
from analysis.statistics.looks import LEVEL
from search_spaces.dimensions import Choice, Dimension, Integer, LogReal, Real
from sweeps.studies.schema.limits import MAX_REPLICATES, MAX_SEEDS
from trainables.schema import Schema

Method = Literal["list", "grid", "random", "sobol", "tpe", "gp", "nsga2"]


class SpaceField(Schema):
    """The values of one field: a range, or a list."""

    real: list[float] | None = Field(None, min_length=2, max_length=2)
    """Lowest and highest number, tried evenly."""
    log: list[float] | None = Field(None, min_length=2, max_length=2)
    """Lowest and highest number, tried evenly in the logarithm."""
    integer: list[int] | None = Field(None, min_length=2, max_length=2)
    """Lowest and highest whole number."""
    choice: list[Any] | None = Field(None, min_length=2)
    """The values."""

    @model_validator(mode="after")
    def _one_kind(self) -> SpaceField:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"{' and '.join(given)} are given" if given else "nothing is given"
            raise ValueError(f"{said}: write one of real, log, integer and choice")
        return self

    def dimension(self) -> Dimension:
        """Return the dimension.

        Raises:
            ValueError: If it has no values.
        """
        if self.real is not None:
            return Real(*self.real)
        if self.log is not None:
            return LogReal(*self.log)
        if self.integer is not None:
            return Integer(*self.integer)
        return Choice(tuple(self.choice or ()))


class SpaceCondition(Schema):
    """Fields that vary only while a condition holds; elsewhere they stay as in the arm."""

    fields: list[str] = Field(min_length=1)
    """Names, or patterns such as `architecture.pvm.*`."""
    only_if: str
    """Expression over fields declared before, such as `architecture.coupling != 0`."""


class SpaceForbidden(Schema):
    """A combination that is never tried."""

    when: str
    """Expression over the fields that is true of the combination."""
    reason: str


class SpaceSpec(Schema):
    """What may vary in a search."""

    use: list[str] = []
    """Spaces of the library (`phasesweep spaces`); those of a family are about `architecture`."""
    fields: dict[str, SpaceField] = {}
    """Dotted fields of a trial's configuration; one of a space in `use` is replaced."""
    when: list[SpaceCondition] = []
    forbid: list[SpaceForbidden] = []


class SearchBudget(Schema):
    """How much each searched arm may cost; confirmation comes on top."""

    replicates: float = Field(60, gt=0, le=MAX_REPLICATES)
    """In replicates that train all steps: one that stops at a quarter of them costs a quarter."""
    configurations: int | None = Field(None, ge=1, le=MAX_REPLICATES)
    """Most configurations that are tried."""


class SearchSpec(Schema):
    """How configurations are proposed."""

    method: Method = "tpe"
    """`list`: only `start_with`. `grid`: all combinations. `random`, `sobol`: points that fill the space. `tpe`,
    `gp`: Optuna's models of what was good so far, with every fifth point from Sobol. `gp`, a Gaussian process,
    takes tenths of a second for a proposal: it is for few candidates that cost much. `nsga2`: Optuna's genetic
    algorithm for several `objectives`, with every fifth point from Sobol."""
    arms: list[str] | None = None
    """Arms whose settings are searched for, each with the same budget; by default all that have a field of the
    space."""
    metric: str | None = None
    """Validation metric that decides; by default the study's own, of the validation split."""
    objectives: list[str] = Field([], max_length=3)
    """Of `nsga2`: two or three, each a validation metric or `num_parameters`. The best in the first one stands for
    its arm; the others of the Pareto front come next."""
    start_with: list[dict[str, Any]] = []
    """Points to try first, after each arm's own settings; fields that are left out stay as in the arm."""
    warm_start: list[str] = []
    """Results folders or compact journals of searches that are over, relative to the study's file. A model is told
    what they found for the arms of the same names; they count neither as candidates nor against the budget."""
    levels: int = Field(5, ge=2, le=100)
    """Of a grid: values on each range."""
    seed: int = Field(0, ge=0)
    """Of the proposals."""
    budget: SearchBudget = SearchBudget()

    @field_validator("method", mode="before")
    @classmethod
    def _cma_is_not_offered(cls, value: Any) -> Any:
        if value in {"cma", "cmaes"}:
            raise ValueError(
                "CMA-ES is not offered: Optuna's needs the package cmaes, which is no requirement of phasesweep, "
                "and keeps a state between proposals, which a killed search would lose; choose gp or tpe"
            )
        return value

    @model_validator(mode="after")
    def _has_objectives(self) -> SearchSpec:
        if self.method != "nsga2" and self.objectives:
            raise ValueError(f"method={self.method} has one objective, `metric`; for several, choose nsga2")
        if self.method == "nsga2" and len(set(self.objectives)) < 2:
            raise ValueError("nsga2 needs two or three different objectives, such as [val/loss, num_parameters]")
        if self.objectives and self.metric is not None:
            raise ValueError("metric and objectives are both given; the first objective takes the place of metric")
        return self

    @model_validator(mode="after")
    def _model_is_told(self) -> SearchSpec:
        if self.warm_start and self.method not in {"tpe", "gp"}:
            raise ValueError(f"method={self.method} learns from nothing; leave warm_start out, or choose tpe or gp")
        return self


CHANGEABLE = ("optimizer.learning_rate", "optimizer.weight_decay")
"""What `pbt` may change while a replicate trains."""


class SchedulerSpec(Schema):
    """How long a configuration trains before it is compared with others."""

    name: Literal["ladder", "asha", "hyperband", "median", "fifo", "pbt"] = "ladder"
    """`ladder`: more steps, then more seeds, for the better ones. `asha`: more steps only. `hyperband`: as `asha`,
    but some configurations begin at later rungs, in case early scores mislead. `median`: the better half goes on
    at every report. `fifo`: every configuration with all steps and seeds. `pbt`: a population of
    search.budget.replicates members trains in step; at each rung the worst are replaced by the best, with another
    learning rate or weight decay from there on."""
    first: float = Field(0.25, gt=0, le=1)
    """Share of the steps at the first rung; of `pbt`, from each rung to the next."""
    eta: int = Field(2, ge=2, le=10)
    """One in so many climbs to the next rung, which is so many times as much; of `pbt`, is replaced."""
    seeds: int = Field(8, ge=1, le=100)
    """Most seeds of a configuration; of `asha`, `hyperband`, `median` and `pbt`, one."""

    @property
    def most_seeds(self) -> int:
        """Seeds that one configuration may have."""
        return 1 if self.name in {"asha", "hyperband", "median", "pbt"} else self.seeds

    @model_validator(mode="after")
    def _median_halves(self) -> SchedulerSpec:
        if self.name == "median" and self.eta != 2:
            raise ValueError(f"eta={self.eta}: at the median one in two goes on; leave eta out, or choose asha")
        return self


class ConfirmSpec(Schema):
    """How winners are compared with the baseline: on seeds that the search has not seen."""

    seeds: Annotated[int, Field(le=MAX_SEEDS)] | list[int] = 5
    """A number n stands for the next n whole numbers after the search's seeds."""
    looks: list[Annotated[int, Field(le=MAX_SEEDS)]] = []
    """In place of `seeds`: numbers of fresh seeds after each of which the winners are compared with the baseline,
    as [5, 10, 20]. More seeds start only if a winner cannot be told from it yet."""
    alphas: list[float] = []
    """Two-sided level of each look, together at most 0.05; by default equal shares of it."""
    finalists: int = Field(1, ge=1, le=MAX_FINALISTS)
    """Candidates of each searched arm that are compared on fresh seeds: the winner, which stands for its arm, and
    the next best, as arms of their own. p is adjusted by Holm's method over all of them."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Level of each look."""
        return tuple(self.alphas or [LEVEL / len(self.looks)] * len(self.looks))

    @model_validator(mode="after")
    def _spends_its_level(self) -> ConfirmSpec:
        if not self.looks:
            if self.alphas:
                raise ValueError("alphas are levels of looks; say after how many seeds under looks, as [5, 10, 20]")
            return self
        if "seeds" in self.model_fields_set:
            raise ValueError(
                "seeds and looks are both given, and the last look says how many seeds there are; a scale that "
                "takes no looks needs looks: [] and alphas: []"
            )
        if len(self.looks) < 2 or self.looks[0] < 2 or sorted(set(self.looks)) != self.looks:
            raise ValueError(
                f"looks={self.looks}: at least two ascending numbers of seeds from 2 on, as [5, 10, 20]; for one "
                "number, seeds"
            )
        if len(self.levels) != len(self.looks) or min(self.levels) <= 0:
            raise ValueError(f"alphas={self.alphas}: {len(self.looks)} looks need as many levels above 0")
        if math.fsum(self.levels) > LEVEL + 1e-9:
            raise ValueError(
                f"alphas={self.alphas}: together {math.fsum(self.levels):g}; looks that spend more than {LEVEL:g} "
                "find too much"
            )
        return self


SECTIONS: dict[str, type[Schema]] = {
    "space": SpaceSpec,
    "search": SearchSpec,
    "scheduler": SchedulerSpec,
    "confirm": ConfirmSpec,
}
