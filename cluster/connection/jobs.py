"""Ray's job server: it runs a command on a cluster and reports its progress."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from cluster.connection.address import ClusterError, token_advice
from cluster.connection.session import send_token

POLL_SECONDS = 1.0
LOST_AFTER_SECONDS = 60.0
"""How long a server may be unreachable while a job is followed: dashboards restart."""
QUIET_SECONDS = 30.0
"""How long a job may print nothing before the server is asked whether the job still runs."""
BUSY_SECONDS = 60.0
"""How long a head node may be too busy to accept a job."""
FIRST_PAUSE_SECONDS = 1.0

_BUSY = "No available agent to submit job"
"""Part of Ray's error if the head node was too busy to find an agent that starts the job."""


@dataclass(frozen=True)
class JobEnd:
    """How a job ended."""

    status: Literal["succeeded", "failed", "stopped"]
    exit_code: int | None
    """Exit code of its command; None if it was stopped or never started."""
    message: str
    """Ray's own message, with the last lines of a failed command."""


_NOISY_LOGGERS = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
"""Loggers that report every upload."""


class JobServer:
    """The job server of one cluster.

    Args:
        address: `http://host:port` of the cluster's dashboard.

    Raises:
        ClusterError: If it cannot be reached, refuses this user's token, or is not a job server.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        send_token()
        for name in _NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        # Ray prefers both this variable and RAY_ADDRESS to the argument.
        os.environ["RAY_API_SERVER_ADDRESS"] = address
        with self._explained():
            self._client = JobSubmissionClient(address)

    def submit(
        self, command: str, *, job_id: str, working_dir: Path, environment: Mapping[str, str], title: str
    ) -> None:
        """Start a command in a copy of a folder, on the head node.

        Args:
            command: For the cluster's shell.
            job_id: A name that the cluster has not seen yet.
            working_dir: Copied to the cluster; the command and its child processes run in the copy, and import
                from it.
            environment: Variables for the command and its child processes, in addition to the cluster's own.
            title: Shown with the job.

        Raises:
            ClusterError: If the cluster refuses it, or stays too busy to accept it.
        """
        pause, deadline = FIRST_PAUSE_SECONDS, time.monotonic() + BUSY_SECONDS
        while True:
            try:
                with self._explained():
                    self._client.submit_job(
                        entrypoint=command,
                        submission_id=job_id,
                        runtime_env={"working_dir": str(working_dir), "env_vars": dict(environment)},
                        metadata={"title": title},
                    )
                return
            except ClusterError as error:
                if _BUSY not in str(error):
                    raise
                if time.monotonic() + pause > deadline:
                    raise ClusterError(
                        f"its head node has been too busy for {BUSY_SECONDS:.0f} s to start a job; try again when "
                        "there is less to do there, or give that machine more cores"
                    ) from error
            time.sleep(pause)
            pause *= 2

    def wait(self, job_id: str, show: Callable[[str], None] | None = None) -> JobEnd:
        """Wait until the job has ended.

        Args:
            job_id: The job.
            show: Called with each new piece of the job's output.

        Raises:
            ClusterError: If the server is unreachable for longer than `LOST_AFTER_SECONDS`.
        """
        log = _Log(show) if show else None
        lost_at: float | None = None
        while True:
            try:
                job = self._details(job_id)
                lost_at = None
                if log:
                    asyncio.run(self._reader(job_id, log))
                    job = self._details(job_id)
            except ClusterError:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > LOST_AFTER_SECONDS:
                    raise
            else:
                if job.status.is_terminal():
                    return _end(job.status, job.driver_exit_code, job.message or "")
            time.sleep(POLL_SECONDS)

    def _details(self, job_id: str) -> JobDetails:
        with self._explained():
            return self._client.get_job_info(job_id)

    async def _reader(self, job_id: str, log: _Log) -> None:
        """Show a job's output until it ends or is quiet for a while, because a dead connection gives no sign."""
        log.begin_again()
        async with aclosing(self._client.tail_job_logs(job_id)) as pieces:
            while True:
                with self._explained():
                    try:
                        async with asyncio.timeout(QUIET_SECONDS):
                            piece = await anext(pieces)
                    except (StopAsyncIteration, TimeoutError):
                        return
                log.add(piece)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn Ray's exceptions into messages that say what to do."""
        try:
            yield
        except AuthenticationError as error:
            raise ClusterError(token_advice(os.environ, Path.home())) from error
        except (OSError, RuntimeError, ValueError, KeyError, aiohttp.ClientError) as error:
            # unreachable, not a job server, or a refusal
            raise ClusterError(" ".join(str(error).split())) from error


class _Log:
    """The part of a job's output that was already shown: after a reconnect the server starts from the beginning."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._num_shown = 0
        self._num_read = 0

    def begin_again(self) -> None:
        """Expect the output from its beginning."""
        self._num_read = 0

    def add(self, piece: str) -> None:
        """Show the part of the next piece that was not shown yet."""
        new = piece[max(0, self._num_shown - self._num_read) :]
        self._num_read += len(piece)
        self._num_shown = max(self._num_shown, self._num_read)
        if new:
            self._show(new)


def _end(status: JobStatus, exit_code: int | None, message: str) -> JobEnd:
    if status == JobStatus.SUCCEEDED:
        return JobEnd("succeeded", exit_code, message)
    if status == JobStatus.STOPPED:
        return JobEnd("stopped", None, message)
    return JobEnd("failed", exit_code, message)
