"""Ray's job server: it runs a command on a cluster, and tells how that goes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster.access import ClusterError, token_advice
from cluster.session import send_token

POLL_SECONDS = 1.0
LOST_AFTER_SECONDS = 60.0
"""How long a server may be away while a job is followed: dashboards restart."""


@dataclass(frozen=True)
class JobEnd:
    """How a job ended."""

    status: Literal["succeeded", "failed", "stopped"]
    exit_code: int | None
    """Of its command; None if it was stopped or never started."""
    message: str
    """Ray's own words, with the last lines of a failed command."""


_TALKATIVE = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
"""Loggers that tell of every upload."""


class JobServer:
    """The job server of one cluster.

    Args:
        address: `http://host:port` of the cluster's dashboard.

    Raises:
        ClusterError: If it cannot be reached, refuses this user's token, or is no job server.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        send_token()
        for name in _TALKATIVE:
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
            job_id: A name that the cluster has not seen.
            working_dir: Copied to the cluster; the command and all that it starts run in the copy, and import
                from it.
            environment: Variables for the command and all that it starts, beside the cluster's own.
            title: Shown beside the job.

        Raises:
            ClusterError: If the cluster refuses it.
        """
        with self._explained():
            self._client.submit_job(
                entrypoint=command,
                submission_id=job_id,
                runtime_env={"working_dir": str(working_dir), "env_vars": dict(environment)},
                metadata={"title": title},
            )

    def wait(self, job_id: str, show: Callable[[str], None] | None = None) -> JobEnd:
        """Return when the job has ended.

        Args:
            job_id: The job.
            show: Called with each new piece of the job's output.

        Raises:
            ClusterError: If the server is away for longer than `LOST_AFTER_SECONDS`.
        """
        num_shown = 0
        heard_at = time.monotonic()
        while True:
            try:
                with self._explained():
                    job = self._client.get_job_info(job_id)
                    text = self._client.get_job_logs(job_id) if show else ""
            except ClusterError:
                if time.monotonic() - heard_at > LOST_AFTER_SECONDS:
                    raise
            else:
                heard_at = time.monotonic()
                if show and len(text) > num_shown:
                    show(text[num_shown:])
                    num_shown = len(text)
                if job.status.is_terminal():
                    return _end(job.status, job.driver_exit_code, job.message or "")
            time.sleep(POLL_SECONDS)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what Ray raises into what a user can do."""
        try:
            yield
        except AuthenticationError as error:
            raise ClusterError(token_advice(os.environ, Path.home())) from error
        except (OSError, RuntimeError, ValueError, KeyError) as error:  # no server, no job server, a refusal
            raise ClusterError(" ".join(str(error).split())) from error


def _end(status: JobStatus, exit_code: int | None, message: str) -> JobEnd:
    if status == JobStatus.SUCCEEDED:
        return JobEnd("succeeded", exit_code, message)
    if status == JobStatus.STOPPED:
        return JobEnd("stopped", None, message)
    return JobEnd("failed", exit_code, message)
