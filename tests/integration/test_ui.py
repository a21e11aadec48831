"""The MLflow page as a person sees it: a real server and a real browser."""

from __future__ import annotations

import html
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from analysis.records.journal import read_journal
from analysis.results.arms import ResultRow, summarise
from sweeps.errors import UserError
from sweeps.tracking.mlflow_store import find_configurations
from sweeps.tracking.server import comparison_url, configurations_url, free_port, serve, server, ui_command
from sweeps.tracking.tracker import default_tracking_uri, project
from tests.journals import METRIC, journal_events, write_journal
from tests.waiting import wait_for

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
    assert not project(journal, default_tracking_uri(root), EXPERIMENT)
    return root


@pytest.fixture(scope="module")
def rows(results: Path) -> tuple[ResultRow, ...]:
    return summarise(read_journal(results / "study" / "laptop" / "journal"), METRIC).rows


@pytest.fixture(scope="module")
def address(results: Path) -> Iterator[str]:
    with server(default_tracking_uri(results), port=free_port("127.0.0.1", 5600)) as base:
        yield base


def render(url: str, profile: Path) -> str:
    """Return the document that Chromium has made of the page."""
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += [f"--user-data-dir={profile}", "--window-size=2200,1500", "--virtual-time-budget=30000"]
    done = subprocess.run(
        [CHROMIUM, *flags, "--dump-dom", url], capture_output=True, text=True, timeout=100, check=True
    )
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


@pytest.mark.browser
@needs_chromium
def test_the_comparison_page_shows_arms_side_by_side_with_their_intervals(
    results: Path, address: str, rows: tuple[ResultRow, ...], tmp_path: Path
) -> None:
    text = words(render(comparison_url(address, *experiment(results)), tmp_path))
    assert "Comparing 4 Runs from 1 Experiment" in text
    assert f"Run Name: {' '.join(row.arm for row in rows)} " in text  # the study's order, the baseline first
    shown = metrics_side_by_side(text, num_runs=4)
    assert shown[METRIC] == pytest.approx([row.mean for row in rows], abs=0.0006)  # MLflow shows 3 decimals
    assert shown[f"{METRIC}.ci_low"] == pytest.approx([row.ci_low for row in rows], abs=0.0006)
    assert shown[f"{METRIC}.ci_high"] == pytest.approx([row.ci_high for row in rows], abs=0.0006)
    assert shown["n_seeds"] == [3, 3, 3, 3]
    assert "architecture.coupling 1.0 2.0 " in text


@pytest.mark.browser
@needs_chromium
def test_the_runs_page_opens_on_the_configurations_best_first_with_intervals(
    results: Path, address: str, rows: tuple[ResultRow, ...], tmp_path: Path
) -> None:
    experiment_id, run_ids = experiment(results)
    document = render(configurations_url(address, experiment_id), tmp_path)
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


def uvicorn_below(process: subprocess.Popen[str]) -> bool:
    """Return whether a server is at work below `process`."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return any("uvicorn" in " ".join(child.cmdline()) for child in children)
    except psutil.NoSuchProcess:  # one of them ended while it was asked
        return False


@pytest.mark.parametrize("sign", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_serve_says_its_addresses_and_stops_cleanly(results: Path, sign: signal.Signals) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        code = (
            "import sys; from sweeps.tracking.server import serve;"
            "serve(sys.argv[1], port=int(sys.argv[2]), say=lambda line: print(line, flush=True))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, default_tracking_uri(results), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        watchdog = threading.Timer(100, process.kill)
        watchdog.start()
        lines = [process.stdout.readline().strip() for _ in range(2)]
        assert lines[1] == "starting the MLflow server ..."
        with socket.socket() as nobody:  # that was said first
            assert nobody.connect_ex(("127.0.0.1", int(lines[0].rpartition(" ")[2]))) != 0
        lines += [process.stdout.readline().strip() for _ in range(3)]
        try:
            wait_for(lambda: uvicorn_below(process), f"uvicorn; what was said: {lines}", seconds=30)
            children = psutil.Process(process.pid).children(recursive=True)
        except BaseException:
            process.kill()
            process.stdout.close()
            raise
        process.send_signal(sign)
        lines += process.stdout.read().strip().splitlines()
        process.stdout.close()
        watchdog.cancel()
    assert process.wait(20) == 0
    assert re.fullmatch(rf"port {port} is busy; using \d+", lines[0])
    assert re.match(r"configurations: http://127\.0\.0\.1:\d+/#/experiments/1/runs\?", lines[2])
    assert re.match(r"side by side: +http://127\.0\.0\.1:\d+/#/compare-runs\?runs=", lines[3])
    assert lines[4:] == ["Ctrl-C stops the server", "stopped"]
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_a_tracking_server_needs_no_other(results: Path, address: str) -> None:
    said: list[str] = []
    serve(address, experiment=EXPERIMENT, say=said.append)
    assert said == [
        f"configurations: {configurations_url(address, experiment(results)[0])}",
        f"side by side:   {comparison_url(address, *experiment(results))}",
    ]


def test_nothing_to_show_is_a_message(tmp_path: Path, results: Path) -> None:
    with pytest.raises(UserError, match="holds nothing of any study yet; run it first"):
        serve(default_tracking_uri(tmp_path))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="holds nothing of 'tpi@laptop' yet"):
        serve(default_tracking_uri(results), experiment="tpi@laptop")


def test_a_server_that_is_away_is_a_message() -> None:
    with pytest.raises(UserError, match=r"MLflow cannot be read at http://127\.0\.0\.1:9"):
        serve("http://127.0.0.1:9", experiment=EXPERIMENT)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    with (
        pytest.raises(UserError, match=r"ended at once; its log is .*mlflow-server.log"),
        server(default_tracking_uri(tmp_path), port=free_port("127.0.0.1", 5800)),
    ):
        pass


def test_the_command_keeps_artifacts_in_the_results(tmp_path: Path) -> None:
    command = ui_command(default_tracking_uri(tmp_path), "127.0.0.1", 5001)
    assert command[command.index("--artifacts-destination") + 1] == str(tmp_path / "mlartifacts")
    assert command[command.index("--workers") + 1] == "1"


def test_no_free_port_is_a_message() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 65535))
        busy.listen()
        with pytest.raises(UserError, match="no free port"):
            free_port("127.0.0.1", 65535)
