"""The MLflow page: a server on loopback in front of the results, and the addresses worth opening."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

from sweeps.console import proposed
from sweeps.errors import UserError
from sweeps.tracking.mlflow_store import database_path, find_configurations
from sweeps.tracking.run_records import CONFIGURATIONS_VIEW

LOOPBACK = "127.0.0.1"
STARTUP_SECONDS = 90.0
STOP_SECONDS = 10.0
PORTS_TRIED = 50


def configurations_url(base: str, experiment_id: str) -> str:
    """Return the address of an experiment's configurations: best first, with intervals as columns.

    It names the view that the projection keeps in the experiment (filter, order and columns); MLflow has no
    other way to choose columns by address.
    """
    view = urlencode({"viewStateShareKey": CONFIGURATIONS_VIEW, "workflowType": "machine_learning"})
    return f"{base}/#/experiments/{experiment_id}/runs?{view}"


def comparison_url(base: str, experiment_id: str, run_ids: Sequence[str]) -> str:
    """Return the address of the page that shows runs side by side, in the order given."""
    query = urlencode(
        {
            "runs": json.dumps(list(run_ids), separators=(",", ":")),
            "experiments": json.dumps([experiment_id]),
            "workflowType": "machine_learning",
        },
        quote_via=quote,
    )
    return f"{base}/#/compare-runs?{query}"


def ui_command(tracking_uri: str, host: str, port: int) -> list[str]:
    """Return the command of an MLflow server in front of `tracking_uri`."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", tracking_uri]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    database = database_path(tracking_uri)
    if database is not None:  # else the server makes its folder for artifacts wherever it is started
        command += ["--artifacts-destination", str(database.parent / "mlartifacts")]
    return command


def free_port(host: str, wanted: int) -> int:
    """Return `wanted`, or the next port that nothing listens on.

    Raises:
        UserError: If there is none among the next fifty.
    """
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port
    raise UserError(f"--port: no free port from {wanted} to {wanted + PORTS_TRIED - 1} on {host}")


def _answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def server(tracking_uri: str, *, host: str = LOOPBACK, port: int = 5000) -> Iterator[str]:
    """Run an MLflow server and give its address once it answers; at the end no process of it is left.

    Args:
        tracking_uri: A database.
        host: Interface.
        port: Taken as it is; see `free_port`.

    Raises:
        UserError: If the server ends or does not answer in time; the message has its last words.
    """
    base = f"http://{host}:{port}"
    # MLflow's job runner, for evaluations of language models, starts eight processes that we have no use for.
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = {**quiet, **os.environ}
    database = database_path(tracking_uri)
    log_path = Path(os.devnull) if database is None else database.with_name("mlflow-server.log")
    with log_path.open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            ui_command(tracking_uri, host, port),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its workers make one group with it, which a Ctrl-C here does not reach
        )
        try:
            _wait_until_it_answers(process, base, log_path)
            yield base
        finally:
            _stop(process)


def _wait_until_it_answers(process: subprocess.Popen[bytes], base: str, log_path: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while not _answers(base):
        if process.poll() is not None or time.monotonic() > deadline:
            words = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
            reason = "ended at once" if process.poll() is not None else "does not answer"
            raise UserError("\n".join([f"the MLflow server {reason}; its log is {log_path}:", *words]))
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and all its workers: they share a process group."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break  # the whole group is gone
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def serve(
    tracking_uri: str,
    *,
    experiment: str | None = None,
    host: str = LOOPBACK,
    port: int = 5000,
    say: Callable[[str], None] = print,
) -> None:
    """Serve MLflow until Ctrl-C, and say which addresses show the configurations.

    A tracking URI that is itself a server needs none; its addresses are said and nothing is started.

    Args:
        tracking_uri: A database or a server.
        experiment: `study@scale`; None for the experiment written last.
        host: Interface.
        port: The next free one is taken, and said, if this is busy.
        say: Takes one line.

    Raises:
        UserError: If there is nothing to show yet, or the server does not start.
    """
    found = find_configurations(tracking_uri, experiment)
    if found is None:
        what = f"'{experiment}'" if experiment else "any study"
        raise UserError(f"MLflow holds nothing of {what} yet; run it first: {proposed('run', 'STUDY')}")
    experiment_id, run_ids = found
    if tracking_uri.startswith(("http://", "https://")):
        _say_addresses(say, tracking_uri.rstrip("/"), experiment_id, run_ids)
        return
    free = free_port(host, port)
    if free != port:
        say(f"port {port} is busy; using {free}")
    # Else a closed terminal would leave the server behind, and a shell's background job would ignore SIGINT.
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.default_int_handler)
    say("starting the MLflow server ...")  # which takes seconds, on a busy machine many
    try:
        with server(tracking_uri, host=host, port=free) as base:
            _say_addresses(say, base, experiment_id, run_ids)
            if sys.stdout.isatty():
                webbrowser.open(configurations_url(base, experiment_id))
            say("Ctrl-C stops the server")
            while True:
                signal.pause()
    except KeyboardInterrupt:
        say("stopped")


def _say_addresses(say: Callable[[str], None], base: str, experiment_id: str, run_ids: Sequence[str]) -> None:
    say(f"configurations: {configurations_url(base, experiment_id)}")
    say(f"side by side:   {comparison_url(base, experiment_id, run_ids)}")
