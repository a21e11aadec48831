"""Every folder can be taken in at a glance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
MOST_MODULES = 15
PACKAGES = ("analysis", "cluster", "search_spaces", "sweeps", "trainables", "tests")


def test_no_folder_has_more_than_fifteen_modules() -> None:
    modules = (
        path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"
    )
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules)
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}
