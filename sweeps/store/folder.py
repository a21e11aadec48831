"""The results folder of a study: `results/<study>/<scale>[+<override hash>]/`, and its marker."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from analysis.records.journal import JournalState, read_journal
from sweeps.errors import UserError
from sweeps.fields import Scale, check_scale, former_results_key, results_key
from trainables.atomic_write import write_text_atomic

FORMAT_VERSION = 1
MARKER = "results.json"
"""Marks a folder as results of phasesweep; holds the format, the study and the scale."""

RESOLVED_STUDY = "study.yaml"
"""The study with every field resolved; the only marker in folders of earlier versions."""

_ADVICE = "move it away or set PHASESWEEP_RESULTS to another folder; nothing was changed"

RAY_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it only for the command of a job."""


def results_root() -> Path:
    """Return `PHASESWEEP_RESULTS`, or `results` in the working folder; in a Ray job it must be absolute.

    Raises:
        UserError: If it is the address of a remote store, or not absolute in a Ray job.
    """
    if RAY_JOB_VARIABLE in os.environ:
        return job_results_root(os.environ)
    given = os.environ.get("PHASESWEEP_RESULTS") or "results"
    _refuse_remote(given)
    return Path(given).expanduser().resolve()


def job_results_root(environ: Mapping[str, str]) -> Path:
    """Return `PHASESWEEP_RESULTS` for a sweep in a Ray job, whose working folder is deleted with the job.

    Raises:
        UserError: If it is not set, not absolute, or an address of a remote store.
    """
    given = environ.get("PHASESWEEP_RESULTS") or ""
    _refuse_remote(given)
    if not Path(given).is_absolute():
        said = f"PHASESWEEP_RESULTS={given} is relative" if given else "PHASESWEEP_RESULTS is not set"
        raise UserError(
            f"{said}, and the working folder of a Ray job is deleted with it: set an absolute folder that every "
            "node of the cluster can write; for plain `ray job submit` by "
            """--runtime-env-json '{"env_vars": {"PHASESWEEP_RESULTS": "/shared/results"}}'"""
        )
    return Path(given)


def _refuse_remote(given: str) -> None:
    if "://" in given:
        raise UserError(
            f"PHASESWEEP_RESULTS={given}: results are appended to and locked, which needs a folder and not a "
            "remote store; give a folder (one that all machines share, if there are several) and copy it to the "
            "store when the sweep has ended"
        )


