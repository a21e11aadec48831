"""The proposer of searches: what it decides is written down first, and any driver carries it out."""

from __future__ import annotations

import random

import pytest

from analysis.records.replicates import Key
from analysis.records.searching import SearchInfo
from sweeps.search.contract import ended
from sweeps.search.proposer import UnknownReplicateError
from tests.support.sweeps.searches import loss
from tests.support.sweeps.shared_search import INFO, NSGA2, Journal, proposer, run, train


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


@pytest.mark.parametrize(("info", "cuts"), [(INFO, (0, 1, 3, 7, 12, 20, 30)), (NSGA2, (0, 1, 25, 31, 37))])
def test_a_killed_search_goes_on_with_the_same_decisions(info: SearchInfo, cuts: tuple[int, ...]) -> None:
    whole = Journal()
    run(whole, [proposer(whole, 1, info)], random.Random(0))
    for cut in cuts:
        killed = Journal()
        run(killed, [proposer(killed, 1, info)], random.Random(0), stop_after=cut)
        killed.read_again()
        run(killed, [proposer(killed, 1, info)], random.Random(0))
        check(killed)
        check_same(whole, killed)


def test_of_several_objectives_the_front_is_selected() -> None:
    journal = Journal()
    run(journal, [proposer(journal, info=NSGA2)], random.Random(0))
    proposed = [event for event in journal.decisions("proposed") if event["search"] == "of a"]
    assert {event["by"] for event in proposed} >= {"sobol", "nsga2"}
    scores = {event["config_id"]: (loss(event["config_id"], 0, 40), event["num_parameters"]) for event in proposed}
    best = sorted(scores, key=lambda one: scores[one])
    expected = [one for place, one in enumerate(best) if all(scores[one][1] < scores[b][1] for b in best[:place])]
    (selected,) = [event for event in journal.decisions("selected") if event["search"] == "of a"]
    assert [selected["config_id"], *selected["runners_up"]] == expected and len(expected) > 1


def check_same(whole: Journal, killed: Journal) -> None:
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
