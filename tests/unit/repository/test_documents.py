"""Pages about the code itself: they name what exists, all of it, and the arrows that the imports really have."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from analysis.records.journal import EVENTS
from sweeps.errors import UserError
from sweeps.studies.resolve import load_study
from tests.support.sweeps.guides import GUIDES, ROOT, blocks

PACKAGES = ("search_spaces", "trainables", "cluster", "sweeps", "analysis")
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
GUIDE = GUIDES / "writing_a_study.md"


@cache
def imports() -> dict[str, set[str]]:
    """Return {module path: first words of what it imports, wherever in the module that stands}."""
    found = {}
    for path in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
        found[path.relative_to(ROOT).as_posix()] = names
    return found


def test_the_arrows_are_those_of_the_imports() -> None:
    drawn = set(re.findall(r"^ +(\w+)(?:\[.*?\])? --> (\w+)", PAGE, flags=re.MULTILINE))
    real = {
        (path.partition("/")[0], name)
        for path, names in imports().items()
        for name in names & set(PACKAGES)
        if path.partition("/")[0] != name
    }
    assert drawn == real


@pytest.mark.parametrize("library", ["ray", "mlflow", "torch"])
def test_outside_libraries_are_where_the_page_says(library: str) -> None:
    (row,) = re.findall(rf"^\| `{library}` \| (.+) \|$", PAGE, flags=re.MULTILINE)
    named = set(re.findall(r"`([\w/.]+)`", row))
    real = {path for path, names in imports().items() if library in names}
    outside = {path for path in real if not any(path == name or path.startswith(f"{name}") for name in named)}
    assert not outside
    assert not {name for name in named if not any(path.startswith(name) for path in real)}


def test_every_path_that_the_page_names_exists() -> None:
    named = set(re.findall(rf"\b((?:{'|'.join(PACKAGES)})/[\w/]*(?:\.py)?)", PAGE))
    assert len(named) > 30  # so the pattern still finds them
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_and_folders_in_backticks_exist(page: Path) -> None:
    """Paths of ours from the root, such as `sweeps/cli/`, and whatever else is a Python file in a folder."""
    ours = rf"`((?:{'|'.join(PACKAGES)}|tests|docs)/[\w/.-]*|[\w/.-]+/[\w.-]+\.py)`"
    named = re.findall(ours, page.read_text(encoding="utf-8"))
    assert not {name for name in named if not (ROOT / name).exists()}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_every_package(package: str) -> None:
    section = PAGE.partition(f"### `{package}/`")[2].partition("\n## ")[0].partition("\n### ")[0]
    listed = re.findall(r"^\| `([\w/]+)/` \|", section, flags=re.MULTILINE)
    folders = [
        path.parent.relative_to(ROOT / package).as_posix() for path in (ROOT / package).rglob("*/__init__.py")
    ]
    assert sorted(listed) == sorted(folders)


def test_the_page_explains_every_event_of_the_journal() -> None:
    section = PAGE.partition("## The journal's events")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)) == EVENTS


def test_the_citation_is_whole_and_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format requires
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["authors"] == [{"name": "The phasesweep authors"}]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


def test_contributing_names_targets_and_folders_that_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make ([a-z-]+)`", page))
    assert targets
    assert not {target for target in targets if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)}
    folders = {path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").is_file()}
    assert set(re.findall(r"^\| `(\w+)/` \|", page, flags=re.MULTILINE)) == folders


def test_a_mistake_has_the_message_that_the_guide_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = GUIDE.read_text(encoding="utf-8")
    (study,) = (block.text for block in blocks(GUIDE.name) if block.file == "my_study.yaml")
    (tmp_path / "my_study.yaml").write_text(study.replace("num_oscillators: 4}", "num_osc: 4}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as told:
        load_study("my_study.yaml", "smoke")
    assert f"`phasesweep: {told.value}`" in page
