"""`kit verify`: the files of a kit are whole, and its nominated replicate gives the same numbers here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml

from analysis.records.journal import JournalState, read_journal
from analysis.records.replicates import Replicate
from sweeps.cli.evidence.crate import damaged
from sweeps.cli.evidence.expected import Difference, Expected, difference
from sweeps.cli.evidence.kit import PLUGINS, SOURCE
from sweeps.console import Output, proposed
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, UserError
from sweeps.store.folder import RESOLVED_STUDY

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import VerifyJson

Outcome = Literal["equal", "equal in law", "different", "damaged", "not run"]
"""`equal`: to the last bit. `equal in law`: numerics differ, and the primary metric is within the tolerance.
`different`: neither. `damaged`: files are missing or changed. `not run`: the replicate did not finish here."""


@dataclass(frozen=True)
class Verification:
    """What came of verifying a kit."""

    outcome: Outcome
    told: str
    """Why, in a sentence."""
    found: Difference | None = None


def named(folder: Path | None) -> Path:
    """Return the folder of a kit as it was typed.

    Raises:
        UserError: If none was, or there is no such folder.
    """
    if folder is None:
        raise UserError(f"kit verify: name the kit's folder; write one with: {proposed('kit', 'STUDY')}")
    if not folder.is_dir():
        raise UserError(f"kit verify {folder}: no such folder (looked in {Path.cwd()})")
    return folder


def verify(output: Output, folder: Path, *, exact: bool) -> int:
    """Verify a kit and return the exit code: 0 if it holds, 1 if not.

    Raises:
        UserError: If the folder is no kit.
    """
    try:
        expected, broken = Expected.read(folder), damaged(folder)
    except ValueError as error:
        raise UserError(f"kit verify: {error}") from error
    if broken:
        result = Verification("damaged", f"missing or changed: {', '.join(broken)}")
    else:
        output.say(f"{len(expected.metrics)} values of {expected.arm} seed {expected.seed} are to be found again")
        result = _run_again(folder, expected)
    holds = result.outcome == "equal" or (result.outcome == "equal in law" and not exact)
    if output.emit:
        output.emit(_as_json(expected, result, holds))
    output.say(f"{result.outcome}: {result.told}")
    return EXIT_DONE if holds else EXIT_FAILURES


def _run_again(kit: Path, expected: Expected) -> Verification:
    with tempfile.TemporaryDirectory(prefix="phasesweep-kit-") as work:
        command, environment = _command(kit, expected), _environment(Path(work))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        journals = [*Path(work).glob("results/*/*/journal")]
        state = read_journal(journals[0]) if journals else JournalState()
    found = _replicate(state, expected)
    if found is None:
        ids = {arm.config_id for arm in state.sweep.arms if arm.arm == expected.arm} if state.sweep else set()
        if ids and expected.config_id not in ids:
            told = f"{expected.arm} is another configuration here: {', '.join(ids)}, not {expected.config_id}"
            return Verification("different", told)
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        return Verification("not run", f"{expected.arm} seed {expected.seed} did not finish: {' / '.join(said)}")
    return _compared(expected, found)


def _replicate(state: JournalState, expected: Expected) -> Replicate | None:
    replicate = state.replicates.get((expected.config_id, expected.seed))
    return replicate if replicate is not None and replicate.status == "finished" else None


def _compared(expected: Expected, replicate: Replicate) -> Verification:
    found = difference(expected, replicate)
    count = len(expected.metrics)
    if not found.metrics:
        return Verification("equal", f"all {count} values of its last report, to the last bit", found)
    equal = f"{count - len(found.metrics)} of {count} values are equal to the last bit"
    size = "has no value here" if found.primary is None else f"differs by {found.primary:+.3g}"
    said = f"{expected.primary_metric} {size}, tolerance {expected.tolerance:.3g}; {equal}"
    if not found.numerics:
        return Verification("different", f"{said}, although the numerics are the same", found)
    listed = ", ".join(f"{name} {values}" for name, values in found.numerics.items())
    outcome: Outcome = "equal in law" if found.is_within(expected.tolerance) else "different"
    return Verification(outcome, f"{said}; numerics differ: {listed}", found)


def _command(kit: Path, expected: Expected) -> list[str]:
    resolved = yaml.safe_load((kit / RESOLVED_STUDY).read_text(encoding="utf-8"))
    sets = [part for key, value in resolved.get("overrides", {}).items() for part in ("--set", _set(key, value))]
    plugins = [part for path in sorted((kit / PLUGINS).glob("*.py")) for part in ("--plugin", str(path.resolve()))]
    only = f"{expected.arm}@{expected.seed}"
    program = [sys.executable, "-m", "sweeps", "run", str((kit / SOURCE).resolve())]
    return [*program, "--scale", expected.scale, *sets, *plugins, "--only", only]


def _set(key: str, value: object) -> str:
    return f"{key}={json.dumps(value)}"  # JSON is YAML, as `--set` reads it


def _environment(work: Path) -> dict[str, str]:
    """Return the environment of the run: results and MLflow's database go into a folder that is removed."""
    return {
        **os.environ,
        "PHASESWEEP_RESULTS": str(work / "results"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{work / 'mlflow.db'}",
    }


def _as_json(expected: Expected, result: Verification, holds: bool) -> VerifyJson:
    found = result.found
    return {
        "outcome": result.outcome,
        "holds": holds,
        "replicate": f"{expected.arm}@{expected.seed}",
        "values": len(expected.metrics),
        "unequal": {} if found is None else {name: list(pair) for name, pair in found.metrics.items()},
        "primary_difference": None if found is None else found.primary,
        "tolerance": expected.tolerance,
        "numerics": {} if found is None else found.numerics,
        "told": result.told,
    }
