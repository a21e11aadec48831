"""The verb `submit`: the same as `run`, as a job of a Ray cluster."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cluster.connection.address import JOBS_PORT, ClusterError, fetch_problem, jobs_address
from sweeps.console import Output, proposed
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED, UserError
from sweeps.jobs.package import JobPackage, pack
from sweeps.run.limits import RunLimits
from sweeps.store.folder import ResultsFolder, job_results_root
from sweeps.store.provenance import SUBMITTED_FROM, git_state
from sweeps.studies.resolve import load_study
from sweeps.tracking.uri import refuse_bad_tracking_uri
from trainables.units import MIB

if TYPE_CHECKING:
    from cluster.connection.jobs import JobEnd, JobServer

CONNECT_SECONDS = 10.0
STOP_SECONDS = 60
"""How long `ray job stop` lets the sweep shut down before it kills; Ray's own 3 seconds are too short."""

FORWARDED = ("MLFLOW_TRACKING_URI", "HF_HOME")
"""Variables that a job gets from the submitter besides `PHASESWEEP_*`. No token: the cluster has its own."""
_FOLDERS = ("PHASESWEEP_DATA", "HF_HOME")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to run on the cluster: the options of `run`."""

    study: str
    scale: str
    sets: tuple[str, ...] = ()
    max_hours: float | None = None
    max_trials: int | None = None
    plugins: tuple[Path, ...] = ()

    def job_command(self, package: JobPackage) -> str:
        """Return the command line of the job, for the cluster's shell."""
        caps = {"--max-hours": self.max_hours, "--max-trials": self.max_trials}
        words = ["python", "-m", "sweeps", "run", package.study, *self._which()]
        words += [word for name, cap in caps.items() if cap is not None for word in (name, str(cap))]
        words += [word for path in package.plugins for word in ("--plugin", path)]
        return shlex.join(words)

    def command_here(self, verb: str) -> str:
        """Return a command line about the same sweep for the submitter's shell."""
        plugins = [word for path in self.plugins for word in ("--plugin", str(path))]
        return proposed(verb, self.study, *self._which(), *plugins)

    def _which(self) -> list[str]:
        return ["--scale", self.scale, *(word for text in self.sets for word in ("--set", text))]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that a cluster has accepted."""

    job_id: str
    address: str
    command: str
    results: Path
    """On the cluster."""
    uploaded_mib: float

    def to_json(self) -> dict[str, str | float]:
        """Return what `submit --json` prints."""
        return {**vars(self), "results": str(self.results)}

    def ray(self, verb: str, *options: str) -> str:
        """Return a `ray job` command about it for the submitter's shell.

        It sets variables, since Ray sends a token only if one says so, and prefers RAY_ADDRESS to `--address`.
        """
        mode = "RAY_AUTH_MODE=token " if os.environ.get("RAY_AUTH_MODE") == "token" else ""
        words = shlex.join(["ray", "job", verb, *options, self.job_id])
        return f"RAY_API_SERVER_ADDRESS={shlex.quote(self.address)} {mode}{words}"


def submit(output: Output, order: Order, address: str | None, *, wait: bool, follow: bool) -> int:
    """Send a sweep to a cluster; return the exit code, with `wait` the sweep's own.

    Args:
        output: Where to print.
        order: What to run.
        address: `http://host:port` of the cluster's dashboard; by default RAY_ADDRESS.
        wait: Return when the sweep has ended, not when it has been sent.
        follow: Wait, and show what the sweep prints.

    Raises:
        UserError: On any mistake; nothing was started then.
    """
    study = load_study(order.study, order.scale, order.sets)
    RunLimits(max_hours=order.max_hours, max_trials=order.max_trials)  # refuses what `run` would refuse
    environment = job_environment(os.environ)
    package = pack(order.study, order.plugins, study.plugin_files)
    package.check_size()
    server = _connect(address)
    folder = ResultsFolder.find(job_results_root(os.environ), study.name, study.scale, study.overrides)
    job = Job(
        job_id=f"{study.name}-{study.scale}-{uuid.uuid4().hex[:8]}",
        address=server.address,
        command=order.job_command(package),
        results=folder.path,
        uploaded_mib=round(package.upload_bytes / MIB, 3),
    )
    _send(server, job, package, environment, title=folder.experiment)
    console = output.beside
    if output.emit:
        output.emit(job.to_json())
    console.print(
        f"job {job.job_id} at {job.address} ({job.uploaded_mib:.1f} MiB): {job.command}\n"
        f"results: {job.results} on the cluster; with that folder in sight: {order.command_here('status')}\n"
        f"watch: {job.ray('logs', '--follow')}\n{_how_to_stop(job, order)}",
        markup=False,
    )
    return _wait(server, job, order, console, follow=follow) if wait or follow else EXIT_DONE


def job_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a job gets from its submitter.

    Raises:
        UserError: If a path among them is not absolute: the job's working folder is another one, and temporary.
    """
    job_results_root(environ)
    for name in _FOLDERS:
        given = environ.get(name)
        if given and not Path(given).is_absolute():
            raise UserError(
                f"{name}={given} is relative to this folder, and no job runs here; give its absolute path on the "
                "cluster"
            )
    refuse_bad_tracking_uri(environ)
    uri = environ.get("MLFLOW_TRACKING_URI") or ""
    if uri.startswith("sqlite:///") and not uri.startswith("sqlite:////"):
        raise UserError(f"MLFLOW_TRACKING_URI={uri} is relative; write sqlite:////absolute/path/mlflow.db")
    forwarded = {
        name: value for name, value in environ.items() if name.startswith("PHASESWEEP_") or name in FORWARDED
    }
    return {
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
        **forwarded,
        SUBMITTED_FROM: json.dumps(git_state()),
    }


