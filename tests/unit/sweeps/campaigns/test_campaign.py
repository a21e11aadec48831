"""Reading campaigns: their order, their studies at each scale, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.campaigns.campaign import read_campaign
from sweeps.campaigns.catalogue import campaign_library, campaign_path
from sweeps.errors import UserError
from sweeps.studies.catalogue import library
from tests.support.sweeps.campaigns import CAMPAIGN, write_campaign


def test_phases_run_in_the_order_of_the_file_and_wait_for_what_they_come_after(tmp_path: Path) -> None:
    campaign = read_campaign(write_campaign(tmp_path))
    assert campaign.through("two") == ["one", "two"]
    assert campaign.through(None) == ["one", "two", "three", "four"]
    assert campaign.before("four") == ["one", "two"]
    assert campaign.gates == ["first:low", "first:better", "second:low"]


def test_a_gate_is_of_the_study_as_its_phase_runs_it(tmp_path: Path) -> None:
    text = CAMPAIGN.replace(
        '{study: first.yaml}]\n    gates: ["second:low"]',
        "{study: first.yaml, set: {budget.steps: 8}, at: {gpu: {budget.batch_size: 8}}}]\n"
        '    gates: ["second:low", "first:low"]',
    )
    campaign = read_campaign(write_campaign(tmp_path, text))
    assert campaign.run_behind("one", "first:low", "gpu").sets == ()
    assert campaign.run_behind("two", "first:low", "gpu").sets == ("budget.steps=8", "budget.batch_size=8")
    assert campaign.run_behind("two", "first:low", "laptop").sets == ("budget.steps=8",)
    assert campaign.studies("two", "laptop")[0].sets == ("seeds=[5, 6, 7]",)


MISTAKES = {
    "after a phase below": ("after: [one]", "after: [three]", "trip.yaml:11: phase 'two' comes after 'three'"),
    "a gate of no study": ('"second:low"', '"third:low"', "runs study 'third'; known: first, second"),
    "a gate without its claim": ('"second:low"', '"second"', "write STUDY:CLAIM"),
    "a rule about no claim": (
        '"first:better": failed',
        '"first:btter": failed',
        "no claim 'btter'; did you mean 'better'",
    ),
    "a rule with another outcome": ('better": failed', 'better": broken', "'passed' or 'failed'"),
    "two kinds of work": ("package: true", "package: true\n    environment: true", "has environment and package"),
    "nothing to do": ("    package: true\n", "", "has nothing to do"),
    "gates without studies": ("package: true", 'package: true\n    gates: ["first:low"]', "this phase runs none"),
}


@pytest.mark.parametrize(("wrong", "instead", "says"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named_with_their_place(tmp_path: Path, wrong: str, instead: str, says: str) -> None:
    assert wrong in CAMPAIGN
    path = write_campaign(tmp_path, CAMPAIGN.replace(wrong, instead, 1))
    with pytest.raises(UserError) as refused:
        read_campaign(path)
    assert says in str(refused.value)
    assert str(refused.value).startswith(str(path))


def test_an_unknown_phase_is_refused(tmp_path: Path) -> None:
    campaign = read_campaign(write_campaign(tmp_path))
    with pytest.raises(UserError, match="no such phase; did you mean 'three'"):
        campaign.through("thre")


def test_a_study_is_no_campaign(tmp_path: Path) -> None:
    write_campaign(tmp_path)
    assert campaign_path(str(tmp_path / "first.yaml")) is None
    assert campaign_path("quickstart") is None
    assert campaign_path(str(tmp_path / "trip.yaml")) is not None


@pytest.mark.parametrize(("name", "path"), campaign_library().items())
def test_every_campaign_of_the_library_is_valid_and_no_study_has_its_name(name: str, path: Path) -> None:
    assert campaign_path(name) == path
    assert read_campaign(path).name == name
    assert name not in library()
