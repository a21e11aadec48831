"""Types of what `simulate --json` prints."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on only

from sweeps.cli.schemas.planning import Amount, Count, Positive, Share, StudyName, Text
from sweeps.fields import Scale


class RegretJson(TypedDict):
    """The regret of many searches after each has spent so much."""

    spent: Amount
    """Replicates, as if each were trained to the last step."""
    median: Amount | None
    """None while too many searches have no leader yet."""
    quartile_low: Amount | None
    quartile_high: Amount | None


class StrategyJson(TypedDict):
    """A way to spend the budget of a search, over simulated searches."""

    strategy: Text
    searches: Positive
    trials: Count
    """Starts of replicates in all searches."""
    candidates: Amount
    """Of a search, on average."""
    replicates: Amount
    """What a search trained, in replicates trained to the last step, on average."""
    hours: Amount
    """Wall time of a search in the time of one whole replicate, on average."""
    regret: Amount
    """How much worse the winner's true mean is than the best possible, on average."""
    regret_ci_low: float | None
    regret_ci_high: float | None
    optimism: float
    """How much better the winner's shown mean is than its true one."""
    false_winners: Share
    """Share of searches in which another candidate that was trained whole is clearly better."""
    claims: Share | None
    """In the world `null`: share of searches whose winner seems better on fresh seeds; 0.025 are expected."""
    selected_claims: Share | None
    """The same on the seeds that chose it."""
    curve: list[RegretJson]
    """Regret against budget, up to what the search that spent most has spent."""


class EnqueueJson(TypedDict):
    """A point that was added to a search."""

    study: StudyName
    scale: Scale
    arm: Text
    point: dict[str, Any]
    """Dotted fields with their values, without those that have no effect."""
    path: Text
    """The file that holds it, absolute."""


class SimulateJson(TypedDict):
    """Simulated searches of a study."""

    study: StudyName
    scale: Scale
    arm: Text
    world: Text
    method: Text
    cpu_seconds: Amount
    rows: Annotated[list[StrategyJson], Field(min_length=1)]
