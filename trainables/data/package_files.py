"""Models that packages of the Python package index carry, as `phasesweep fetch` has put them into the user's cache.

Each has a folder as `save_pretrained` writes it, `<cache>/models/<package>/<version>`, with a record of what it was
made from beside the weights. The package itself is not installed: only its weights are of use.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from trainables.user_cache import cache_folder

_RECORD = "package.json"
_SOURCE = re.compile(
    r"package:[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?(==\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)?)?", re.ASCII
)


@dataclass(frozen=True)
class PackageRecord:
    """What a model in the cache was made from."""

    package: str
    version: str
    file: str
    """The package's file that holds the weights."""
    sha256: str
    """Of that file."""

    def write(self, folder: Path) -> None:
        """Write the record beside the weights."""
        (folder / _RECORD).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> PackageRecord:
        """Return the record of a model in the cache."""
        return cls(**json.loads((folder / _RECORD).read_text(encoding="utf-8")))


def models_folder() -> Path:
    """Return where models are cached: `$XDG_CACHE_HOME/phasesweep/models`, by default below `~/.cache`."""
    return cache_folder("models")


def is_package(text: str) -> bool:
    """Return whether `text` is written as a package: `package:NAME`, or `package:NAME==VERSION`."""
    return _SOURCE.fullmatch(text) is not None


def requirement_of(source: str) -> Requirement:
    """Return a package as pip takes it: its name as the index writes it, and its version if there is one."""
    found = Requirement(source.removeprefix("package:"))
    found.name = canonicalize_name(found.name)
    return found


def cached_package(source: str) -> Path | None:
    """Return the folder of a package's model, without a version that of the newest; None if it is not here."""
    wanted = requirement_of(source)
    records = (models_folder() / wanted.name).glob(f"*/{_RECORD}")
    here = {Version(record.parent.name): record.parent for record in records}
    fitting = [version for version in here if wanted.specifier.contains(version, prereleases=True)]
    return here[max(fitting)] if fitting else None


def find_package(source: str) -> Path:
    """Return the folder of a package's model.

    Raises:
        ValueError: If it is not on this machine; the message says how to get it.
    """
    folder = cached_package(source)
    if folder is None:
        raise ValueError(
            f"backbone '{source}' is not on this machine (looked in {models_folder()}), and only `phasesweep fetch "
            f"{source}` downloads it"
        )
    return folder
