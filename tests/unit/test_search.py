"""When the searcher hands out, when it says "ask again", and when it has finished."""

from __future__ import annotations

from typing import Any

import pytest
from ray.tune.search import Searcher

from sweeps.agenda import Claimed, Outlook
from sweeps.search import ReplicateSearcher
from sweeps.sitting import Sitting
from trainables.tune_trainable import CONFIG_KEY


class Given:
    """An agenda with a given number of replicates, of which other drivers hold some more."""

    def __init__(self, free: int, held: int) -> None:
        self.free, self.outlook = free, Outlook(free=free, held=held)

    def claim_next(self) -> Claimed | None:
        if not self.free:
            return None
        self.free -= 1
        return Claimed(None, self.free, None, 0.0)  # type: ignore[arg-type]


class Told:
    def __init__(self, claimed: Claimed) -> None:
        self.seed = claimed.seed

    def to_json(self) -> str:
        return str(self.seed)


def searcher(free: int, held: int = 0, **limits: Any) -> tuple[ReplicateSearcher, Sitting]:
    sitting = Sitting(**limits)
    return ReplicateSearcher(Given(free, held), sitting, Told), sitting  # type: ignore[arg-type]


def test_it_hands_out_what_there_is_and_has_finished() -> None:
    made, _ = searcher(2)
    assert [made.suggest(name) for name in "abc"] == [{CONFIG_KEY: "1"}, {CONFIG_KEY: "0"}, Searcher.FINISHED]
    assert {name: told.seed for name, told in made.suggested.items()} == {"a": 1, "b": 0}  # type: ignore[attr-defined]


def test_while_its_own_trials_run_it_waits_for_what_others_hold() -> None:
    made, _ = searcher(1, held=3)
    assert made.suggest("a") == {CONFIG_KEY: "0"}
    assert made.suggest("b") is None, "a driver may die and leave work for a free slot"
    made.on_trial_complete("a", error=True)
    assert made.suggest("c") == Searcher.FINISHED, "idle actors must not keep what the others need"


@pytest.mark.parametrize("limits", [{"max_trials": 2}, {"max_hours": 1.0}])
def test_it_starts_no_more_than_the_sitting_allows(limits: dict[str, Any]) -> None:
    made, sitting = searcher(9, held=1, **limits)
    assert made.suggest("a") != Searcher.FINISHED
    assert made.suggest("b") != Searcher.FINISHED
    sitting.stop("enough") if "max_hours" in limits else None
    assert made.suggest("c") == Searcher.FINISHED
