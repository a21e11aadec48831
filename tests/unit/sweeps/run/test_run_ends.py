"""What `run` says and returns when not a replicate fails but the run itself. Ray is not started; MLflow is real."""

from __future__ import annotations

import errno
import io
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis.records.description import JournalError
from analysis.records.journal import parse_line, read_journal
from cluster.connection.session import RayFailure
from sweeps.cli.run import run
from sweeps.console import Output, format_duration
from sweeps.errors import UserError
from sweeps.run.driver import prepare
from sweeps.run.limits import RunLimits
from sweeps.store.disk_errors import write_failure
from sweeps.store.folder import ResultsFolder
from sweeps.store.journal import JournalWriter
from sweeps.studies.catalogue import StudyArguments
from tests.support.machine.disks import fill, small_disk
from tests.support.sweeps.studies import write_study
from trainables.worker.attempt import Attempt

Command = Callable[[], tuple[int, str]]


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a database for all tests here: to make one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str) -> tuple[Command, RunLimits]:
    """Return a function that runs a small study and returns the exit code and what was printed; and its limits."""
    study, limits = write_study(tmp_path, seeds=1), RunLimits()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    for name in ("RAY_ADDRESS", "PHASESWEEP_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run_it() -> tuple[int, str]:
        said = io.StringIO()
        console = Console(file=said, soft_wrap=True)
        return run(Output(console), StudyArguments(str(study)), limits=limits), said.getvalue()

    return run_it, limits


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str) -> Command:
    return a_command(tmp_path, monkeypatch, tracking_uri)[0]


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (ValueError("Tune has changed its mind"), 1),
        (RayFailure("Ray's head has died"), 130),
    ],
)
def test_a_failure_of_the_run_is_no_interruption_but_the_death_of_ray_is(
    error: Exception, exit_code: int, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def broken(*arguments: Any, **options: Any) -> Iterator[None]:
        raise error
        yield

    monkeypatch.setattr("sweeps.run.engine.ray_session", broken)
    code, said = command()
    assert code == exit_code, said
    log = tmp_path / "results" / "tiny" / "laptop" / "driver.log"
    assert f"stopped: the run failed: {error} (more in {log})" in said
    assert "2 of 2 replicates are left; continue with: " in said
    assert f"{type(error).__name__}: {error}" in log.read_text(encoding="utf-8")


def test_a_journal_that_is_damaged_while_something_runs_is_no_mistake_of_the_user(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal = tmp_path / "results" / "tiny" / "laptop" / "journal"

    def damage(engine: Any, address: str | None) -> None:
        (journal / "zzz.jsonl").write_text("{\n{\n", encoding="utf-8")

    monkeypatch.setattr("sweeps.run.engine._Engine.run", damage)
    code, said = command()
    assert code == 1, said
    assert re.search(r"its journal cannot be read: .*zzz\.jsonl, after byte 0: not JSON", said), said
    assert "once it is repaired, continue with: " in said
    with pytest.raises(JournalError):
        command()  # nothing has started this time


@pytest.mark.parametrize("error", [JournalError("another hand"), OSError("a bad sector"), RuntimeError("ours")])
def test_whatever_ends_a_run_its_tracker_is_closed(
    error: Exception, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its thread dies with the process while MLflow lacks what was read."""

    def ends(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr("sweeps.run.driver._run", ends)
    before = set(threading.enumerate())
    with suppress(OSError, RuntimeError):
        command()
    assert set(threading.enumerate()) <= before


def test_a_page_that_cannot_be_made_is_told_and_costs_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_page(*arguments: Any) -> Path:
        raise ZeroDivisionError("no comparison")

    monkeypatch.setattr("sweeps.run.engine._Engine.run", lambda engine, address: None)
    monkeypatch.setattr("sweeps.cli.run.write_page", no_page)
    _, said = command()
    assert "the page cannot be written: ZeroDivisionError('no comparison'); `" in said
    assert "results: " in said


def fills_its_disk(session: list[Callable[[], object]]) -> Callable[..., Any]:
    """Return what stands in for Ray's session: everything that a run could write comes to nothing."""

    @contextmanager
    def full(*arguments: Any, **options: Any) -> Iterator[None]:
        for step in session:
            step()
        yield

    return full


@pytest.mark.parametrize("is_stopped_before", [False, True])
def test_a_full_disk_is_one_sentence_and_the_run_can_be_continued(
    is_stopped_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str
) -> None:
    """Neither the journal nor driver.log can be written; on a real disk of 900 KiB."""
    with small_disk(tmp_path / "results") as disk:
        command, limits = a_command(tmp_path, monkeypatch, tracking_uri)
        steps: list[Callable[[], object]] = [lambda: fill(disk)]
        if is_stopped_before:
            steps.append(lambda: limits.stop("by SIGINT"))
        steps.append(lambda: (disk / "x").write_bytes(bytes(10)))
        monkeypatch.setattr("sweeps.run.engine.ray_session", fills_its_disk(steps))
        before = set(threading.enumerate())
        code, said = command()
        assert set(threading.enumerate()) <= before, "the tracker has ended"
        assert code == (130 if is_stopped_before else 1), said
        (sentence,) = [line for line in said.splitlines() if "no space left" in line]
        assert sentence.startswith(f"no space left on {disk / 'tiny' / 'laptop'}; nothing finished is lost; ")
        assert "free space and continue with: " in sentence and "tiny.yaml" in sentence
        assert "Traceback" not in said
        (disk / "ballast").unlink()
        state = read_journal(disk / "tiny" / "laptop" / "journal")
        assert state.sweep is not None and not list(disk.rglob("*.lease"))


def test_a_disk_that_is_full_for_a_moment_is_the_reason_of_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str
) -> None:
    with small_disk(tmp_path / "results") as disk:
        command, _ = a_command(tmp_path, monkeypatch, tracking_uri)
        run_out = OSError(errno.ENOSPC, "No space left on device", "/scratch/x")

        def raise_it() -> None:
            raise RuntimeError("Tune cannot go on") from run_out

        monkeypatch.setattr("sweeps.run.engine.ray_session", fills_its_disk([raise_it]))
        code, said = command()
        assert code == 1, said
        assert "stopped: no space left on /scratch/x; free space" in said
        assert "2 of 2 replicates are left; continue with: " in said
        assert "Tune cannot go on" in (disk / "tiny" / "laptop" / "driver.log").read_text(encoding="utf-8")


def test_a_worker_that_meets_a_full_disk_ends_the_run_and_is_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str
) -> None:
    """A real trial in this process, whose disk has space again when the driver writes its journal."""
    with small_disk(tmp_path / "results") as disk:
        command, _ = a_command(tmp_path, monkeypatch, tracking_uri)

        def train(engine: Any, address: str | None) -> None:
            assignment = engine._begin(engine.queue.lease_next(lambda size_class: True))
            uncapped = replace(assignment, memory_mib=None)  # this process is larger than a worker
            events = Attempt(uncapped).events()
            engine._record(assignment, next(events))
            ballast = fill(disk)
            failed = next(events)
            ballast.unlink()
            engine._record(assignment, failed)

        monkeypatch.setattr("sweeps.run.engine._Engine.run", train)
        code, said = command()
        assert code == 1, said
        assert re.search(rf"stopped: no space left on {disk}/\S+; free space\n", said), said
        assert "2 of 2 replicates are left; continue with: " in said
        (replicate,) = read_journal(disk / "tiny" / "laptop" / "journal").replicates.values()
        assert (replicate.status, replicate.crashes, replicate.is_pending) == ("preempted", 0, True)


def test_a_journal_that_cannot_be_written_from_the_start_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str
) -> None:
    with small_disk(tmp_path / "results") as disk:
        command, _ = a_command(tmp_path, monkeypatch, tracking_uri)
        prepare = ResultsFolder.prepare

        def then_full(folder: ResultsFolder, *arguments: Any) -> None:
            prepare(folder, *arguments)
            fill(disk)

        monkeypatch.setattr(ResultsFolder, "prepare", then_full)
        code, said = command()
        assert code == 1, said
        assert f"no space left on {disk / 'tiny' / 'laptop'}" in said and "continue with: " in said


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EDQUOT, "no space left on /r; nothing finished is lost; free space and continue with: again"),
        (errno.EROFS, "/r: Read-only file system; nothing finished is lost; continue with: again"),
    ],
)
def test_what_is_said_of_a_folder_that_cannot_be_written(number: int, sentence: str) -> None:
    assert write_failure(OSError(number, os.strerror(number)), Path("/r"), "again") == sentence


