"""The hash of what computes: it sees the code of every computing source, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

import trainables
from trainables import code_hash as module
from trainables.code_hash import code_hash, hash_of_sources

PARTS = (
    "trainables/batch.py",
    "trainables/metric.py",
    "trainables/schema.py",
    "trainables/randomness.py",
    "trainables/config",
    "trainables/data",
    "trainables/layers",
    "trainables/diagnostics",
    "trainables/architectures",
    "trainables/tasks",
    "trainables/training",
    "search_spaces/irrational.py",
)
"""What must count, written out: what the hash forgets, no test that reads its own list would miss."""


SOURCES = ("/a.py", "/below/z.py")
"""Of a part that is a folder."""
CARRYING = ("worker/attempt.py", "contract/tasks.py", "plugins/files.py", "registry.py", "layers/notes.txt")
"""Of this package, what changes no number."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small installation: a source or two of every part, and what only carries results."""
    computing = [f"{part}{below}" for part in PARTS for below in ([""] if part.endswith(".py") else SOURCES)]
    for name in (*computing, *(f"trainables/{name}" for name in CARRYING)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("FIRST = 1\n", encoding="utf-8")
    return tmp_path


def change(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_it_sees_a_change_of_code_in_every_part_that_computes(root: Path) -> None:
    sources = [path for path in sorted(root.rglob("*.py")) if str(path.relative_to(root)).startswith(PARTS)]
    assert len(sources) > len(PARTS)
    hashes = {hash_of_sources(root)}
    for source in sources:
        change(source, "PLANTED = 1\n")
        hashes.add(hash_of_sources(root))
    assert len(hashes) == 1 + len(sources)


def test_every_listed_path_is_one_of_those_parts() -> None:
    assert set(PARTS) == set(module._COMPUTING)


def test_it_sees_names_and_numbers(root: Path) -> None:
    first = hash_of_sources(root)
    source, other = (root / "trainables" / "layers" / name for name in ("a.py", "other.py"))
    source.rename(other)
    renamed = hash_of_sources(root)
    other.write_text("FIRST = 2\n", encoding="utf-8")
    assert len({first, renamed, hash_of_sources(root)}) == 3


def test_prose_does_not_count(tmp_path: Path) -> None:
    """In any source of this installation."""
    installed = Path(trainables.__file__).parent
    for package in (installed, installed.with_name("search_spaces")):
        shutil.copytree(package, tmp_path / package.name)
    for source in sorted((tmp_path / "trainables").rglob("*.py")):
        text = source.read_text(encoding="utf-8")
        assert text.startswith('"""'), source
        said_otherwise = re.sub(r'^( *""")(?=\w)', r"\1Said otherwise. ", text, flags=re.MULTILINE)
        source.write_text(f"{said_otherwise}\n\n# a remark\n", encoding="utf-8")
    assert hash_of_sources(tmp_path) == code_hash()


def test_what_only_carries_results_does_not_count(root: Path) -> None:
    before = hash_of_sources(root)
    for name in CARRYING:
        change(root / "trainables" / name, "PLANTED = 1\n")
    assert hash_of_sources(root) == before


@pytest.mark.parametrize("name", ["batch.py", "layers"])
def test_a_listed_path_that_is_missing_is_an_error(name: str, root: Path) -> None:
    (root / "trainables" / name).rename(root / "elsewhere")
    with pytest.raises(FileNotFoundError, match=name):
        hash_of_sources(root)


@pytest.fixture
def installed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One source, from beside which this module seems to be imported, with an empty cache."""
    source = tmp_path / "trainables" / "layers" / "angles.py"
    source.parent.mkdir(parents=True)
    source.write_text("PLANTED = 1\n", encoding="utf-8")
    (tmp_path / "trainables" / "code_hash.py").touch()
    monkeypatch.setattr(module, "__file__", str(tmp_path / "trainables" / "code_hash.py"))
    monkeypatch.setattr(module, "_COMPUTING", ("trainables/layers",))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def hashed_anew() -> str:
    """Return the hash as another process would."""
    code_hash.cache_clear()
    try:
        return code_hash()
    finally:
        code_hash.cache_clear()


def test_it_is_kept_until_a_source_changes(installed_at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hashed_anew()
    made: list[Path] = []
    monkeypatch.setattr(module, "hash_of_sources", lambda root: made.append(root) or hash_of_sources(root))
    assert (hashed_anew(), made) == (first, [])
    source = installed_at / "trainables" / "layers" / "angles.py"
    status = source.stat()
    source.write_text("PLANTED = 2\n", encoding="utf-8")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))  # of one size, and dated as before
    assert hashed_anew() == hash_of_sources(installed_at) != first
    assert made == [installed_at]


@pytest.mark.parametrize("kept", ["", "0123", None])
def test_a_cache_that_is_damaged_or_cannot_be_written_only_costs_time(installed_at: Path, kept: str | None) -> None:
    cache = installed_at / "cache" / "phasesweep" / "code"
    if kept is None:
        (installed_at / "cache").write_text("in the way", encoding="utf-8")
    else:
        cache.mkdir(parents=True)
        (cache / module._state_of_sources(installed_at)).write_text(kept, encoding="utf-8")
    assert hashed_anew() == hash_of_sources(installed_at)