@dataclass(frozen=True)
class ResultsFolder:
    """The folder of one study at one scale: `<root>/<study>/<results key>`."""

    path: Path
    former: Path | None = field(default=None, compare=False)
    """More results of the same configurations, under the folder name of an earlier version; they are not read."""

    @classmethod
    def find(cls, root: Path, study: str, scale: str, overrides: Mapping[str, Any]) -> ResultsFolder:
        """Return the results folder of a study at a scale with these overrides, whether or not it exists yet.

        Results under the folder name of an earlier version are found, unless there are some under the present
        name.

        Raises:
            UserError: As `of`.
        """
        now = cls.of(root, study, results_key(scale, overrides))
        former = cls(root / study / former_results_key(scale, overrides))
        if former == now or not former.exists():
            return now
        if now.exists():
            return replace(now, former=former.path)
        return cls.of(root, study, former.path.name)

    @classmethod
    def of(cls, root: Path, study: str, results_key: str) -> ResultsFolder:
        """Return a folder by its name, whether or not it exists yet.

        Raises:
            UserError: If something else is there: a file, another study, another format, or foreign files.
        """
        folder = cls(root / study / results_key)
        try:
            folder._refuse_foreign()
        except OSError as error:
            raise UserError(
                f"results folder {folder.path} cannot be read: {error}; set PHASESWEEP_RESULTS"
            ) from error
        return folder

    @property
    def notice(self) -> str:
        """A line about results that are not read, and how to have them read; empty if there are none."""
        if self.former is None:
            return ""
        parts = [str(self.former / part) for part in ("journal", "replicates")]
        command = shlex.join(["cp", "-rn", *parts, str(self.path)])
        return f"not read: results in {self.former}, which an earlier version named so; to add them: {command}"

    @property
    def study(self) -> str:
        """Name of the study."""
        return self.path.parent.name

    @property
    def scale(self) -> Scale:
        """The study's scale."""
        return check_scale(self.path.name.partition("+")[0])

    @property
    def experiment(self) -> str:
        """`study@scale`, with the hash of the overrides if there is one; MLflow's name of it too."""
        return f"{self.study}@{self.path.name}"

    @property
    def journal(self) -> Path:
        """Folder of the drivers' journals."""
        return self.path / "journal"

    @property
    def leases(self) -> Path:
        """Folder of the replicates' leases."""
        return self.path / "leases"

    def exists(self) -> bool:
        """Return whether results of phasesweep are there."""
        return (self.path / MARKER).is_file() or (self.path / RESOLVED_STUDY).is_file()

    def replicate(self, config_id: str, seed: int) -> Path:
        """Return the folder of a replicate."""
        return self.path / "replicates" / config_id / f"seed={seed}"

    def state(self) -> JournalState:
        """Return the state of all drivers' journals together; empty if there are none."""
        return read_journal(self.journal) if self.journal.is_dir() else JournalState()

    def resolved_study(self) -> dict[str, Any]:
        """Return the study as it was resolved for the newest run; empty if there is none."""
        return _read_mapping(self.path / RESOLVED_STUDY)

    def configuration(self, config_id: str) -> dict[str, Any]:
        """Return every field of a configuration, from its replicates' config.yaml; empty until one has started."""
        for path in sorted((self.path / "replicates" / config_id).glob("seed=*/config.yaml")):
            fields = _read_mapping(path)  # empty if its worker was killed; another seed may have a complete one
            if fields:
                return {key: value for key, value in fields.items() if key not in {"config_id", "seed"}}
        return {}

    def prepare(self, resolved: Mapping[str, Any], plugin_texts: Mapping[str, str] | None = None) -> None:
        """Create the folder and write the resolved study and the plugin files that it uses.

        Args:
            resolved: The study with every field resolved.
            plugin_texts: Texts to keep, by file name: after an edit, only the old text explains the numbers.

        Raises:
            UserError: If the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            marker = {"format_version": FORMAT_VERSION, "study": self.study, "scale": self.scale}
            write_text_atomic(self.path / MARKER, json.dumps(marker) + "\n")
            text = yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True)
            write_text_atomic(self.path / RESOLVED_STUDY, text)
            for name, text in (plugin_texts or {}).items():
                (self.path / "plugins").mkdir(exist_ok=True)
                write_text_atomic(self.path / "plugins" / name, text)
        except OSError as error:
            raise UserError(f"cannot write results to {self.path}: {error}; set PHASESWEEP_RESULTS") from error

    def check_writable(self) -> None:
        """Refuse a folder that `prepare` could not write, and leave nothing there.

        Raises:
            UserError: If it cannot be made or written.
        """
        there = next(path for path in (self.path, *self.path.parents) if path.exists())
        try:
            with TemporaryDirectory(dir=there):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write results to {self.path}: {there}: {error.strerror}; set PHASESWEEP_RESULTS elsewhere"
            ) from error

    def _refuse_foreign(self) -> None:
        for path in (self.path, *self.path.parents):
            if path.exists() and not path.is_dir():
                raise UserError(f"results folder {self.path}: {path} is a file; set PHASESWEEP_RESULTS elsewhere")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        if not self.exists():
            raise UserError(
                f"results folder {self.path} holds files but neither {MARKER} nor {RESOLVED_STUDY} of phasesweep; "
                f"{_ADVICE}"
            )
        marker = self.path / (MARKER if (self.path / MARKER).is_file() else RESOLVED_STUDY)
        found = _read_marker(marker)
        if found["format_version"] != FORMAT_VERSION:
            version = found["format_version"]
            raise UserError(
                f"{marker}: format_version {version}, this phasesweep writes {FORMAT_VERSION}; {_ADVICE}"
            )
        if (found.get("study"), found.get("scale")) != (self.study, self.scale):
            theirs = f"{found.get('study')}@{found.get('scale')}"
            raise UserError(f"{marker}: results of {theirs}, not of {self.study}@{self.scale}; {_ADVICE}")


def _read_marker(marker: Path) -> dict[str, Any]:
    """Return the content of a marker.

    Raises:
        UserError: If it is not a marker of phasesweep.
    """
    found, problem = None, "no format_version"
    try:
        text = marker.read_text(encoding="utf-8")
        found = json.loads(text) if marker.name == MARKER else yaml.load(text, Loader=FAST_LOADER)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
    except ValueError as error:  # not UTF-8, or not JSON
        problem = str(error)
    if not isinstance(found, dict) or "format_version" not in found:
        raise UserError(f"{marker}: not a {marker.name} of phasesweep ({problem}); {_ADVICE}")
    return found


def _read_mapping(path: Path) -> dict[str, Any]:
    """Return a YAML file that phasesweep wrote; empty if it is missing or incomplete."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=FAST_LOADER)
    except (FileNotFoundError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


FAST_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""YAML loader without line numbers, in C where that is installed."""
