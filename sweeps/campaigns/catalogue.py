"""The catalogue of campaigns: which ones come with phasesweep, and whether a name is one. It reads none."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

_MARK = re.compile(r"^campaign:", re.MULTILINE)


def campaign_library() -> dict[str, Path]:
    """Return the campaigns that come with phasesweep, by name."""
    folder = resources.files("sweeps.campaigns") / "library"
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): Path(str(folder / name)) for name in names}


def campaign_path(name: str) -> Path | None:
    """Return the file of the campaign called `name`, in the library or a path; None if that is no campaign."""
    if name in (known := campaign_library()):
        return known[name]
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"} or not path.is_file():
        return None
    return path if _MARK.search(path.read_text(encoding="utf-8", errors="replace")) else None
