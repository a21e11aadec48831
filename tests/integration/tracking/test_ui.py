"""The MLflow page as a person sees it: a real server and a real browser."""

from __future__ import annotations

import html
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pandas.testing import assert_series_equal

import analysis
from analysis.records.journal import read_journal
from analysis.results.arms import summarise
from analysis.results.export import What
from analysis.results.table import ResultRow
from sweeps.errors import UserError
from sweeps.tracking.mlflow_store import MlflowTracker, find_configurations
from sweeps.tracking.server import check_port, comparison_url, configurations_url, serve, ui_command
from sweeps.tracking.sync import sync_journal
from sweeps.tracking.uri import default_tracking_uri
from tests.support.machine.waiting import answers, wait_for
from tests.support.sweeps.journals import METRIC, journal_events, write_journal
from tests.support.sweeps.tracked import give_database

EXPERIMENT = "kuramoto_phase_a@laptop"
ARMS = {"baseline": 2.480, "coupling_1": 2.455, "coupling_2": 2.731, "prefix_mean_pool": 2.612}
CHANGES = {
    "baseline": {},
    "coupling_1": {"architecture.coupling": 1.0},
    "coupling_2": {"architecture.coupling": 2.0},
    "prefix_mean_pool": {"architecture.mixer": "prefix_mean_pool"},
}
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium found; on Debian: apt-get install chromium"
)


def events() -> list[dict[str, Any]]:
    found = journal_events(ARMS, seeds=range(3))
    for arm in found[0]["arms"]:
        arm["parameters"] = CHANGES[arm["arm"]]
    found[0]["metrics"] = found[0]["metrics"][:2]
    return found


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    journal = write_journal(root / "study" / "laptop" / "journal" / "a.jsonl", events()).parent
    give_database(root)
    assert not sync_journal(journal, MlflowTracker(default_tracking_uri(root)), EXPERIMENT).needs_attention
    return root


@pytest.fixture(scope="module")
def rows(results: Path) -> tuple[ResultRow, ...]:
    return summarise(read_journal(results / "study" / "laptop" / "journal"), METRIC).rows


@dataclass(frozen=True)
class Served:
    """`ui` at work in a process, whose child is the server."""

    address: str
    lines: list[str]
    """What it has said."""
    process: subprocess.Popen[str]


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(results: Path) -> Iterator[Served]:
    """Yield one server for all tests here; at the end Ctrl-C must leave nothing of it."""
    port = a_free_port()
    log = results / "server.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeps", "ui", "--port", str(port)],
            env={**os.environ, "MLFLOW_TRACKING_URI": default_tracking_uri(results)},
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # as in a terminal: Ctrl-C goes to the whole group, and not to pytest
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(address) or process.poll() is not None, f"a server; it said {log.read_text()}")
        yield Served(address, log.read_text().splitlines()[:3], process)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive
        assert "Traceback" not in log.read_text()
        assert "Warning" not in log.read_text(), "nobody who reads it can change anything about it"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["replicates", "curves"])
def test_a_notebook_reads_the_same_from_the_server_as_from_the_journal(
    what: What, served: Served, results: Path
) -> None:
    key = ["config_id", "seed", "step"]
    ours = analysis.load(results / "study" / "laptop", what).set_index(key).sort_index()
    theirs = analysis.load(f"{served.address}/#{EXPERIMENT}", what).set_index(key).sort_index()
    theirs = theirs.drop(columns="numerics.versions.torch", errors="ignore")  # nested here only, never by a worker
    assert len(ours) >= 9 and set(theirs.columns) <= set(ours.columns)
    for name in theirs.columns:
        values = theirs[name] if name != "time" else theirs[name].round(2)
        expected = ours[name] if name != "time" else ours[name].round(2)
        assert_series_equal(values, expected, check_dtype=False, check_exact=name != "time")


@pytest.mark.slow
def test_an_early_ctrl_c_is_one_line_and_leaves_nothing(results: Path) -> None:
    log = results / "early.log"
    environ = {**os.environ, "MLFLOW_TRACKING_URI": default_tracking_uri(results)}
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "sweeps", "ui", "--port", str(a_free_port())],
            env=environ,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "until Ctrl-C" in log.read_text(), "the addresses")
        wait_for(lambda: psutil.Process(process.pid).children(), "the server's process")
        family = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert log.read_text().splitlines()[3:] == ["", "phasesweep: interrupted"]


def render(url: str, profile: Path) -> str:
    """Return the document that Chromium has made of the page."""
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={profile}", "--window-size=2200,1500", "--virtual-time-budget=30000"]
    done = subprocess.run([CHROMIUM, *flags, "--dump-dom", url], capture_output=True, text=True, check=True)
    return re.sub(r"<(script|style).*?</\1>", "", done.stdout, flags=re.DOTALL)


