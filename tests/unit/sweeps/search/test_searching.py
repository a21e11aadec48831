"""The proposer of searches: what it decides is written down first, and any driver carries it out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.records.journal import JournalState
from analysis.records.replicates import Key
from analysis.records.searching import Rung, SearchedArm, SearchInfo
from sweeps.plan.units import PlannedReplicate
from sweeps.search.contract import ended
from sweeps.search.proposer import Report, UnknownReplicateError
from sweeps.search.searching import SearchProposer
from sweeps.search.simulation.virtual import name_of
from sweeps.studies.schema.search import SearchSpec
from sweeps.studies.search import ArmSpace
from tests.support.sweeps.searches import SPACE, loss

INFO = SearchInfo(
    method="sobol",
    metric="val/x",
    subset_metric="val_subset/x",
    direction="minimise",
    arms=(SearchedArm(arm="a", search="of a", fields=("x",)), SearchedArm(arm="b", search="of b", fields=("x",))),
    rungs=(Rung(steps=10, seeds=1), Rung(steps=20, seeds=1), Rung(steps=40, seeds=1), Rung(steps=40, seeds=2)),
    eta=2,
    seeds=(0, 1),
    confirm_seeds=(2, 3),
    replicates=5,
)


class FakePlan:
    """The part of a plan that a search uses: points are their own configurations."""

    def __init__(self) -> None:
        self.units: dict[str, Any] = {"baseline": SimpleNamespace(config_id="baseline", depends_on=lambda seed: [])}
        self.replicates = tuple(PlannedReplicate(self.units["baseline"], seed) for seed in INFO.confirm_seeds)
        self.keys = tuple(one.key for one in self.replicates)
        self.search = self
        self.info, self.settings = INFO, SearchSpec()
        self.told: dict[str, Any] = {}
        self.spaces = {name: ArmSpace(name, SPACE, None, ()) for name in ("a", "b")}

    def unit(self, config_id: str) -> Any:
        return self.units[config_id]

    def identify(self, arm: str, point: dict[str, Any]) -> str:
        return f"{arm} {name_of(point)}"

    def bear(self, arm: str, number: int, point: dict[str, Any]) -> Any:
        config_id = self.identify(arm, point)
        made = SimpleNamespace(changes=point)
        self.units[config_id] = SimpleNamespace(
            config_id=config_id, arm=made, num_parameters=1, need_mib=1.0, data_hash="d", depends_on=lambda s: []
        )
        return self.units[config_id]


class Journal:
    """A journal that several drivers share, and one lease for decisions."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.state = JournalState()
        self.is_leased = False
        self._time = itertools.count(1)

    @contextmanager
    def deciding(self) -> Iterator[bool]:
        yield not self.is_leased

    def write(self, event: str, **fields: Any) -> None:
        self.events.append({"time": float(next(self._time)), "sweep_id": "s", "event": event, **fields})
        self.state.apply(self.events[-1])

    def read_again(self) -> None:
        self.state = JournalState()
        for event in self.events:
            self.state.apply(event)

    def decisions(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def proposer(journal: Journal, max_open: int = 4) -> SearchProposer:
    made = SearchProposer(FakePlan(), lambda: journal.state, max_open)  # type: ignore[arg-type]
    made.write_to(journal)
    return made


def train(one: PlannedReplicate, journal: Journal, by: SearchProposer, *, fails: bool = False) -> None:
    """Train a replicate until its proposer stops it, writing what a recorder writes."""
    key = {"config_id": one.key[0], "seed": one.key[1]}
    before = journal.state.replicates.get(one.key)
    done = before.reports[-1].step if before and before.reports else 0
    if one.continues:
        assert before is not None and before.status == "pruned"
        journal.write("reopened", **key, reason="promoted", anew=False)
    journal.write("started", **key, step=done)
    for step in range(done + 10, 41, 10):
        score = loss(*one.key, step)
        metrics = {"val_subset/x": score} | ({"val/x": score} if step == 40 else {})
        journal.write("report", **key, step=step, metrics=metrics)
        if fails:
            journal.write("diverged", **key, step=step)
            break
        if step == 40 or by.should_stop(Report(one.key, step, metrics)):
            journal.write("finished" if step == 40 else "pruned", **key, step=step)
            break
    by.tell(journal.state.replicates[one.key])


def run(journal: Journal, drivers: list[SearchProposer], shuffle: random.Random, stop_after: int = 10_000) -> int:
    """Let drivers work in any order until nothing is left; return how many replicates they started."""
    starts = 0
    while starts < stop_after:
        order = shuffle.sample(drivers, len(drivers))
        found = next(((driver, one) for driver in order if (one := driver.ask()) is not None), None)
        if found is None:
            return starts
        driver, one = found
        steps = driver._targets.get(one.key, 40)
        before = journal.state.replicates.get(one.key)
        if (
            before is None
            or before.status is None
            or (before.status == "pruned" and before.reports[-1].step < steps)
        ):
            train(one, journal, driver)
            starts += 1
        else:  # another driver was first
            driver.tell(before)
    return starts


def check(journal: Journal) -> None:
    proposed = journal.decisions("proposed")
    for arm in ("a", "b"):
        numbers = [event["number"] for event in proposed if event["arm"] == arm]
        assert numbers == list(range(len(numbers))) and len(numbers) >= 6, "each number once"
    assert len({event["config_id"] for event in proposed}) == len(proposed)
    winners = journal.decisions("selected")
    assert sorted(event["search"] for event in winners) == ["of a", "of b"]
    finished = {key for key, one in journal.state.replicates.items() if one.status == "finished"}
    assert finished >= {(event["config_id"], seed) for event in winners for seed in INFO.confirm_seeds}
    assert finished >= {("baseline", seed) for seed in INFO.confirm_seeds}
    steps = [(event["config_id"], event["seed"], event["step"]) for event in journal.decisions("report")]
    assert len(set(steps)) == len(steps), "no step is trained twice"


def test_a_search_ends_with_confirmed_winners() -> None:
    journal = Journal()
    driver = proposer(journal)
    run(journal, [driver], random.Random(0))
    check(journal)
    assert driver.ask() is None and driver.withheld.num_waiting == 0 and not driver.withheld.blocked


@pytest.mark.parametrize("cut", [0, 1, 3, 7, 12, 20, 30])
def test_a_killed_search_goes_on_with_the_same_decisions(cut: int) -> None:
    whole, killed = Journal(), Journal()
    run(whole, [proposer(whole, 1)], random.Random(0))
    run(killed, [proposer(killed, 1)], random.Random(0), stop_after=cut)
    killed.read_again()
    run(killed, [proposer(killed, 1)], random.Random(0))
    check(killed)
    for kind in ("proposed", "promoted", "selected"):
        said = [
            [{k: v for k, v in event.items() if k != "time"} for event in journal.decisions(kind)]
            for journal in (whole, killed)
        ]
        assert said[0] == said[1]


@pytest.mark.parametrize("seed", range(4))
def test_two_drivers_share_one_search(seed: int) -> None:
    journal = Journal()
    run(journal, [proposer(journal), proposer(journal)], random.Random(seed))
    check(journal)


def test_nobody_decides_while_another_driver_does() -> None:
    journal = Journal()
    driver = proposer(journal)
    journal.is_leased = True
    one = driver.ask()
    assert one is not None and one.key[0] == "baseline" and not journal.decisions("proposed")
    assert driver.withheld.can_decide
    journal.is_leased = False
    again = driver.ask()
    assert again is not None and again.key[0] != "baseline"


def test_it_waits_for_scores_instead_of_proposing_for_ever() -> None:
    driver = proposer(Journal(), max_open=3)
    keys: list[Key] = []
    while (one := driver.ask()) is not None:
        keys.append(one.key)
    assert len([key for key in keys if key[0] != "baseline"]) == 3
    assert not driver.withheld.can_decide


def test_if_everything_fails_it_says_so() -> None:
    journal = Journal()
    driver = proposer(journal)
    while (one := driver.ask()) is not None:
        train(one, journal, driver, fails=one.key[0] != "baseline")
    left = driver.withheld
    assert left.num_waiting == 0 and len(left.blocked) == 2
    assert "configurations of arm 'a' failed" in left.blocked[0]


def test_the_end_of_what_it_never_proposed_is_refused() -> None:
    with pytest.raises(UnknownReplicateError):
        proposer(Journal()).tell(ended(("no such configuration", 0)))


def test_a_journal_that_is_read_again_from_its_start_is_followed_again() -> None:
    journal = Journal()
    driver = proposer(journal)
    run(journal, [driver], random.Random(0), stop_after=6)
    journal.read_again()
    run(journal, [driver], random.Random(0))
    check(journal)
