"""What travels to a cluster, with `submit` and with plain `ray job submit --working-dir .`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ray._private import ray_constants
from ray._private.runtime_env.packaging import create_package

from sweeps.errors import UserError
from sweeps.jobs.package import MAX_UPLOAD_BYTES, pack
from tests.support.sweeps.guides import ROOT
from tests.support.sweeps.studies import write_study
from trainables.registry import LIBRARY


def test_it_holds_the_packages_and_the_users_files_and_nothing_else(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    plugins = [tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py"]
    for plugin in plugins:
        plugin.parent.mkdir()
        plugin.write_text("", encoding="utf-8")
    package = pack(str(study), plugins)
    assert package.study == "brought/tiny.yaml"
    assert package.plugins == ("brought/plugin_0/mine.py", "brought/plugin_1/mine.py")
    folder = tmp_path / "job"
    package.write(folder)
    assert {path.name for path in folder.iterdir()} - {*LIBRARY, "brought"} == {
        name.partition("/")[0] for name in package.texts
    }
    assert not list(folder.rglob("__pycache__"))
    for name in LIBRARY:
        sources = {path.relative_to(ROOT) for path in (ROOT / name).rglob("*.*") if path.suffix != ".pyc"}
        assert {path.relative_to(folder) for path in (folder / name).rglob("*.*")} == sources
    assert (folder / package.study).read_text(encoding="utf-8") == study.read_text(encoding="utf-8")


def test_a_library_study_needs_no_file(tmp_path: Path) -> None:
    package = pack("quickstart", [])
    assert package.study == "quickstart"
    assert not any(name.startswith("brought") for name in package.files)
    assert "sweeps/studies/library/quickstart.yaml" in package.files


def test_what_was_sent_runs_by_itself(tmp_path: Path) -> None:
    """With `-S` no installed phasesweep can help; the version comes with the package."""
    pack("quickstart", []).write(tmp_path)
    code = (
        "import sweeps, sys; from importlib.metadata import version\nprint(sweeps.__file__, version('phasesweep'))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    where, number = done.stdout.split()
    assert Path(where) == tmp_path / "sweeps" / "__init__.py"
    assert number[0].isdigit()


def test_a_checkouts_egg_info_tells_the_version_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install -e` leaves one where `python -m` looks first; it has PKG-INFO and no METADATA."""
    (tmp_path / "phasesweep.egg-info").mkdir()
    (tmp_path / "phasesweep.egg-info" / "PKG-INFO").write_text("Name: phasesweep\nVersion: 9.8.7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert pack("quickstart", []).texts == {
        "phasesweep-9.8.7.dist-info/METADATA": "Name: phasesweep\nVersion: 9.8.7\n"
    }


def test_the_size_is_that_of_rays_archive(tmp_path: Path) -> None:
    package = pack("quickstart", [])
    package.write(tmp_path / "job")
    archive = tmp_path / "job.zip"
    create_package(str(tmp_path / "job"), archive, include_gitignore=True)
    assert archive.stat().st_size == package.upload_bytes


def test_too_large_is_refused_with_the_largest_files(tmp_path: Path) -> None:
    assert MAX_UPLOAD_BYTES == ray_constants.DASHBOARD_CLIENT_MAX_SIZE
    heavy = tmp_path / "heavy.py"
    heavy.touch()
    os.truncate(heavy, MAX_UPLOAD_BYTES)
    pack("quickstart", []).check_size()
    with pytest.raises(UserError) as refused:
        pack("quickstart", [heavy]).check_size()
    lines = str(refused.value).splitlines()
    assert "Ray takes 100" in lines[0]
    assert lines[1].split() == ["100.0", "MiB", str(heavy)]
    assert "PHASESWEEP_DATA" in lines[-1]


def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--plugin nowhere\.py: no such file"):
        pack("quickstart", [Path("nowhere.py")])


@pytest.mark.parametrize("reads_gitignore", [True, False])
def test_plain_ray_leaves_environment_results_data_and_history_behind(
    reads_gitignore: bool, tmp_path: Path
) -> None:
    """Ray's own packaging of a checkout, without and with RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1."""
    checkout = tmp_path / "checkout"
    stays = [
        ".git/objects/pack/big",
        ".venv/lib/python3.11/site-packages/torch/lib.so",
        "results/mlflow.db",
        "data/enwik8",
        ".mypy_cache/3.11/cache.db",
        ".ruff_cache/x",
        ".pytest_cache/x",
        ".import_linter_cache/x",
        ".hypothesis/examples/x",
        "phasesweep.egg-info/PKG-INFO",
        "sweeps/__pycache__/cli.cpython-311.pyc",
    ]
    goes = ["sweeps/cli/app.py", "sweeps/studies/library/quickstart.yaml", "trainables/data/x.py", "my_study.yaml"]
    for name in (*stays, *goes):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    for name in (".gitignore", ".rayignore"):
        shutil.copy(ROOT / name, checkout / name)
    archive = tmp_path / "job.zip"
    excludes = ray_constants.get_runtime_env_default_excludes()
    create_package(str(checkout), archive, include_gitignore=reads_gitignore, excludes=excludes)
    packed = {name for name in zipfile.ZipFile(archive).namelist() if not name.endswith("/")}
    assert packed == {*goes, ".gitignore", ".rayignore"}
