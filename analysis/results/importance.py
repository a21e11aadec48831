"""The importances of the fields that a search varies, as `sweeps.search.importance` computes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Evaluator = Literal["fanova", "ped_anova"]


@dataclass(frozen=True, kw_only=True)
class FieldImportance:
    """The importance of one field."""

    name: str
    share: float
    """fANOVA: of the variance of the scores over the space. PED-ANOVA: of the sum over the fields."""
    ci_low: float
    ci_high: float
    """95 %, from random halves of the candidates."""


@dataclass(frozen=True, kw_only=True)
class ArmImportance:
    """The importances of the fields of one searched arm."""

    arm: str
    rung: int
    steps: int
    seeds: int
    """The scores that are explained: after so many steps, over so many seeds."""
    n_configurations: int
    """Candidates they are computed from."""
    n_left_out: int
    """Candidates with a score that were left out, since a forest of more takes minutes."""
    n_adaptive: int
    """Of those used, candidates that a model proposed for earlier scores: they crowd where scores are good."""
    fields: tuple[FieldImportance, ...]
    """The largest share first."""
    explained: float | None
    """Sum of the shares: what fields explain by themselves. None for PED-ANOVA, whose shares are of no variance."""
    unexplained: float | None
    """The rest: interactions, and noise."""
    noise_share: float | None
    """Of the variance of the scores, what seeds alone account for; None where no candidate has two seeds there."""
    warning: str
    """Empty if there is nothing to warn of."""


@dataclass(frozen=True, kw_only=True)
class ImportanceTable:
    """The importances of a study's searches."""

    study: str
    scale: str
    metric: str
    evaluator: Evaluator
    evaluator_version: str
    seed: int
    """Of the forests and halves."""
    arms: tuple[ArmImportance, ...]
