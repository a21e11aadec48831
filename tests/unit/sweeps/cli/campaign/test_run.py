"""Running a campaign: what runs in which order, what stops it, and its exit code; studies themselves do not run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from sweeps.cli.campaign import checks, run
from sweeps.cli.campaign.run import at_once
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED
from sweeps.studies.catalogue import StudyArguments
from tests.support.sweeps.campaigns import CAMPAIGN, write_campaign, write_values
from tests.support.sweeps.verbs import Call, caller

Scores = dict[str, tuple[float, float]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    write_campaign(tmp_path)
    return caller(tmp_path, monkeypatch, capsys)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[str, ...]]]:
    """Let studies end at once, with scores that pass every gate; return what was run."""
    return let_run(tmp_path, monkeypatch, {"first": (2.5, 2.4), "second": (2.5, 2.4)})


def let_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, scores: Scores, code: int = EXIT_DONE
) -> list[tuple[str, tuple[str, ...]]]:
    started: list[tuple[str, tuple[str, ...]]] = []

    def study(output: Any, given: StudyArguments, *, limits: Any) -> int:
        name = Path(given.name).stem
        started.append((name, tuple(given.sets)))
        write_values(folder, name, *scores[name], seeds=(5, 6, 7) if given.sets else (0, 1, 2))
        return code

    monkeypatch.setattr(run.study_run, "run", study)
    return started


def test_phases_run_in_order_and_the_decision_is_printed(call: Call, ran: list[Any], tmp_path: Path) -> None:
    said = call("run", "trip.yaml")
    assert said.code == EXIT_DONE, said.err
    assert ran == [("first", ()), ("second", ("seeds=[5, 6, 7]",)), ("first", ())]
    assert "holds: all passed → publish" in said.out
    assert (tmp_path / "results" / "trip" / "laptop" / "package" / "gates.json").is_file()


def test_it_ends_with_the_phase_that_is_asked_for(call: Call, ran: list[Any]) -> None:
    said = call("run", "trip.yaml", "--through", "one", "--json")
    assert (said.code, ran) == (EXIT_DONE, [("first", ())])
    assert [phase["phase"] for phase in said.json("run")["phases"]] == ["one"]


def test_a_failed_gate_stops_what_comes_after_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = let_run(tmp_path, monkeypatch, {"first": (3.5, 2.4), "second": (2.5, 2.4)})
    said = call("run", "trip.yaml")
    assert (said.code, started) == (EXIT_FAILURES, [("first", ())])
    assert said.out.count("not run: gate first:low failed") == 1
    assert "written: " in said.out  # reports wait for nothing
    assert "does not hold: all passed" in said.out
    again = call("run", "trip.yaml", "--past-failed-gates")
    assert again.code == EXIT_DONE
    assert [name for name, _ in started[1:]] == ["first", "second", "first"]


def test_an_indication_stops_nothing(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = let_run(tmp_path, monkeypatch, {"first": (2.5, 2.6), "second": (2.5, 2.4)})
    said = call("run", "trip.yaml")  # `better` is refuted, and settled at gpu
    assert (said.code, len(started)) == (EXIT_DONE, 3)
    assert "failed (an indication)" in said.out
    assert "waits for" not in call("status", "trip.yaml").out


def test_a_gate_that_is_not_judged_stops_nothing(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = let_run(tmp_path, monkeypatch, {"first": (2.5, 2.5), "second": (2.5, 2.4)})
    said = call("run", "trip.yaml")
    assert (said.code, len(started)) == (EXIT_DONE, 3)
    assert "not judged" in said.out


def test_an_interrupt_ends_the_campaign_with_the_command_that_continues_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"first": (2.5, 2.4), "second": (2.5, 2.4)}
    started = let_run(tmp_path, monkeypatch, scores, EXIT_INTERRUPTED)
    said = call("run", "trip.yaml", "--through", "two")
    assert (said.code, len(started)) == (EXIT_INTERRUPTED, 1)
    assert "stopped in one; continue with: phasesweep run trip.yaml --scale laptop --through two" in said.out


CHECKED = CAMPAIGN.replace(
    "  one:\n", "  zero:\n    title: Here\n    environment: true\n  one:\n    after: [zero]\n"
)


@pytest.mark.parametrize("ok", [True, False])
def test_what_is_wrong_with_the_environment_stops_what_comes_after(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: list[Any], ok: bool
) -> None:
    write_campaign(tmp_path, CHECKED)
    monkeypatch.setattr(checks, "environment", lambda: checks.Checked(ok, "looked at"))
    said = call("run", "trip.yaml", "--through", "one")
    assert "looked at" in said.out
    assert (said.code, len(ran)) == ((EXIT_DONE, 1) if ok else (EXIT_FAILURES, 0))
    assert ("zero found something wrong" in said.out) != ok


def test_contracts_are_checked_and_a_broken_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.architectures.gpt import TransformerConfig
    from trainables.contract import architectures

    small = TransformerConfig(d_model=8, num_layers=1, num_heads=1)
    monkeypatch.setattr(TransformerConfig, "contract_configs", classmethod(lambda cls: [small]))
    met = checks.contracts(["transformer"])
    assert met.ok
    assert "contracts of transformer are met" in met.text
    monkeypatch.setattr(TransformerConfig, "violates", frozenset({"causality"}))
    assert not checks.contracts(["transformer"]).ok
    assert architectures.CHECKS  # they are what was checked


def test_studies_of_a_parallel_phase_run_at_once_on_a_cluster(
    call: Call, ran: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(run, "at_once", lambda commands: given.extend(map(list, commands)) or EXIT_DONE)
    monkeypatch.setenv("RAY_ADDRESS", "ray://nowhere:1")
    call("run", "trip.yaml", "--through", "two")
    assert [name for name, _ in ran] == ["first"]  # a phase with one study needs no other process
    assert [command[1:4] for command in given] == [["-m", "sweeps", "run"]] * 2
    assert given[0][-2:] == ["--set", "seeds=[5, 6, 7]"]


WAITS_FOR_THE_OTHER = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:3])
mine.touch()
end = time.monotonic() + 30
while not other.exists() and time.monotonic() < end:
    time.sleep(0.01)
sys.exit(int(sys.argv[3]) if other.exists() else 9)
"""


@pytest.mark.parametrize(("codes", "worst"), [((0, 0), 0), ((0, 1), 1), ((130, 1), 130)])
def test_they_run_at_the_same_time(tmp_path: Path, codes: tuple[int, int], worst: int) -> None:
    files = [str(tmp_path / name) for name in "ab"]
    commands = [
        [sys.executable, "-c", WAITS_FOR_THE_OTHER, *pair, str(code)]
        for pair, code in zip((files, files[::-1]), codes, strict=True)
    ]
    assert at_once(commands) == worst
