"""When the searcher hands out, when it says "ask again", and when it has finished."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher

from cluster.inventory import Inventory
from cluster.placement.size_classes import pack
from cluster.placement.slots import Slots
from sweeps.plan.units import PlannedReplicate
from sweeps.run.leased_work import Leased
from sweeps.run.limits import RunLimits
from sweeps.run.tune_adapter import ReplicateSearcher
from trainables.config.resources import ResourceConfig
from trainables.worker.assignment import ACTOR_KEY, CONFIG_KEY, WORKER_KEY


class Given:
    """A source of a given number of replicates, of which other drivers hold some more; some are second starts."""

    def __init__(self, free: int, held: int) -> None:
        self.free, self.held, self.retries = free, held, 0

    @property
    def has_more(self) -> bool:
        return bool(self.free or self.held)

    def lease_next(self, has_room: Any, *, retries_only: bool = False) -> Leased | None:
        assert has_room(0)
        if self.retries:
            self.retries -= 1
            return self.claimed(99, is_retry=True)
        if retries_only or not self.free:
            return None
        self.free -= 1
        return self.claimed(self.free, is_retry=False)

    def claimed(self, seed: int, *, is_retry: bool) -> Leased:
        return Leased(PlannedReplicate(SimpleNamespace(config_id="any"), seed), 0, is_retry, None, 0.0)  # type: ignore[arg-type]


class Told:
    def __init__(self, claimed: Leased) -> None:
        self.seed = claimed.planned.seed

    def to_json(self) -> str:
        return str(self.seed)


def searcher(free: int, held: int = 0, *, slots: int = 9, **limits: Any) -> tuple[ReplicateSearcher, RunLimits]:
    return searcher_of(Given(free, held), slots=slots, **limits)


def searcher_of(source: Given, *, slots: int = 9, **limits: Any) -> tuple[ReplicateSearcher, RunLimits]:
    limits = RunLimits(**limits)
    packing = pack(ResourceConfig(), {"any": 100.0}, Inventory(cpus=slots, memory_mib=100_000))
    room = Slots(packing, look_ahead=1)
    return ReplicateSearcher(source, room, limits, Told), limits  # type: ignore[arg-type]


def told(suggestion: dict[str, Any]) -> str:
    assert suggestion[ACTOR_KEY] == suggestion[WORKER_KEY] == {"CPU": 1.0, "memory": 256 * 2.0**20}
    return suggestion[CONFIG_KEY]


def test_it_hands_out_what_there_is_and_has_finished() -> None:
    made, _ = searcher(2)
    assert [told(made.suggest(name)) for name in "ab"] == ["1", "0"]
    assert made.suggest("c") == Searcher.FINISHED
    assert {name: one.seed for name, one in made.suggested.items()} == {"a": 1, "b": 0}  # type: ignore[attr-defined]


def test_it_starts_no_more_than_there_is_room_for() -> None:
    made, _ = searcher(3, slots=2)
    assert [told(made.suggest(name)) for name in "ab"] == ["2", "1"]
    assert made.suggest("c") is None
    made.on_trial_complete("a")
    assert told(made.suggest("c")) == "0"


def test_while_its_own_trials_run_it_waits_for_what_others_hold() -> None:
    made, _ = searcher(1, held=3)
    assert told(made.suggest("a")) == "0"
    assert made.suggest("b") is None, "a driver may die and leave work for a free slot"
    made.on_trial_complete("a", error=True)
    assert made.suggest("c") == Searcher.FINISHED, "idle actors must not keep what the others need"


@pytest.mark.parametrize("given", [{"max_trials": 2}, {"max_hours": 1.0}])
def test_it_starts_no_more_than_the_limits_allow(given: dict[str, Any]) -> None:
    made, limits = searcher(9, held=1, **given)
    assert made.suggest("a") != Searcher.FINISHED
    assert made.suggest("b") != Searcher.FINISHED
    limits.stop("enough") if "max_hours" in given else None
    for name in "ab":
        made.on_trial_complete(name)
    assert made.suggest("c") == Searcher.FINISHED


def test_a_second_start_of_the_same_replicate_counts_as_none() -> None:
    """One that ran out of memory is started again with more, though `--max-trials` allows no other start."""
    source = Given(9, 0)
    made, limits = searcher_of(source, max_trials=1)
    assert told(made.suggest("a")) == "8"
    assert limits.start_limit_reached
    assert made.suggest("b") is None, "what runs may run out of memory yet"
    made.on_trial_complete("a")
    source.retries = 1
    assert told(made.suggest("c")) == "99"
    made.on_trial_complete("c")
    assert made.suggest("d") == Searcher.FINISHED


def test_second_starts_leave_the_limit_to_others() -> None:
    source = Given(9, 0)
    source.retries = 3
    made, limits = searcher_of(source, max_trials=1)
    assert [told(made.suggest(name)) for name in "abc"] == ["99"] * 3
    assert not limits.start_limit_reached
    assert told(made.suggest("d")) == "8"
    assert limits.start_limit_reached


def test_a_run_of_tune_ends_before_it_has_grown_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.run.tune_adapter.TRIALS_PER_TUNE_RUN", 2)
    made, _ = searcher(3)
    assert [told(made.suggest(name)) for name in "ab"] == ["2", "1"]
    assert made.suggest("c") == Searcher.FINISHED, "the engine starts another run for what is left"
