"""A real Ray head node for tests, with a token of its own, that can be stopped without touching any other Ray."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.sweeps import guides
from tests.support.sweeps.studies import two_cores

BIN = Path(sys.executable).parent
START_SECONDS = 90
_MARK = "PHASESWEEP_TEST_CLUSTER"
"""Variable by which every process of the cluster, those of its jobs too, is recognised."""


@dataclass
class Head:
    """A head node."""

    folder: Path
    """Everything of it: its user's home folder, its log, Ray's own files."""
    process: subprocess.Popen[bytes]
    mark: str
    join: str
    """`host:port` that joins it."""
    address: str
    """Of its dashboard."""

    @property
    def token(self) -> str:
        """The token that it wants."""
        return (self.folder / "home" / ".ray" / "auth_token").read_text(encoding="utf-8").strip()

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "head.log").read_text(encoding="utf-8", errors="replace")

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the environment of the user who started it, in another terminal."""
        return {**_clean_environment(), "HOME": str(self.folder / "home"), **extra}

    def processes(self) -> list[psutil.Process]:
        """Return everything that lives and belongs to the cluster."""
        return list(_marked(self.mark))

    def stop(self) -> list[str]:
        """End it as Ctrl-C in its terminal does; return what had to be killed afterwards."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        names = {process: process.name() for process in self.processes()}
        _, alive = psutil.wait_procs(names, timeout=60)
        for process in alive:
            process.kill()
        self.process.wait(timeout=20)
        return [f"{process.pid} {names[process]}" for process in alive]


def _marked(mark: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def _clean_environment() -> dict[str, str]:
    """Return this process's environment without what speaks of a cluster, with our Python first on the PATH."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "PHASESWEEP_")) and name not in {"MLFLOW_TRACKING_URI", "HF_HOME"}
    }
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "no_proxy": "127.0.0.1"}


@contextmanager
def obeying_ctrl_c() -> Iterator[None]:
    """Start commands that a Ctrl-C ends, even where a shell runs the tests in its background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def _script(join: int, dashboard: int, folder: Path) -> str:
    """Return the guide's commands for a head node, with ports and a folder that no other Ray has."""
    block = next(b for b in guides.blocks("on_a_cluster.md") if b.test == "cluster, in a terminal of its own")
    names = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port")
    others = zip(names, _free_ports(len(names)), strict=True)
    options = [
        "ray start --head --node-ip-address=127.0.0.1 --num-cpus=2 --disable-usage-stats",
        f"--object-store-memory=100000000 --port={join} --dashboard-port={dashboard} --temp-dir={folder}",
        *(f"--{name}={port}" for name, port in others),
    ]
    assert block.text.count("ray start --head") == 1
    return "set -eu\n" + block.text.replace("ray start --head", " ".join(options))


@contextmanager
def head_node() -> Iterator[Head]:
    """Start a head node with two cores, and stop it at the end.

    Raises:
        AssertionError: If it does not start, or anything of it outlives its stop.
    """
    folder = Path(tempfile.mkdtemp(prefix="ps-", dir="/tmp"))  # Ray's sockets want a short path
    (folder / "home").mkdir()
    mark = uuid.uuid4().hex
    join, dashboard = _free_ports(2)
    environment = {**_clean_environment(), "HOME": str(folder / "home"), _MARK: mark}
    with two_cores(), obeying_ctrl_c(), (folder / "head.log").open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", _script(join, dashboard, folder / "ray")],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    head = Head(folder, process, mark, f"127.0.0.1:{join}", f"http://127.0.0.1:{dashboard}")
    try:
        _wait_for_dashboard(head)
        yield head
    finally:
        killed = head.stop()
        shutil.rmtree(folder, ignore_errors=True)
    assert not killed, f"outlived the stop of their cluster: {killed}"


def _wait_for_dashboard(head: Head) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and head.process.poll() is None:
        try:
            bearer = {"authorization": f"Bearer {head.token}"}
            request = urllib.request.Request(f"{head.address}/api/version", headers=bearer)
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:  # no token yet, nobody listens yet, or not ready yet
            time.sleep(0.2)
    raise AssertionError(f"the head node did not start: {head.log[-3000:]}")
