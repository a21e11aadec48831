"""`kit verify`: what a run of the nominated replicate says of the kit. The run itself is played."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sweeps.store.folder import ResultsFolder
from tests.support.sweeps.journals import METRIC, journal_events, write_journal
from tests.support.sweeps.verbs import Call
from tests.unit.sweeps.cli.evidence.conftest import STUDY

Play = Callable[..., list[list[str]]]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Return a function that lets runs write these events; it returns the commands, as they are started."""

    def played(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> list[list[str]]:
        commands: list[list[str]] = []

        def run(command: list[str], *, env: Mapping[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
            commands.append(command)
            events = [{**e, "study": "tiny"} for e in journal_events({"transformer": 2.5, "kuramoto": 2.4})]
            kept = [changed for event in events if (changed := change(event)) is not None]
            write_journal(Path(env["PHASESWEEP_RESULTS"]) / "tiny" / "smoke" / "journal" / "a.jsonl", kept)
            return subprocess.CompletedProcess(command, 0, "", "the last line")

        monkeypatch.setattr("sweeps.cli.evidence.verification.subprocess.run", run)
        return commands

    return played


@pytest.fixture
def kit(call: Call, results: ResultsFolder, tmp_path: Path) -> Path:
    assert call("kit", *STUDY, "--to", "kit").code == 0
    return tmp_path / "kit"


def verified(call: Call, *options: str) -> tuple[int, Any]:
    done = call("kit", "verify", "kit", "--json", *options)
    return done.code, done.json("kit")


def changed(numerics: dict[str, Any], factor: float) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(event: dict[str, Any]) -> dict[str, Any]:
        if event["event"] == "started":
            return {**event, "numerics": {**event["numerics"], **numerics}}
        if event["event"] == "report" and METRIC in event["metrics"]:
            return {**event, "metrics": {**event["metrics"], METRIC: factor * event["metrics"][METRIC]}}
        return event

    return change


def test_equal_bits_hold(call: Call, kit: Path, play: Play) -> None:
    commands = play(lambda event: event)
    code, printed = verified(call, "--exact")
    assert (code, printed["outcome"], printed["holds"]) == (0, "equal", True)
    assert commands[0][-4:] == ["--scale", "smoke", "--only", "transformer@0"]
    assert commands[0][-5] == str(kit / "study" / "study.yaml")


@pytest.mark.parametrize(
    ("numerics", "factor", "options", "outcome", "code"),
    [
        ({"threads": 2}, 1.001, (), "equal in law", 0),
        ({"threads": 2}, 1.001, ("--exact",), "equal in law", 1),
        ({"threads": 2}, 1.01, (), "different", 1),
        ({}, 1.0000001, (), "different", 1),
    ],
)
def test_other_bits(
    call: Call,
    kit: Path,
    play: Play,
    numerics: dict[str, Any],
    factor: float,
    options: tuple[str, ...],
    outcome: str,
    code: int,
) -> None:
    play(changed(numerics, factor))
    ended, printed = verified(call, *options)
    assert (ended, printed["outcome"]) == (code, outcome)
    assert [*printed["unequal"]] == [METRIC]
    assert printed["numerics"] == ({"threads": "1 | 2"} if numerics else {})


def test_a_replicate_that_does_not_finish(call: Call, kit: Path, play: Play) -> None:
    play(lambda event: event if event["event"] == "sweep" else None)
    code, printed = verified(call)
    assert (code, printed["outcome"]) == (1, "not run")
    assert "the last line" in printed["told"]


def test_an_arm_that_is_another_configuration_here(call: Call, kit: Path, play: Play) -> None:
    def renamed(event: dict[str, Any]) -> dict[str, Any] | None:
        if event["event"] != "sweep":
            return None
        return {**event, "arms": [{**arm, "config_id": "another"} for arm in event["arms"]]}

    play(renamed)
    code, printed = verified(call)
    assert (code, printed["outcome"]) == (1, "different")
    assert "another configuration here: another, not transformer-id" in printed["told"]


def test_a_changed_file_does_not_hold_and_nothing_runs(call: Call, kit: Path, play: Play) -> None:
    commands = play(lambda event: event)
    (kit / "verdicts.json").write_text("[1]\n", encoding="utf-8")
    code, printed = verified(call)
    assert (code, printed["outcome"], printed["holds"]) == (1, "damaged", False)
    assert "verdicts.json" in printed["told"] and not commands


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kit", "verify"), "name the kit's folder"),
        (("kit", "verify", "nowhere"), "no such folder"),
        (("kit", "verify", "."), "expected.json: cannot be read"),
    ],
)
def test_mistakes_are_one_line(call: Call, arguments: tuple[str, ...], message: str) -> None:
    done = call(*arguments)
    assert (done.code, done.out) == (2, "") and message in done.err and done.err.count("\n") == 1
