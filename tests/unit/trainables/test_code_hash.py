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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    installed = Path(trainables.__file__).parent
    shutil.copytree(installed, tmp_path / "trainables")
    shutil.copytree(installed.with_name("search_spaces"), tmp_path / "search_spaces")
    assert hash_of_sources(tmp_path) == code_hash()
    return tmp_path


def change(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize("part", PARTS)
def test_it_sees_a_change_of_code_in_every_part_that_computes(part: str, root: Path) -> None:
    path = root / part
    sources = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert set(sources) <= set(module._sources(root))
    for source in (sources[0], sources[-1]):
        before = hash_of_sources(root)
        change(source, "\nPLANTED = 1\n")
        assert hash_of_sources(root) != before, source


def test_every_listed_path_is_one_of_those_parts() -> None:
    assert set(PARTS) == set(module._COMPUTING)


def test_it_sees_names_and_numbers(root: Path) -> None:
    angles = root / "trainables" / "layers" / "angles.py"
    angles.rename(angles.with_name("other.py"))
    renamed = hash_of_sources(root)
    assert renamed != code_hash()
    change(angles.with_name("other.py"), "\nPLANTED = 1\n")
    one = hash_of_sources(root)
    text = angles.with_name("other.py").read_text(encoding="utf-8")
    angles.with_name("other.py").write_text(text.replace("PLANTED = 1", "PLANTED = 2"), encoding="utf-8")
    assert len({renamed, one, hash_of_sources(root)}) == 3


def test_prose_does_not_count(root: Path) -> None:
    for source in sorted((root / "trainables").rglob("*.py")):
        text = source.read_text(encoding="utf-8")
        assert text.startswith('"""'), source
        said_otherwise = re.sub(r'^( *""")(?=\w)', r"\1Said otherwise. ", text, flags=re.MULTILINE)
        source.write_text(f"{said_otherwise}\n\n# a remark\n", encoding="utf-8")
    assert hash_of_sources(root) == code_hash()


@pytest.mark.parametrize(
    "name",
    [
        "worker/attempt.py",
        "worker/watchdog.py",
        "worker/replicate_folder.py",
        "worker/single_worker.py",
        "worker/multi_worker.py",
        "worker/memory_limit.py",
        "worker/peak_memory.py",
        "contract/architectures.py",
        "contract/tasks.py",
        "plugins/files.py",
        "registry.py",
    ],
)
def test_what_only_carries_results_does_not_count(name: str, root: Path) -> None:
    change(root / "trainables" / name, "\nPLANTED = 1\n")
    (root / "trainables" / "layers" / "notes.txt").write_text("", encoding="utf-8")
    assert hash_of_sources(root) == code_hash()


@pytest.mark.parametrize("name", ["batch.py", "layers", "training"])
def test_a_listed_path_that_is_missing_is_an_error(name: str, root: Path) -> None:
    gone = root / "trainables" / name
    gone.rename(root / "elsewhere")
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
