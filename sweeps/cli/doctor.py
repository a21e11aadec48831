"""The verb `doctor`: checks of this machine, each with its fix.

Imports no heavy library, so that it also works where one of them is broken.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from rich.console import Console

from cluster.connection.address import (
    TOKEN_FIX,
    ClusterError,
    answers,
    fetch_problem,
    is_authentication_off,
    jobs_address,
    join_address,
    token_place,
)
from cluster.inventory import Inventory, local_inventory
from sweeps.console import Output, text_table
from sweeps.errors import EXIT_DONE, EXIT_FAILURES
from sweeps.store.folder import results_root
from sweeps.tracking.uri import ADVICE, check_tracking_uri, tracking_uri_from_environment, without_password
from trainables.units import MIB

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import DoctorCheck

CHECKED_PACKAGES = ("torch", "ray", "mlflow", "transformers", "datasets", "optuna", "bitsandbytes")
MIN_FREE_MEMORY_MIB = 1024
MIN_FREE_DISK_MIB = 1024
MIN_SHARED_MEMORY_MIB = 256
"""Ray's object store, as `cluster.connection.session` sizes it; that module needs Ray and is not imported here."""

TIMEOUT_SECONDS = 2.0
HUB = "https://huggingface.co"

_ON_GPUS = "studies and scales that ask for a GPU"
_OF_THE_HUB = "data sets and models of the hub that are neither in its cache nor in PHASESWEEP_DATA"


@dataclass(frozen=True)
class Check:
    """One finding."""

    name: str
    ok: bool | None
    """False: sweeps will fail. None: worth knowing."""
    detail: str
    fix: str = ""
    """What to do; empty where there is nothing to do."""
    lost: str = ""
    """What is unavailable although sweeps run; empty if nothing is."""


