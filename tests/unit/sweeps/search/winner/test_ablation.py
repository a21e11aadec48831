"""An ablation around a winner: its arms are made when the winner is selected, and run on fresh seeds."""

from __future__ import annotations

import random
from dataclasses import asdict, replace

import pytest

from analysis.records.ablation import AblationInfo
from analysis.report.ablations import title
from analysis.results.ablations import ablation_of
from analysis.results.arms import summarise
from tests.support.sweeps.journals import sweep_event
from tests.support.sweeps.searches import loss
from tests.support.sweeps.shared_search import INFO, Journal, proposer, run, train

ABLATION = AblationInfo(
    around="a",
    design="leave_one_out",
    resolution=None,
    components=("coupling", "steps"),
    arms={"a": ("coupling", "steps"), "a_no_coupling": ("steps",), "a_no_steps": ("coupling",)},
    placebos=("placebo",),
    tuning="winner",
    settings={
        "a_no_coupling": {"architecture.coupling": 0.0},
        "a_no_steps": {"architecture.num_steps": 1},
        "placebo": {"architecture.sign": "none"},
    },
)
SEARCH = replace(INFO, confirm_seeds=(2, 3, 4))
ARMS = ("baseline", "a", "b", *ABLATION.settings)


def journal_of(ablation: AblationInfo = ABLATION) -> Journal:
    """Return the journal of a driver that has described the study and done nothing."""
    journal = Journal()
    described = sweep_event(ARMS, seeds=SEARCH.confirm_seeds, config_ids={arm: arm for arm in ARMS})
    described |= {"search": asdict(SEARCH), "ablation": asdict(ablation)}
    for arm in described["arms"][1:]:
        arm["seeds"] = []
    journal.write("sweep", **{k: v for k, v in described.items() if k not in {"time", "sweep_id", "event"}})
    return journal


def score(config_id: str, seed: int, step: int) -> float:
    """Return scores in which the winner without coupling is worse by ten."""
    return loss(config_id, seed, step) * 0.1 + 10 * config_id.startswith("a_no_coupling")


def ablated(cut: int = 0) -> Journal:
    """Return the journal of a search that was killed once, after so many starts."""
    journal = journal_of()
    run(journal, [proposer(journal, 1, SEARCH, ABLATION)], random.Random(0), cut, score)
    journal.read_again()
    driver = proposer(journal, 1, SEARCH, ABLATION)
    run(journal, [driver], random.Random(0), score_of=score)
    assert driver.ask() is None and driver.withheld.num_waiting == 0 and not driver.withheld.blocked
    return journal


def test_arms_are_the_winner_without_components_on_fresh_seeds() -> None:
    journal = ablated()
    (winner,) = [event for event in journal.decisions("selected") if event["search"] == "of a"]
    rows = {row.arm: row for row in summarise(journal.state).rows}
    assert set(rows) == set(ARMS)
    for name, settings in ABLATION.settings.items():
        assert sorted(rows[name].values) == [2, 3, 4], "on the seeds of the winner"
        assert rows[name].config_id.startswith(name)
        assert all(f'"{field}": ' in rows[name].config_id for field in settings)
    assert rows["a"].config_id == winner["config_id"]
    table = ablation_of(journal.state, ABLATION)
    assert [row.components for row in table.effects] == [("coupling",), ("steps",)]
    assert table.effects[0].reading == "better" and table.effects[0].effect == pytest.approx(-10, abs=0.5)
    assert title(table).startswith("ablation of the winner of a: ")
    assert table.placebos[0].effect is not None and table.n_missing == 0


@pytest.mark.parametrize("cut", [0, 10, 25, 31, 35])
def test_a_killed_ablation_goes_on_with_the_same_arms(cut: int) -> None:
    said = [
        [{key: value for key, value in event.items() if key != "time"} for event in journal.decisions("ablated")]
        for journal in (ablated(), ablated(cut))
    ]
    assert said[0] == said[1] and len(said[0]) == 3


def test_a_component_that_the_winner_lacks_stops_the_ablation_and_says_so() -> None:
    nothing = replace(ABLATION, settings={**ABLATION.settings, "nothing": {}})
    journal = journal_of(nothing)
    driver = proposer(journal, info=SEARCH, ablation=nothing)
    while (one := driver.ask()) is not None:
        train(one, journal, driver, score_of=score)
    left = driver.withheld
    assert left.num_waiting == 0 and len(left.blocked) == 1 and not journal.decisions("ablated")
    assert "'nothing' of the ablation computes the same as 'a'" in left.blocked[0]


def test_other_settings_make_the_arms_again() -> None:
    journal = ablated()
    other = replace(ABLATION, settings={**ABLATION.settings, "a_no_steps": {"architecture.num_steps": 2}})
    journal.events[0]["ablation"] = asdict(other)
    journal.read_again()
    assert set(journal.state.searches.arms_without(other, SEARCH)) == {"a_no_coupling", "placebo"}
