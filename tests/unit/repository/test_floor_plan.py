"""The floor plan: imports go one way, folders stay small, and what names a file by its path finds it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.support.sweeps.guides import ROOT
from trainables import code_hash

PACKAGES = ("search_spaces", "trainables", "cluster", "sweeps", "analysis")
MOST_MODULES = 15
"""Modules that one folder may hold, beside `__init__.py` and `__main__.py`."""


@cache
def modules() -> dict[str, Path]:
    """Return {dotted name: file} of every module of ours."""
    return modules_below(ROOT)


def modules_below(root: Path) -> dict[str, Path]:
    found = {}
    for path in sorted(file for package in PACKAGES for file in (root / package).rglob("*.py")):
        words = path.relative_to(root).with_suffix("").parts
        found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return found


def imported_by(source: str, names: Mapping[str, object]) -> set[str]:
    """Return which of the modules `names` a source imports, wherever in it: deferred and for typing only, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:  # a module of that package, or something defined in the package itself
                below = f"{node.module}.{alias.name}"
                found.add(below if below in names else node.module)
    return found & set(names)


def cycles(graph: Mapping[str, set[str]]) -> list[frozenset[str]]:
    """Return the sets of modules that can each be reached from all the others of the set (of two or more)."""
    reached = {name: _reached_from(name, graph) for name in graph}
    found = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    return sorted((cycle for cycle in found if cycle), key=sorted)


def _reached_from(name: str, graph: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    ahead = list(graph[name])
    while ahead:
        one = ahead.pop()
        if one not in reached:
            reached.add(one)
            ahead += graph[one]
    return reached


def test_no_modules_import_one_another() -> None:
    graph = {name: imported_by(path.read_text(encoding="utf-8"), modules()) for name, path in modules().items()}
    assert sum(len(names) for names in graph.values()) > 300  # so imports are still found
    found = [sorted(cycle) for cycle in cycles(graph)]
    assert not found, f"modules that import one another: {found}"


def test_cycles_are_found_wherever_the_import_stands() -> None:
    names = dict.fromkeys(["p", "p.a", "p.b", "p.c"])
    sources = {
        "p": "",
        "p.a": "from p import b",
        "p.b": "def f():\n    import p.c",
        "p.c": "if TYPE_CHECKING:\n    from p.a import A",
    }
    graph = {name: imported_by(source, names) for name, source in sources.items()}
    assert graph == {"p": set(), "p.a": {"p.b"}, "p.b": {"p.c"}, "p.c": {"p.a"}}
    assert cycles(graph) == [frozenset({"p.a", "p.b", "p.c"})]
    assert cycles({**graph, "p.c": {"p"}}) == []
    assert cycles({"p": {"p"}}) == [frozenset({"p"})]


def test_folders_stay_small() -> None:
    sizes: dict[str, int] = {}
    for path in modules().values():
        folder = path.parent.relative_to(ROOT).as_posix()
        sizes[folder] = sizes.get(folder, 0) + (path.stem not in {"__init__", "__main__"})
    assert len(sizes) >= len(PACKAGES)
    assert not {k: size for k, size in sizes.items() if size > MOST_MODULES}


def test_unit_tests_stand_where_the_module_they_test_stands() -> None:
    """A file `tests/unit/a/b/test_c.py` tests `a/b/c.py`, or a line of exceptions.txt says what it tests."""
    unit = ROOT / "tests" / "unit"
    lines = (unit / "exceptions.txt").read_text(encoding="utf-8").splitlines()
    excepted = {line.partition(":")[0] for line in lines if not line.startswith("#")}
    elsewhere = set()
    for path in unit.rglob("test_*.py"):
        relative = path.relative_to(unit)
        module = ROOT / relative.with_name(relative.name.removeprefix("test_"))
        if relative.parts[0] != "repository" and not module.exists() and not module.with_suffix("").is_dir():
            elsewhere.add(relative.as_posix())
    assert elsewhere == excepted


@pytest.mark.parametrize("name", code_hash._COMPUTING)
def test_what_the_code_hash_reads_is_there(name: str) -> None:
    path = Path(code_hash.__file__).parent.parent / name
    assert path.exists(), f"the code hash would read nothing of {name}"
    assert path.suffix == ".py" or any(path.rglob("*.py"))


_IMPORT_ALL = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
print(json.dumps({name: importlib.import_module(name).__file__ for name in json.load(sys.stdin)}))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what a wheel is built from."""
    source = tmp_path_factory.mktemp("source")
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    return source


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder into which a wheel of it is unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, text=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "built")
    return folder / "built"


def test_the_wheel_holds_every_module_and_data_file(source: Path, built: Path) -> None:
    """An editable install finds all that the checkout has; only a wheel shows a package that was not declared."""
    wanted = {file.relative_to(source) for name in PACKAGES for file in (source / name).rglob("*.*")}
    assert not {name for name in wanted if not (built / name).is_file()}


@pytest.mark.slow
def test_every_module_of_the_wheel_imports_without_the_checkout(built: Path, tmp_path: Path) -> None:
    names = sorted(name for name in modules() if not name.endswith("__main__"))
    imported = subprocess.run(
        [sys.executable, "-P", "-c", _IMPORT_ALL, str(built)],
        cwd=tmp_path,
        input=json.dumps(names),
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert imported.returncode == 0, imported.stderr
    files = json.loads(imported.stdout)
    assert [Path(files[name]) for name in names] == [built / modules()[name].relative_to(ROOT) for name in names]