def run_checks(
    *,
    results_root: str | Path,
    data_dir: str | None,
    tracking_uri: str,
    environ: Mapping[str, str] = os.environ,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> list[Check]:
    """Examine this machine; changes nothing and takes at most about two time-outs.

    Args:
        results_root: Where results go: a path, or the URI of a remote folder.
        data_dir: `PHASESWEEP_DATA`, if set.
        tracking_uri: Where MLflow stores.
        environ: The environment.
        timeout_seconds: How long to wait for a server.
    """
    machine = local_inventory()
    return [
        *check_packages(_own_requirements(), _installed_version),
        check_machine(machine),
        check_gpus(machine),
        check_shared_memory(Path("/dev/shm")),
        check_results(results_root),
        check_tracking(tracking_uri),
        check_ray_address_file(environ, timeout_seconds),
        check_ray_address(environ, timeout_seconds),
        check_ray_token(environ, Path.home()),
        check_data(data_dir),
        check_hub(environ, timeout_seconds),
    ]


def doctor(output: Output) -> int:
    """Check the environment; return the exit code."""
    data_dir, uri = os.environ.get("PHASESWEEP_DATA"), tracking_uri_from_environment()
    checks = run_checks(results_root=results_root(), data_dir=data_dir, tracking_uri=uri)
    listed: list[DoctorCheck] = [{"name": c.name, "ok": c.ok, "detail": c.detail, "cure": c.fix} for c in checks]
    output.show(listed, lambda out: _print(out, checks))
    return EXIT_FAILURES if any(check.ok is False for check in checks) else EXIT_DONE


def _print(out: Console, checks: Iterable[Check]) -> None:
    table = text_table("", "check", "finding")
    for check in checks:
        mark = {True: "[green]ok[/green]", False: "[red]wrong[/red]", None: "note"}[check.ok]
        fix = "" if check.ok or not check.fix else f"\nfix: {check.fix}"
        table.add_row(mark, check.name, f"{check.detail}{fix}".replace("[", "\\["))
    out.print(table)
    out.print(f"\n{summary(checks)}", markup=False)


def summary(checks: Iterable[Check]) -> str:
    """Return one line: something has to be fixed, or what is unavailable, or that there is no problem."""
    checks = list(checks)
    if any(check.ok is False for check in checks):
        return "something is wrong; each line above says how to fix it"
    lost = [check.lost for check in checks if check.lost]
    return f"sweeps run here, but not with {', nor with '.join(lost)}" if lost else "all is well"


def _own_requirements() -> list[str] | None:
    try:
        return metadata.requires("phasesweep")
    except metadata.PackageNotFoundError:
        return None


def _installed_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_packages(requirements: Iterable[str] | None, installed: Callable[[str], str | None]) -> list[Check]:
    """Check that each package a sweep needs is installed, in a version that phasesweep supports.

    Args:
        requirements: What phasesweep's own metadata require; None if it is not installed.
        installed: Returns the version of a package, or None.
    """
    if requirements is None:
        return [Check("phasesweep", False, "not installed, so its requirements are unknown", "make setup")]
    wanted = {requirement.name: requirement for requirement in map(Requirement, requirements)}
    return [_check_package(wanted[name], installed(name)) for name in CHECKED_PACKAGES]


def _check_package(wanted: Requirement, version: str | None) -> Check:
    if version is None:
        return Check(wanted.name, False, f"not installed; needs {wanted.specifier}", "make setup")
    fits = wanted.specifier.contains(version, prereleases=True)
    detail = version if fits else f"{version}; needs {wanted.specifier}"
    return Check(wanted.name, fits, detail, "" if fits else "make setup")


def check_machine(machine: Inventory) -> Check:
    """Check that memory suffices for a worker and a small model; report the cores that it may use."""
    total = os.cpu_count() or machine.cpus
    limited = f" of {total} (affinity or a control group allows no more)" if machine.cpus < total else ""
    return Check(
        "machine",
        machine.memory_mib >= MIN_FREE_MEMORY_MIB,
        f"{machine.cpus}{limited} cores, {machine.memory_mib} MiB free",
        f"a sweep needs {MIN_FREE_MEMORY_MIB} MiB: end other programs, or raise the container's limit",
    )


def check_gpus(machine: Inventory) -> Check:
    """Report the GPUs; having none is no error."""
    if machine.notes:
        fix = "fix the driver, or run on the CPU as now"
        return Check("gpu", None, "; ".join(machine.notes), fix, _ON_GPUS)
    if not machine.gpus:
        return Check("gpu", None, "none found; trials run on the CPU", lost=_ON_GPUS)
    gpus = [f"{gpu.count} x {gpu.kind}, {gpu.free_mib} MiB free" for gpu in machine.gpus]
    return Check("gpu", True, "; ".join(gpus))


def check_shared_memory(folder: Path) -> Check:
    """Check that Ray's object store fits into shared memory; otherwise Ray falls back to slower disk."""
    name = "shared memory"
    if not folder.is_dir():
        return Check(name, None, f"no {folder}: Ray keeps its objects on disk, which is slower")
    free_mib = shutil.disk_usage(folder).free // MIB
    if free_mib >= MIN_SHARED_MEMORY_MIB:
        return Check(name, True, f"{free_mib} MiB free in {folder}")
    detail = f"{free_mib} MiB free in {folder}; Ray wants {MIN_SHARED_MEMORY_MIB} MiB and will use disk"
    return Check(name, None, detail, "in a container: docker run --shm-size=1g")


def check_results(results_root: str | Path) -> Check:
    """Check that results can be written, survive the deletion of a job's working folder, and have disk space."""
    name, text = "results", str(results_root)
    fix = "set PHASESWEEP_RESULTS to an absolute folder that you can write"
    if "://" in text:
        return Check(name, None, f"{text} is remote and was not tried")
    path = Path(text)
    if not path.is_absolute():
        return Check(name, False, f"{text} is relative: a Ray job's working folder is temporary", fix)
    try:
        existing = next(folder for folder in (path, *path.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Check(name, False, f"{path} cannot be written: {error.strerror}", fix)
    free_mib = shutil.disk_usage(existing).free // MIB
    return Check(
        name,
        free_mib >= MIN_FREE_DISK_MIB,
        f"{path}, {free_mib} MiB free",
        f"a sweep needs {MIN_FREE_DISK_MIB} MiB: free some, or set PHASESWEEP_RESULTS elsewhere",
    )


def check_tracking(uri: str) -> Check:
    """Check that MLflow stores in a database or on a server."""
    problem = check_tracking_uri(uri)
    return Check("mlflow store", problem is None, problem or without_password(uri), ADVICE)


def check_ray_address_file(environ: Mapping[str, str], timeout_seconds: float) -> Check:
    """Check that no dead cluster has left its address where `ray` commands and `ray.init()` would use it."""
    name = "ray leftovers"
    base = environ.get("RAY_TMPDIR") or environ.get("TMPDIR") or "/tmp"  # as Ray itself looks it up
    file = Path(base) / "ray" / "ray_current_cluster"
    try:
        address = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return Check(name, True, "none")
    except OSError as error:
        return Check(name, None, f"{file} cannot be read: {error.strerror}", f"as its owner: rm {file}")
    if answers(address, timeout_seconds):
        return Check(name, True, f"a cluster runs at {address}")
    detail = f"{file} names {address}, where nothing answers; `ray` commands would try to join it"
    return Check(name, None, detail, f"rm {file}")


def check_ray_address(environ: Mapping[str, str], timeout_seconds: float) -> Check:
    """Check that the cluster in RAY_ADDRESS answers, and that the address has a form that some verb can use."""
    name, address = "ray cluster", environ.get("RAY_ADDRESS", "")
    if not address:
        return Check(name, True, "RAY_ADDRESS is not set; each sweep starts its own local session")
    try:
        url = jobs_address(address)
    except ClusterError:
        return _check_joining(name, address, timeout_seconds)
    problem = fetch_problem(url, timeout_seconds)
    if problem is None:
        return Check(
            name, True, f"{url} answers; `submit` sends sweeps there, `plan` and `run` want RAY_ADDRESS unset"
        )
    return Check(name, False, f"{url} does not answer ({problem})", "correct or unset RAY_ADDRESS")


def _check_joining(name: str, address: str, timeout_seconds: float) -> Check:
    try:
        join_address(address)
    except ClusterError as error:
        return Check(name, False, f"RAY_ADDRESS={address}: {error}", "correct or unset RAY_ADDRESS")
    if address == "auto" or answers(address, timeout_seconds):
        return Check(name, True, f"{address}; `run` joins it, on its nodes")
    return Check(name, False, f"nothing listens at {address}", "correct or unset RAY_ADDRESS")


def check_ray_token(environ: Mapping[str, str], home: Path) -> Check:
    """Check that there is a token for the cluster in RAY_ADDRESS: Ray authenticates by token since 2.59."""
    name = "ray token"
    if not environ.get("RAY_ADDRESS"):
        return Check(name, True, "not needed: RAY_ADDRESS is not set")
    if is_authentication_off(environ):
        return Check(name, None, "RAY_AUTH_MODE=disabled: anyone who reaches an open cluster runs code there")
    try:
        place = token_place(environ, home)
    except ClusterError as error:
        return Check(name, False, str(error), TOKEN_FIX)
    if place is None:
        demanded = environ.get("RAY_AUTH_MODE", "").lower() == "token"
        return Check(name, False if demanded else None, "none found", TOKEN_FIX)
    return Check(name, True, f"from {place}; whether it is this cluster's, only the cluster can tell")


def check_data(data_dir: str | None) -> Check:
    """Check that the user's own corpora are in PHASESWEEP_DATA."""
    if not data_dir:
        return Check("local data", None, "PHASESWEEP_DATA is not set; embedded corpora and the hub only")
    fix = "correct or unset PHASESWEEP_DATA"
    path = Path(data_dir)
    if not path.is_dir():
        return Check("local data", False, f"no folder {path}", fix)
    try:
        count = len(list(path.iterdir()))
    except OSError as error:
        return Check("local data", False, f"{path} cannot be read: {error.strerror}", fix)
    return Check("local data", True, f"{path}: {count} entries")


def check_hub(environ: Mapping[str, str], timeout_seconds: float) -> Check:
    """Check whether the Hugging Face hub answers; studies on local or built-in text do not need it."""
    if environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        return Check(
            "hub", None, "HF_HUB_OFFLINE is set: cached data sets only", "unset HF_HUB_OFFLINE", _OF_THE_HUB
        )
    url = environ.get("HF_ENDPOINT") or HUB
    problem = fetch_problem(url, timeout_seconds)
    if problem is None:
        return Check("hub", True, f"{url} answers")
    fix = "use local data through PHASESWEEP_DATA, or an embedded corpus"
    return Check("hub", None, f"{url} does not answer ({problem})", fix, _OF_THE_HUB)
