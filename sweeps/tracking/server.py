"""The MLflow page: its addresses, and an MLflow server on loopback for the results."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import quote, urlencode

from sweeps.console import proposed
from sweeps.errors import UserError
from sweeps.tracking.mlflow_store import find_configurations
from sweeps.tracking.run_records import CONFIGURATIONS_VIEW
from sweeps.tracking.uri import database_path, is_server

LOOPBACK = "127.0.0.1"
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore::UserWarning:mlflow.server.fastapi_app",
}
"""MLflow's job runner, for evaluations of language models, starts eight processes that are not needed. Its server
warns of a library that it uses, which no user can change."""


def configurations_url(base: str, experiment_id: str) -> str:
    """Return the address of an experiment's configurations: best first, with intervals as columns.

    It names the view (filter, order and columns) that MLflow sync keeps in the experiment: an address cannot
    choose columns in any other way.
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
    # SIGTERM reaches uvicorn twice, from us and from MLflow, and it would print a traceback.
    command += ["--uvicorn-opts", "--log-level critical"]
    database = database_path(tracking_uri)
    if database is not None:  # else the server makes its folder for artifacts in the working folder
        command += ["--artifacts-destination", str(database.parent / "mlartifacts")]
    return command


def check_port(host: str, port: int) -> None:
    """Refuse a port that is in use.

    Raises:
        UserError: If it is taken; the message names a free one.
    """
    with socket.socket() as wanted, socket.socket() as other:
        wanted.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            wanted.bind((host, port))
        except OSError as error:
            other.bind((host, 0))
            free = other.getsockname()[1]
            raise UserError(f"--port: {port} on {host} is taken; choose another one, such as {free}") from error


def serve(
    tracking_uri: str,
    *,
    experiment: str | None = None,
    host: str = LOOPBACK,
    port: int = 5000,
    say: Callable[[str], None] = print,
) -> None:
    """Print the addresses of the configurations, and run an MLflow server until Ctrl-C.

    If the tracking URI is itself a server, its addresses are printed and nothing is started.

    Args:
        tracking_uri: A database or a server.
        experiment: `study@scale`; None for the experiment written last.
        host: Interface.
        port: Must be free.
        say: Prints one line.

    Raises:
        UserError: If there is nothing to show yet, or the port is taken.
    """
    found = find_configurations(tracking_uri, experiment)
    if found is None:
        what = f"'{experiment}'" if experiment else "any study"
        raise UserError(f"MLflow holds nothing of {what} yet; run it first: {proposed('run', 'STUDY')}")
    is_running = is_server(tracking_uri)
    if not is_running:
        check_port(host, port)
    base = tracking_uri.rstrip("/") if is_running else f"http://{host}:{port}"
    say(f"configurations: {configurations_url(base, found[0])}")
    say(f"side by side:   {comparison_url(base, *found)}")
    if not is_running:
        say("they answer within seconds, until Ctrl-C")
        _run(ui_command(tracking_uri, host, port))


def _run(command: Sequence[str]) -> None:
    """Run a server until it ends, or until Ctrl-C, SIGTERM or SIGHUP reaches this process; nothing of it is left.

    The server is a session of its own: its processes would answer Ctrl-C while they start with a traceback each.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    server = subprocess.Popen(command, env={**ENVIRONMENT, **os.environ}, start_new_session=True)
    try:
        server.wait()
    finally:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    if server.returncode:
        raise UserError(f"the MLflow server has ended with exit code {server.returncode}; see above")
