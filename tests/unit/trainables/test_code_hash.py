"""The hash of what computes: it sees every computing source, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import trainables
from trainables.code_hash import code_hash, hash_of_sources


def test_it_sees_every_source_that_computes_committed_or_not(tmp_path: Path) -> None:
    package = shutil.copytree(Path(trainables.__file__).parent, tmp_path / "trainables")
    seen = {hash_of_sources(package)}
    assert seen == {code_hash()}
    for name in ("config.py", "layers/kuramoto.py", "training/loop.py", "tasks/language.py"):
        with (package / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        seen.add(hash_of_sources(package))
    (package / "architectures" / "kuramoto.py").rename(package / "architectures" / "other.py")
    assert len(seen | {hash_of_sources(package)}) == 6


def test_what_only_carries_results_does_not_count(tmp_path: Path) -> None:
    package = shutil.copytree(Path(trainables.__file__).parent, tmp_path / "trainables")
    (package / "watchdog.py").unlink()
    (package / "layers" / "notes.txt").write_text("", encoding="utf-8")
    assert hash_of_sources(package) == code_hash()
