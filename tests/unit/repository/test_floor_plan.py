"""The floor plan: imports go one way, and what is named by its path or stands beside something is there."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests.support.sweeps.guides import ROOT
from trainables import code_hash

PACKAGES = ("search_spaces", "trainables", "cluster", "sweeps", "analysis")


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


def test_no_module_imports_from_a_package_that_holds_it() -> None:
    """The cycles that import-linter does not look for: it compares neighbours."""
    found = set()
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and name.startswith(f"{node.module}."):
                imported = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {f"{name} imports {one}" for one in imported - modules().keys()}
    assert not found


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
