"""The catalogue of studies: which ones the library and installed packages hold, and the file of a name.

The value of an entry point of the group `phasesweep.studies` is a Python package with YAML files, such as
`my_package.studies`; the entry point's name has no meaning.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from search_spaces.suggestions import closest
from sweeps.console import proposed
from sweeps.errors import UserError, nearest
from sweeps.fields import DEFAULT_SCALE
from sweeps.studies.yaml_file import YamlSource

GROUP = "phasesweep.studies"


@dataclass(frozen=True)
class InstalledStudy:
    """A study file of an installed package."""

    name: str
    package: str
    """The distribution."""
    path: Path


@functools.cache
def installed_studies() -> tuple[InstalledStudy, ...]:
    """Return the studies of all installed packages; two packages may have studies of the same name.

    Raises:
        UserError: If an entry point names no package that holds YAML files.
    """
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.value, point.name))
    return tuple(study for point in points for study in _studies_of(point))


def find_installed(name: str) -> Path | None:
    """Return the file of the installed study `name`; None if there is none.

    Raises:
        UserError: If several packages have one.
    """
    found = [study for study in installed_studies() if study.name == name]
    if len(found) > 1:
        places = " and ".join(f"{study.package} ({study.path})" for study in found)
        raise UserError(f"study '{name}' is in {places}: give the path of one")
    return found[0].path if found else None


def _studies_of(point: EntryPoint) -> list[InstalledStudy]:
    package = point.dist.name if point.dist else point.value
    try:
        spec = importlib.util.find_spec(point.value)
    except (ImportError, ValueError) as error:
        raise UserError(_broken(package, point, str(error))) from error
    folders = [Path(place) for place in (spec.submodule_search_locations if spec else None) or ()]
    paths = sorted(path for folder in folders for path in folder.glob("[!_]*.yaml"))
    if not paths:
        raise UserError(_broken(package, point, "no package of that name holds YAML files"))
    return [InstalledStudy(path.stem, package, path) for path in paths]


def _broken(package: str, point: EntryPoint, reason: str) -> str:
    return (
        f"installed package '{package}': entry point '{point.name} = {point.value}' of the group {GROUP}: "
        f"{reason}; fix or uninstall the package"
    )


class StudyArguments(NamedTuple):
    """A study as the user names it on the command line."""

    name: str
    """A study of the library or of an installed package, or a YAML file."""
    scale: str = DEFAULT_SCALE
    sets: Sequence[str] = ()
    """Overrides, as `key=value`."""


@dataclass(frozen=True)
class StudyHead:
    """A study file as written, neither merged nor validated: enough to list it."""

    path: Path
    name: str
    data: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> StudyHead:
        """Read a study file.

        Raises:
            UserError: If it cannot be read, is not valid YAML, or has no study name.
        """
        data = YamlSource.read(path).data
        name = data.get("study") if isinstance(data, dict) else None
        if not isinstance(name, str):
            raise UserError(f"{path}:1: study: missing; a study file gives its name, as `study: my_study`")
        return cls(path, name, data)

    def section(self, key: str) -> dict[str, Any]:
        """Return a mapping of the file; empty if it has none of that name."""
        found = self.data.get(key)
        return found if isinstance(found, dict) else {}


def library() -> dict[str, Path]:
    """Return the studies that come with phasesweep, by name, without `_template.yaml`."""
    folder = resources.files("sweeps.studies") / "library"
    names = (item.name for item in folder.iterdir() if item.name.endswith(".yaml"))
    paths = (Path(str(folder / name)) for name in names if not name.startswith("_"))
    return {path.stem: path for path in sorted(paths)}


def _instead_of(path: Path) -> str:
    """Return what helps with a missing study file: the nearest file or study, or how to find or write one."""
    files = {file.stem: str(file) for file in path.parent.glob("*.y*ml") if file.is_file()}
    known = {name: name for name in library()} | files
    if near := [repr(known[stem]) for stem in closest(path.stem, known)]:
        return f"did you mean {' or '.join(near)}?"
    return f"list the studies with: {proposed('studies')}; write your own with: {proposed('new', 'my_study')}"


def find(name_or_path: str) -> Path:
    """Return the file of a study given by path or by name: of the library, then of installed packages.

    Raises:
        UserError: If there is no such study.
    """
    known = library()
    if name_or_path in known:
        return known[name_or_path]
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or "/" in name_or_path:
        try:
            if path.is_file():
                return path
        except OSError as error:  # such as a name that is too long
            raise UserError(f"no study file {name_or_path}: {error.strerror}") from error
        raise UserError(f"no study file {path} (looked in {Path.cwd()}); {_instead_of(path)}")
    installed = find_installed(name_or_path)
    if installed is not None:
        return installed
    names = [*known, *(study.name for study in installed_studies())]
    raise UserError(f"unknown study '{name_or_path}'; {nearest(name_or_path, names)} (or give a .yaml path)")
