"""The job server's client against a small server that answers as Ray's dashboard does on a bad day."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from cluster.connection import jobs
from cluster.connection.address import ClusterError
from cluster.connection.jobs import JobServer

pytestmark = pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")  # Ray's own call

BUSY = "No available agent to submit job, please try again later."
LOG = [f"line {number}\n" for number in range(6)]


class Dashboard:
    """What a head node's dashboard answers, and what it was asked."""

    def __init__(self, *, busy: int = 0, breaks_after: int | None = None, away: int = 0) -> None:
        self.busy, self.breaks_after, self.away = busy, breaks_after, away
        self.asked: list[str] = []
        self.submitted_at: list[float] = []
        self.status = "RUNNING"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/version", self.version),
            web.get("/api/packages/{protocol}/{name}", self.uploaded),
            web.post("/api/jobs/", self.submit),
            web.get("/api/jobs/{job}", self.info),
            web.get("/api/jobs/{job}/logs/tail", self.tail),
        ]

    async def version(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "s"})

    async def uploaded(self, request: web.Request) -> web.Response:
        return web.Response()

    async def submit(self, request: web.Request) -> web.Response:
        self.submitted_at.append(time.monotonic())
        if len(self.submitted_at) <= self.busy:
            return web.Response(status=500, text=BUSY)
        job_id = (await request.json())["submission_id"]
        return web.json_response({"job_id": job_id, "submission_id": job_id})

    async def info(self, request: web.Request) -> web.Response:
        self.asked.append("status")
        code = 0 if self.status == "SUCCEEDED" else None
        return web.json_response(
            {"type": "SUBMISSION", "entrypoint": "x", "status": self.status, "driver_exit_code": code}
        )

    async def tail(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("log")
        if "log" in self.asked[:-1] and self.away:
            self.away -= 1
            return web.Response(status=503, text="starting")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number, line in enumerate(LOG):
            if number == self.breaks_after:
                self.breaks_after = None
                assert request.transport is not None
                request.transport.abort()
                return socket
            await socket.send_str(line)
        self.status = "SUCCEEDED"
        return socket


@contextmanager
def serving(dashboard: Dashboard) -> Iterator[JobServer]:
    """Serve `dashboard` on loopback, and give a client of it."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.add_routes(dashboard.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
        yield JobServer(f"http://127.0.0.1:{port}")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away this user's token, and put back what the client sets."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "")
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(jobs, "FIRST_PAUSE_SECONDS", 0.1)


def submit(server: JobServer, folder: Path) -> None:
    (folder / "brought").mkdir()
    (folder / "brought" / "study.yaml").write_text("x")
    server.submit("true", job_id="job-1", working_dir=folder / "brought", environment={}, title="t")


def test_a_busy_head_node_is_asked_again_after_growing_pauses(tmp_path: Path) -> None:
    dashboard = Dashboard(busy=2)
    with serving(dashboard) as server:
        submit(server, tmp_path)
    first, second, third = dashboard.submitted_at
    assert second - first >= 0.1
    assert third - second >= 0.2


def test_a_head_node_that_stays_busy_is_an_error_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BUSY_SECONDS", 0.5)
    dashboard = Dashboard(busy=99)
    with (
        serving(dashboard) as server,
        pytest.raises(ClusterError, match=r"too busy for .* to start a job; try again"),
    ):
        submit(server, tmp_path)
    assert len(dashboard.submitted_at) == 3  # at 0, 0.1 and 0.3; 0.7 would be too late


def test_any_other_refusal_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.cluster.connection.test_jobs.BUSY", "job-1 exists already")
    dashboard = Dashboard(busy=99)
    with serving(dashboard) as server, pytest.raises(ClusterError, match="job-1 exists already"):
        submit(server, tmp_path)
    assert len(dashboard.submitted_at) == 1


def test_a_job_is_followed_line_by_line_and_its_log_read_once() -> None:
    dashboard, shown = Dashboard(), list[str]()
    with serving(dashboard) as server:
        end = server.wait("job-1", shown.append)
    assert (end.status, end.exit_code) == ("succeeded", 0)
    assert shown == LOG
    assert dashboard.asked.count("log") == 1


def test_a_dashboard_that_restarts_costs_no_line_and_shows_none_twice() -> None:
    dashboard = Dashboard(breaks_after=3, away=2)
    shown: list[str] = []
    with serving(dashboard) as server:
        assert server.wait("job-1", shown.append).status == "succeeded"
    assert "".join(shown) == "".join(LOG)
    assert dashboard.asked.count("log") == 4  # one broke, two were refused


def test_a_terminal_that_is_gone_is_not_taken_for_a_lost_server() -> None:
    def show(text: str) -> None:
        raise BrokenPipeError(text)

    with serving(Dashboard()) as server, pytest.raises(BrokenPipeError, match="line 0"):
        server.wait("job-1", show)


def test_a_dashboard_that_stays_away_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOST_AFTER_SECONDS", 0.3)
    with serving(Dashboard()) as server:
        pass
    started = time.monotonic()
    with pytest.raises(ClusterError, match="Connection refused"):
        server.wait("job-1", lambda _: None)
    assert time.monotonic() - started >= 0.3


def test_a_quiet_job_is_asked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that died without a word would be waited on for ever."""
    monkeypatch.setattr(jobs, "QUIET_SECONDS", 0.2)
    shown: list[str] = []

    class Dead(Dashboard):
        async def tail(self, request: web.Request) -> web.StreamResponse:
            if self.asked.count("log") > 0:
                return await super().tail(request)
            self.asked.append("log")
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str(LOG[0])
            await socket.receive()  # nothing more until the client hangs up
            return socket

    dashboard = Dead()
    with serving(dashboard) as server:
        assert server.wait("job-1", shown.append).status == "succeeded"
    assert shown == LOG
    assert dashboard.asked.count("status") >= 3
