"""What verbs say of a campaign: progress and gates from journals, and rules that follow from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeps.campaigns.campaign import read_campaign
from sweeps.cli.campaign.reader import Reader
from tests.support.sweeps.campaigns import write_campaign, write_values
from tests.support.sweeps.verbs import Call, caller


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    write_campaign(tmp_path)
    return caller(tmp_path, monkeypatch, capsys)


def test_without_results_no_gate_is_judged_and_no_rule_holds(call: Call) -> None:
    found = call("results", "trip.yaml", "--json").json("results")
    gates = [gate for phase in found["phases"] for gate in phase["gates"]]
    assert [gate["outcome"] for gate in gates] == ["not judged"] * 3
    assert all("not run" in gate["why"] for gate in gates)
    assert [phase["progress"] for phase in found["phases"]] == ["not begun", "not begun", "when run", "when run"]
    assert [rule["holds"] for rule in found["decision"]] == [None, None, None]


def test_gates_are_verdicts_and_rules_follow_from_them(call: Call, tmp_path: Path) -> None:
    write_values(tmp_path, "first", transformer=3.5, kuramoto=3.6)
    write_values(tmp_path, "second", transformer=2.5, kuramoto=2.4, seeds=(5, 6, 7))
    found = call("results", "trip.yaml", "--json").json("results")
    outcomes = {gate["gate"]: gate for phase in found["phases"] for gate in phase["gates"]}
    assert {name: gate["outcome"] for name, gate in outcomes.items()} == {
        "first:low": "failed",
        "first:better": "failed",
        "second:low": "passed",
    }
    assert outcomes["second:low"]["is_settled"]
    assert not outcomes["first:better"]["is_settled"]  # settled at gpu
    assert [rule["holds"] for rule in found["decision"]] == [False, True, True]
    said = call("results", "trip.yaml").out
    assert "failed (an indication)" in said
    assert "holds: first:better failed → drop the oscillators" in said


def test_a_gate_that_the_seeds_do_not_settle_is_not_judged(call: Call, tmp_path: Path) -> None:
    write_values(tmp_path, "first", transformer=2.5, kuramoto=2.5)
    found = call("results", "trip.yaml", "--json").json("results")
    low, better = found["phases"][0]["gates"]
    assert (low["outcome"], better["outcome"]) == ("passed", "not judged")
    assert "inconclusive" in better["why"]
    assert [rule["holds"] for rule in found["decision"]] == [None, None, False]


def test_status_says_what_waits_for_a_failed_gate(call: Call, tmp_path: Path) -> None:
    write_values(tmp_path, "first", transformer=3.5, kuramoto=2.4)
    lines = call("status", "trip.yaml").out.splitlines()
    assert any(line.startswith("one") and "done" in line and "6 of 6" in line for line in lines)
    assert any(line.startswith("two") and "waits for first:low" in line and "6 of 12" in line for line in lines)
    assert call("status", "trip.yaml", "--json").json("status")["phases"][1]["progress"] == "begun"


def test_replicates_of_other_seeds_are_not_those_of_a_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    campaign = read_campaign(write_campaign(tmp_path))
    write_values(tmp_path, "second", transformer=2.5, kuramoto=2.4, seeds=(0, 1, 5))
    second = Reader(campaign, "laptop").phase("two").studies[0]
    assert (second.num_replicates, second.num_ended) == (6, 2)


def test_options_of_studies_are_refused_for_campaigns_and_the_reverse(call: Call) -> None:
    for arguments, says in (
        (("results", "trip.yaml", "--metric", "val/loss"), "--metric is for a study"),
        (("status", "trip.yaml", "--set", "seeds=2"), "--set is for a study"),
        (("plan", "trip.yaml", "--gpus", "1x24GiB"), "--gpus is for a study"),
        (("run", "first.yaml", "--through", "one"), "--through is for a campaign"),
        (("run", "first.yaml", "--past-failed-gates"), "--past-failed-gates is for a campaign"),
        (("run", "trip.yaml", "--through", "on"), "did you mean 'one'"),
        (("results", "trip.yaml", "--scale", "lptop"), "unknown scale"),
    ):
        said = call(*arguments)
        assert said.code == 2, said.out
        assert says in said.err


def test_a_package_holds_what_checks_the_results(call: Call, tmp_path: Path) -> None:
    write_values(tmp_path, "first", transformer=2.5, kuramoto=2.4)
    write_values(tmp_path, "second", transformer=2.5, kuramoto=2.4, seeds=(5, 6, 7))
    from sweeps.cli.campaign.package import write_package

    campaign = read_campaign(tmp_path / "trip.yaml")
    folder = write_package(campaign, Reader(campaign, "laptop").state())
    assert folder == tmp_path / "results" / "trip" / "laptop" / "package"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    tables = {"journal.jsonl", "study.yaml", "replicates.csv", "configurations.csv"}
    assert written == {"campaign.yaml", "gates.json", "versions.txt", "commands.sh"} | {
        f"{study}@laptop/{name}" for study in ("first", "second") for name in tables
    }
    assert json.loads((folder / "gates.json").read_text())["campaign"] == "trip"
    commands = (folder / "commands.sh").read_text().splitlines()
    assert any("second.yaml" in line and "'seeds=[5, 6, 7]'" in line for line in commands)
    assert any(line.startswith("numpy==") for line in (folder / "versions.txt").read_text().splitlines())
