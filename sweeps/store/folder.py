"""Where results lie: `results/<study>/<scale>[+<override hash>]/`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from analysis.records.journal import JournalState, read_journal
from sweeps.errors import UserError
from sweeps.store.leases import refuse_old_drivers
from sweeps.studies.study import Study
from sweeps.studies.yaml_file import yaml_problem
from trainables.atomic_write import write_text_atomic
from trainables.registry import Plugin

RAY_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it for the command of a job, and for nothing else."""


def results_root() -> Path:
    """Return `PHASESWEEP_RESULTS`, or `results` in the working folder; in a Ray job it must be absolute.

    Raises:
        UserError: If it is an address of a remote store, or not absolute in a Ray job.
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


def replicate_fields(replicates: Path, config_id: str) -> dict[str, Any]:
    """Return a configuration's full fields, as its replicates were given them.

    Args:
        replicates: The folder `replicates` of a results folder; may not exist.
        config_id: Which configuration.

    Returns:
        The nested fields; empty until a replicate has written its config.yaml.
    """
    for path in sorted((replicates / config_id).glob("seed=*/config.yaml")):
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(config, dict):  # an empty file: a killed worker's; another seed has a whole one
            return {k: v for k, v in config.items() if k not in {"config_id", "seed"}}
    return {}


@dataclass(frozen=True)
class ResultsFolder:
    """The folder of one study at one scale."""

    path: Path

    @classmethod
    def of(cls, root: Path, study: Study) -> ResultsFolder:
        """Return the folder of `study`, whether or not it exists yet.

        Raises:
            UserError: If something else is there: a file, another study, another format, other people's files.
        """
        folder = cls(root / study.name / study.folder_name)
        try:
            folder._refuse_foreign(study)
        except OSError as error:
            raise UserError(
                f"results folder {folder.path} cannot be read: {error}; set PHASESWEEP_RESULTS"
            ) from error
        return folder

    @property
    def journal(self) -> Path:
        """Folder of the drivers' journals."""
        return self.path / "journal"

    @property
    def leases(self) -> Path:
        """Folder of the replicates' leases."""
        return self.path / "leases"

    def replicate(self, config_id: str, seed: int) -> Path:
        """Return the folder of a replicate."""
        return self.path / "replicates" / config_id / f"seed={seed}"

    def state(self) -> JournalState:
        """Return what the journals add up to; empty if there are none."""
        return read_journal(self.journal) if self.journal.is_dir() else JournalState()

    def prepare(self, study: Study) -> None:
        """Create the folder and write the resolved study.

        Raises:
            UserError: If the folder cannot be written, or a driver that knows nothing of leases is at work there.
        """
        refuse_old_drivers(self.path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True)
            write_text_atomic(self.path / "study.yaml", text)
            for plugin in study.plugins:
                self._keep(plugin)
        except OSError as error:
            raise UserError(f"cannot write results to {self.path}: {error}; set PHASESWEEP_RESULTS") from error

    def _keep(self, plugin: Plugin) -> None:
        """Keep the text of a plugin file: nothing else could explain its numbers once it is edited."""
        if plugin.kind == "file":
            path = self.path / "plugins" / f"{plugin.sha256[:12]}-{plugin.name}"
            path.parent.mkdir(exist_ok=True)
            write_text_atomic(path, plugin.source)

    def _refuse_foreign(self, study: Study) -> None:
        for path in (self.path, *self.path.parents):
            if path.exists() and not path.is_dir():
                raise UserError(f"results folder {self.path}: {path} is a file; set PHASESWEEP_RESULTS elsewhere")
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        advice = "move it away or set PHASESWEEP_RESULTS to another folder; nothing was changed"
        marker = self.path / "study.yaml"
        if not marker.is_file():
            raise UserError(f"results folder {self.path} holds files but no study.yaml of phasesweep; {advice}")
        try:
            found = yaml.safe_load(marker.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            problem = yaml_problem(error) if isinstance(error, yaml.YAMLError) else error
            raise UserError(f"{marker}: not a study.yaml of phasesweep ({problem}); {advice}") from error
        if not isinstance(found, dict) or "format_version" not in found:
            raise UserError(f"{marker}: not a study.yaml of phasesweep (no format_version); {advice}")
        if found["format_version"] != 1:
            version = found["format_version"]
            raise UserError(f"{marker}: format_version {version}, this phasesweep writes 1; {advice}")
        if (found.get("study"), found.get("scale")) != (study.name, study.scale):
            theirs = f"{found.get('study')}@{found.get('scale')}"
            raise UserError(f"{marker}: results of {theirs}, not of {study.name}@{study.scale}; {advice}")
