"""`logs`: the lines of every replicate, one log after the other, and new ones as they come."""

from __future__ import annotations

import io
import signal
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from sweeps.cli.drivers import logs as verb
from sweeps.console import Output
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import ReplicateLeases
from sweeps.studies.catalogue import StudyArguments
from tests.support.sweeps.journals import config_id, sweep_event
from tests.support.sweeps.studies import start
from tests.support.sweeps.verbs import Call, caller, write_results

ARMS = ("baseline", "coupling_2")
TRACEBACK = "2026-11-22T10:00:02+0000 Traceback (most recent call last):\n  File\nValueError: no\n"


def write_log(results: ResultsFolder, arm: str, seed: int, text: str) -> Path:
    path = results.replicate(config_id(arm), seed) / "log.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    results = write_results(tmp_path, [sweep_event(ARMS, seeds=range(2))])
    write_log(results, "baseline", 0, "2026-11-22T10:00:01+0000 started\n2026-11-22T10:00:05+0000 finished\n")
    write_log(results, "coupling_2", 0, TRACEBACK)
    # An hour's offset: 10:00:03 in UTC, between the others.
    write_log(results, "coupling_2", 1, "2026-11-22T11:00:03+0100 started\n2026-11-22T10:00:09+0000 tor")
    return results


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def title(results: ResultsFolder, arm: str, seed: int) -> str:
    return f"{arm} seed {seed}: {results.replicate(config_id(arm), seed) / 'log.txt'}"


def test_of_a_study_the_last_lines_of_each_log_are_printed(call: Call, results: ResultsFolder) -> None:
    write_log(results, "baseline", 0, "".join(f"line {number}\n" for number in range(20)))
    lines = call("logs", "tiny.yaml").out.splitlines()
    assert lines[:2] == [title(results, "baseline", 0), "line 10"]
    assert lines[10:13] == ["line 19", "", title(results, "coupling_2", 0)]
    assert lines[-2:] == ["2026-11-22T11:00:03+0100 started", "2026-11-22T10:00:09+0000 tor"]
    shortest = call("logs", "tiny.yaml", "--tail", "1").out.splitlines()
    assert [line for line in shortest if line][1::2] == [
        "line 19",
        "ValueError: no",
        "2026-11-22T10:00:09+0000 tor",
    ]
    assert title(results, "coupling_2", 1) not in call("logs", "tiny.yaml", "--seed", "0").out


def test_an_arm_is_printed_replicate_by_replicate(call: Call, results: ResultsFolder) -> None:
    expected = f"coupling_2 seed 0: {results.replicate(config_id('coupling_2'), 0) / 'log.txt'}\n{TRACEBACK}\n"
    for name in ("coupling_2", config_id("coupling_2")):
        out = call("logs", "tiny.yaml", name).out
        assert out.startswith(expected)
        assert out.endswith("2026-11-22T11:00:03+0100 started\n2026-11-22T10:00:09+0000 tor\n")
    newest = call("logs", "tiny.yaml", "coupling_2", "--seed", "0", "--tail", "1").out.splitlines()
    assert newest[1:] == ["ValueError: no"]


def test_json_has_a_log_for_each_replicate_that_has_started(call: Call, results: ResultsFolder) -> None:
    found = call("logs", "tiny.yaml", "--json").json("logs")
    assert [(log["arm"], log["seed"], len(log["lines"])) for log in found] == [
        ("baseline", 0, 2),
        ("coupling_2", 0, 3),
        ("coupling_2", 1, 2),
    ]
    assert all(Path(log["path"]).is_file() for log in found)
    short = call("logs", "tiny.yaml", "coupling_2", "--tail", "1", "--json").json("logs")
    assert [log["lines"] for log in short] == [["ValueError: no"], ["2026-11-22T10:00:09+0000 tor"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["couplng_2"], "no arm 'couplng_2'; did you mean 'coupling_2'?"),
        (["coupling_2", "--seed", "7"], "--seed 7: no such seed; known: 0, 1"),
        (["--follow", "--json"], "--follow and --json do not go together"),
    ],
)
def test_mistakes(call: Call, results: ResultsFolder, arguments: list[str], says: str) -> None:
    called = call("logs", "tiny.yaml", *arguments)
    assert (called.code, called.out) == (2, "")
    assert says in called.err


def test_nothing_has_started_yet(call: Call, tmp_path: Path) -> None:
    write_results(tmp_path, [sweep_event(ARMS, seeds=range(2))])
    called = call("logs", "tiny.yaml")
    assert (called.code, called.out) == (0, "none of these 4 replicates has started yet\n")


def test_following_prints_one_log_at_a_time_until_the_driver_ends(
    call: Call, results: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New lines, another log once the first is quiet, one that is begun again, and a last line without its end."""
    monkeypatch.setattr(verb, "QUIET_SECONDS", 1.0)
    monkeypatch.setattr(verb, "POLL_SECONDS", 0.02)
    out = io.StringIO()
    output = Output(Console(file=out, soft_wrap=True, highlight=False))

    def follow() -> None:
        verb.logs(output, StudyArguments("tiny.yaml"), arm=None, seed=None, follow=True, tail=1)

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in out.getvalue():
            assert time.monotonic() < deadline, out.getvalue()
            time.sleep(0.02)

    with ReplicateLeases(results.leases, "driver"):
        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        wait_for("2026-11-22T11:00:03+0100 started")
        write_log(results, "coupling_2", 1, "n, and now whole\n")
        wait_for("2026-11-22T10:00:09+0000 torn, and now whole")
        write_log(results, "baseline", 1, "appeared first\n2026-11-22T10:00:10+0000 appeared\n")
        wait_for("2026-11-22T10:00:10+0000 appeared")
        (results.replicate(config_id("baseline"), 1) / "log.txt").write_text("anew\n", encoding="utf-8")
        wait_for("anew")
        write_log(results, "baseline", 1, "the last words")
    thread.join(30)
    assert not thread.is_alive()
    assert out.getvalue().splitlines() == [
        title(results, "coupling_2", 1),
        "2026-11-22T11:00:03+0100 started",
        "2026-11-22T10:00:09+0000 torn, and now whole",
        title(results, "baseline", 1),
        "2026-11-22T10:00:10+0000 appeared",
        "anew",
        "the last words",
        "no driver is at work: nothing more will come",
    ]


def test_ctrl_c_ends_following_without_a_word(results: ResultsFolder, tmp_path: Path) -> None:
    with ReplicateLeases(results.leases, "driver"):
        process = start(["logs", "tiny.yaml", "coupling_2", "--seed", "0", "-f"], tmp_path)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in TRACEBACK.splitlines()]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert "".join(lines) == TRACEBACK, err
    assert (process.returncode, out, err) == (0, "", "")