def words(document: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", document)))


def metrics_side_by_side(text: str, num_runs: int) -> dict[str, list[float]]:
    """Return {metric: a value a run} of the comparison page, whose text has all names and then all values."""
    section = text.partition("Metrics Show diff only")[2].partition("Artifacts")[0].split()
    num_metrics = len(section) // (num_runs + 1)
    names, values = section[:num_metrics], [float(word) for word in section[num_metrics:]]
    return {name: values[num_runs * i : num_runs * (i + 1)] for i, name in enumerate(names)}


def experiment(results: Path) -> tuple[str, list[str]]:
    found = find_configurations(default_tracking_uri(results), EXPERIMENT)
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_the_comparison_page_shows_arms_side_by_side_with_their_intervals(
    results: Path, served: Served, rows: tuple[ResultRow, ...], tmp_path: Path
) -> None:
    text = words(render(comparison_url(served.address, *experiment(results)), tmp_path))
    assert "Comparing 4 Runs from 1 Experiment" in text
    assert f"Run Name: {' '.join(row.arm for row in rows)} " in text  # the study's order, the baseline first
    shown = metrics_side_by_side(text, num_runs=4)
    assert shown[METRIC] == pytest.approx([row.mean for row in rows], abs=0.0006)  # MLflow shows 3 decimals
    assert shown[f"{METRIC}.ci_low"] == pytest.approx([row.ci_low for row in rows], abs=0.0006)
    assert shown[f"{METRIC}.ci_high"] == pytest.approx([row.ci_high for row in rows], abs=0.0006)
    assert shown["n_seeds"] == [3, 3, 3, 3]
    assert "architecture.coupling 1.0 2.0 " in text


@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_the_runs_page_opens_on_the_configurations_best_first_with_intervals(
    results: Path, served: Served, rows: tuple[ResultRow, ...], tmp_path: Path
) -> None:
    experiment_id, run_ids = experiment(results)
    document = render(configurations_url(served.address, experiment_id), tmp_path)
    text = words(document)
    assert "4 matching runs" in text  # no replicate and no sweep among them
    places = {run: int(place) for place, run in re.findall(r'row-index="(\d+)" row-id="(\w+)"', document)}
    shown = [row.arm for _, row in sorted(zip(map(places.__getitem__, run_ids), rows, strict=True))]
    assert shown == ["coupling_1", "baseline", "prefix_mean_pool", "coupling_2"]
    for row in rows:
        assert f" {row.arm} " in text
        assert f" {row.mean} {row.ci_low} {row.ci_high} {row.std} 3 0 " in text
    for name in (METRIC, f"{METRIC}.ci_low", f"{METRIC}.ci_high", "n_seeds", "n_failed"):
        assert f" {name} " in text


@pytest.mark.slow
def test_ui_says_its_addresses_and_serves_on_loopback_only(results: Path, served: Served) -> None:
    assert served.lines == [
        f"configurations: {configurations_url(served.address, experiment(results)[0])}",
        f"side by side:   {comparison_url(served.address, *experiment(results))}",
        "they answer within seconds, until Ctrl-C",
    ]
    process = psutil.Process(served.process.pid)
    family = process.children(recursive=True)
    assert family[0].cmdline()[2:4] == ["mlflow", "server"]
    listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


@pytest.mark.slow
def test_a_tracking_server_needs_no_other(results: Path, served: Served) -> None:
    said: list[str] = []
    serve(served.address, experiment=EXPERIMENT, say=said.append)
    assert said == served.lines[:2]


def test_all_configurations_are_found_however_many_pages_they_take(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = experiment(results)
    assert len(everything[1]) == len(ARMS)
    monkeypatch.setattr("sweeps.tracking.mlflow_store.RUNS_PER_PAGE", 3)
    assert experiment(results) == everything


def test_nothing_to_show_is_a_message(tmp_path: Path, results: Path) -> None:
    with pytest.raises(UserError, match="holds nothing of any study yet; run it first"):
        serve(default_tracking_uri(tmp_path))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="holds nothing of 'tpi@laptop' yet"):
        serve(default_tracking_uri(results), experiment="tpi@laptop")


def test_a_server_that_is_away_is_a_message() -> None:
    with pytest.raises(UserError, match=r"MLflow cannot be read at http://127\.0\.0\.1:9"):
        serve("http://127.0.0.1:9", experiment=EXPERIMENT)


def test_a_file_that_is_no_database_is_a_message_and_stays(tmp_path: Path) -> None:
    text = "this is no database " * 100
    (tmp_path / "mlflow.db").write_text(text)
    with pytest.raises(UserError, match=r"MLflow cannot be read at sqlite:.*file is not a database"):
        serve(default_tracking_uri(tmp_path))
    assert (tmp_path / "mlflow.db").read_text() == text


def test_the_command_keeps_artifacts_in_the_results(tmp_path: Path) -> None:
    command = ui_command(default_tracking_uri(tmp_path), "127.0.0.1", 5001)
    assert command[command.index("--artifacts-destination") + 1] == str(tmp_path / "mlartifacts")
    assert command[command.index("--workers") + 1] == "1"


def test_a_port_that_is_taken_is_a_message_before_any_address_is_said(results: Path) -> None:
    said: list[str] = []
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(
            UserError, match=rf"--port: {port} on 127\.0\.0\.1 is taken; choose another one"
        ) as error:
            serve(default_tracking_uri(results), port=port, say=said.append)
    assert not said
    check_port("127.0.0.1", int(str(error.value).split()[-1]))
    check_port("127.0.0.1", port)