def _connect(address: str | None) -> JobServer:
    """Return a checked connection to the job server."""
    given = address or os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
    if not given:
        raise UserError(f"no cluster is named: set RAY_ADDRESS=http://HEAD:{JOBS_PORT}, or give it by --address")
    try:
        url = jobs_address(given)
        problem = fetch_problem(url, CONNECT_SECONDS)
        if problem is not None:
            raise ClusterError(
                f"nothing answers ({problem}); the head node's dashboard must be reachable from here: by a "
                f"tunnel, `ssh -L {JOBS_PORT}:127.0.0.1:{JOBS_PORT} HEAD`, or by `ray start --dashboard-host`"
            )
        from cluster.connection.jobs import JobServer  # imports Ray: only once the dashboard answers

        return JobServer(url)
    except ClusterError as error:
        raise UserError(f"cluster {given}: {error}") from error


def _send(server: JobServer, job: Job, package: JobPackage, environment: Mapping[str, str], *, title: str) -> None:
    with tempfile.TemporaryDirectory(prefix="phasesweep-submit-") as folder:
        package.write(Path(folder))
        try:
            server.submit(
                job.command,
                job_id=job.job_id,
                working_dir=Path(folder),
                environment=environment,
                title=title,
            )
        except ClusterError as error:
            raise UserError(f"cluster {server.address} did not take the job: {error}") from error


def _how_to_stop(job: Job, order: Order) -> str:
    return f"stop: {order.command_here('stop')}, or: {job.ray('stop')}"


def _wait(server: JobServer, job: Job, order: Order, console: Console, *, follow: bool) -> int:
    """Wait for the end of a job and print how it ended; return the exit code."""

    def show(text: str) -> None:
        console.print(text, markup=False, end="")

    try:
        end = server.wait(job.job_id, show if follow else None)
    except KeyboardInterrupt:
        console.print(f"\nthe job goes on; {_how_to_stop(job, order)}", markup=False)
        return EXIT_INTERRUPTED
    except ClusterError as error:
        console.print(f"\nlost sight of the job, which may go on: {error}", markup=False)
        return EXIT_FAILURES
    code = exit_code(end)
    if code == EXIT_DONE:
        final_message = f"done; read the results with: {order.command_here('results')}"
    elif code == EXIT_INTERRUPTED:
        final_message = "stopped; the same command again runs what is missing"
    else:
        said = "" if follow else f"\n{end.message}"
        final_message = f"failed with exit code {end.exit_code}{said}\nall of its output: {job.ray('logs')}"
    console.print(final_message, markup=False)
    return code


def exit_code(end: JobEnd) -> int:
    """Return the sweep's exit code, or what it would have been had Ray let it end."""
    if end.status == "succeeded":
        return EXIT_DONE
    return EXIT_INTERRUPTED if end.status == "stopped" else end.exit_code or EXIT_FAILURES