def one_has_finished(tmp_path: Path) -> Path:
    """Write a journal in which the first of the study's two replicates has finished, as another driver would."""
    prepared = prepare(str(write_study(tmp_path, seeds=1)), "laptop", [])
    prepared.folder.prepare(prepared.study.resolved(), prepared.study.plugin_texts)
    writer = JournalWriter(prepared.folder.journal, "before")
    writer.write_sweep(prepared.plan.sweep)
    config_id, seed = prepared.plan.keys[0]
    key = {"config_id": config_id, "seed": seed}
    writer.write("started", **key, step=0, numerics={}, host="there", pid=1, cap_mib=None)
    writer.write("finished", **key, step=9, seconds=600.0, cpu_seconds=600.0, peak_memory_mib=100.0, message="")
    writer.close()
    return prepared.folder.journal


def test_the_forecast_that_is_announced_is_the_one_that_is_displayed(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both are of what is missing, by what the journal has measured."""
    one_has_finished(tmp_path)
    etas: list[str] = []

    def idle(engine: Any, address: str | None) -> None:
        etas.append(engine.listener._eta())

    monkeypatch.setattr("sweeps.run.engine._Engine.run", idle)
    _, said = command()
    announced = re.search(r"1 of 2 replicates to run, .*, forecast (.*)", said)
    assert announced is not None, said
    assert etas == [f"; forecast {announced[1]}"]
    prepared = prepare(str(tmp_path / "tiny.yaml"), "laptop", [])
    whole, _ = prepared.plan.forecast_seconds(prepared.state)
    missing, _ = prepared.plan.forecast_seconds(prepared.state, prepared.plan.keys[1:])
    assert 0 < missing < 0.9 * whole
    assert announced[1] == format_duration(missing)


def test_the_journal_is_read_once_and_for_the_page_that_carries_it_once_more(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And by MLflow's thread: it has a reader of its own."""
    journal = one_has_finished(tmp_path)
    main = threading.current_thread()
    parsed: Counter[tuple[str, bool]] = Counter()

    def counting(line: bytes, *, where: str) -> dict[str, Any]:
        parsed[line.decode(), threading.current_thread() is main] += 1
        return parse_line(line, where=where)

    for module in ("sweeps.store.reader", "analysis.records.journal"):
        monkeypatch.setattr(f"{module}.parse_line", counting)
    monkeypatch.setattr("sweeps.run.engine._Engine.run", lambda engine, address: None)
    command()
    lines = [line for file in journal.glob("*.jsonl") for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 5, "three before, and the description and the interruption of this run"
    assert {line: parsed[line, True] for line in lines} == dict.fromkeys(lines, 2)
    assert all(count <= 1 for (_, is_main), count in parsed.items() if not is_main), parsed


def test_an_address_of_mlflow_that_is_none_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, _ = a_command(tmp_path, monkeypatch, "nowhere")
    with pytest.raises(UserError, match=r"^MLFLOW_TRACKING_URI: nowhere is a folder of files"):
        command()
    assert not (tmp_path / "results").exists()
