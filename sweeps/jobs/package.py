"""The files of a job: phasesweep's packages, the study's file and the plugins, and nothing else.

They are copied into a separate folder, which becomes the job's working folder. So no `.venv`, `.git`, results or
data are uploaded, whatever the user's folder contains, and an installed phasesweep is sent like a checkout: the
cluster needs only phasesweep's requirements, and runs this version whatever it has installed.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sweeps.errors import UserError
from sweeps.store.provenance import ROOT
from sweeps.studies.catalogue import find, library
from trainables.registry import LIBRARY
from trainables.units import MIB

USER_FILES = "brought"
"""Folder of the user's files in the job's working folder, where they cannot hide a module of ours."""

MAX_UPLOAD_BYTES = 100 * MIB
"""Most that Ray's job server accepts in one request."""
MAX_NAMED = 5
"""Files that a message lists."""


@dataclass(frozen=True)
class JobPackage:
    """The working folder of a job, before it is made."""

    files: dict[str, Path]
    """Name in the job's working folder -> where it is now."""
    texts: dict[str, str]
    """Name -> text of files that exist nowhere yet."""
    study: str
    """The study as the job names it: a library name, or a path in its working folder."""
    plugins: tuple[str, ...]
    """The plugins as the job names them."""

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file."""
        sizes = {name: path.stat().st_size for name, path in self.files.items()}
        return sizes | {name: len(text.encode()) for name, text in self.texts.items()}

    @property
    def upload_bytes(self) -> int:
        """Bytes of the archive that Ray makes of it, without compression."""
        headers = sum(30 + 46 + 2 * len(name.encode()) for name in self.sizes)
        return sum(self.sizes.values()) + headers + 22

    def check_size(self, limit_bytes: int = MAX_UPLOAD_BYTES) -> None:
        """Refuse what the job server would refuse after the upload.

        Raises:
            UserError: If it is too large; the message names the largest files.
        """
        if self.upload_bytes <= limit_bytes:
            return
        largest = sorted(self.sizes.items(), key=lambda item: item[1], reverse=True)[:MAX_NAMED]
        lines = [f"  {size / MIB:8.1f} MiB  {self.files.get(name, name)}" for name, size in largest]
        raise UserError(
            f"the job would upload {self.upload_bytes / MIB:.1f} MiB; Ray takes {limit_bytes / MIB:.0f}. "
            "The largest files:\n"
            + "\n".join(lines)
            + "\nput data where the cluster sees it and set PHASESWEEP_DATA to that folder"
        )

    def write(self, folder: Path) -> None:
        """Make the working folder."""
        for name, source in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        for name, text in self.texts.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def pack(study: str, plugins: Iterable[Path], named_by_study: Iterable[str] = ()) -> JobPackage:
    """Return the package of a study, given by library name or path, and its plugin files.

    Args:
        study: The study.
        plugins: Plugin files of the command line.
        named_by_study: Plugin files that the study's file names, relative to it; they keep their place.

    Raises:
        UserError: If there is no such study or file, or one of the study's plugins is not in or below its folder.
    """
    files = {path.relative_to(ROOT).as_posix(): path for package in LIBRARY for path in _package_files(package)}
    if study not in library():
        path = find(study)
        study = f"{USER_FILES}/{path.name}"
        files[study] = path
        for plugin in named_by_study:
            name = posixpath.normpath(f"{USER_FILES}/{plugin}")
            if Path(plugin).is_absolute() or not name.startswith(f"{USER_FILES}/"):
                raise UserError(f"{path}: plugins: {plugin} can be sent only if it lies beside the study, or below")
            files[name] = path.parent / plugin
    brought = []
    for number, path in enumerate(plugins):
        if not path.is_file():
            raise UserError(f"--plugin {path}: no such file (looked in {Path.cwd()})")
        brought.append(f"{USER_FILES}/plugin_{number}/{path.name}")
        files[brought[-1]] = path
    return JobPackage(files, _metadata(), study, tuple(brought))


def _package_files(package: str) -> list[Path]:
    found = (path for path in (ROOT / package).rglob("*") if path.is_file())
    return sorted(path for path in found if "__pycache__" not in path.parts)


def _metadata() -> dict[str, str]:
    """Return phasesweep's own metadata as a file, so that the provenance of a job has its version."""
    try:
        distribution = metadata.distribution("phasesweep")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return {}
    # An installed package says it in METADATA; the egg-info that setuptools leaves in a checkout, in PKG-INFO.
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO")
    return {f"phasesweep-{distribution.version}.dist-info/METADATA": text} if text else {}
