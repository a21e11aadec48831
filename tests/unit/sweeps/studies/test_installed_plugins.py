"""Plugins and studies that are installed packages: found by name, loaded late, the same on every machine."""

from __future__ import annotations

import dataclasses
import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from sweeps.cli.check import check
from sweeps.console import Output
from sweeps.errors import UserError
from sweeps.studies import catalogue as studies
from sweeps.studies.catalogue import find
from tests.unit.sweeps.studies.test_plugins import MINE, trial
from trainables.plugins import packages as plugin_packages
from trainables.plugins.files import activate
from trainables.plugins.rules import PluginError
from trainables.registry import ARCHITECTURES, REGISTRIES


def install(folder: Path, package: str, module: str, text: str, *, points: str) -> None:
    """Put a distribution on disk as an installer would."""
    (folder / module).mkdir(parents=True)
    (folder / module / "__init__.py").write_text(text, encoding="utf-8")
    info = folder / f"{package.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(points)


def forget_installed() -> None:
    """Forget what was found, as a fresh process would."""
    importlib.invalidate_caches()
    for cached in (
        plugin_packages.load_installed,
        plugin_packages._announced,
        plugin_packages._describe,
        plugin_packages._load,
        studies.installed_studies,
    ):
        cached.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which packages can be installed."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    modules, before = set(sys.modules), [registry.registrations() for registry in REGISTRIES]
    forget_installed()
    yield tmp_path / "site"
    forget_installed()
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.restore(entries)
    for name in set(sys.modules) - modules:
        if name.startswith("their_"):
            del sys.modules[name]


PLUGIN_POINT = "[phasesweep.plugins]\nany = {module}\n"


def test_an_installed_package_is_loaded_when_its_name_is_asked_for(site: Path) -> None:
    install(site, "their-waves", "their_waves", MINE, points=PLUGIN_POINT.format(module="their_waves"))
    assert "mine" not in ARCHITECTURES.names()
    assert "their_waves" not in sys.modules
    config = trial("mine")
    (plugin,) = config.plugins.values()
    assert plugin.describe() == {
        "kind": "package",
        "name": "their-waves",
        "version": "1.2",
        "sha256": plugin.sha256,
    }
    assert config.canonical()["architecture_plugin"] == plugin.sha256
    assert plugin.source == ""
    activate(plugin)


def test_a_worker_refuses_a_package_that_is_not_the_drivers(site: Path) -> None:
    install(site, "their-waves", "their_waves", MINE, points=PLUGIN_POINT.format(module="their_waves"))
    (plugin,) = trial("mine").plugins.values()
    (site / "their_waves" / "more.py").write_text("x = 1\n")
    forget_installed()
    with pytest.raises(PluginError, match=r"has their-waves 1\.2 \(sha256 .*the driver has .*install the same"):
        activate(plugin)
    with pytest.raises(PluginError, match=r"package 'gone' is not installed on .*: install it on every machine"):
        activate(dataclasses.replace(plugin, name="gone", location="their_gone"))


def hash_of_waves() -> str:
    forget_installed()
    plugin = plugin_packages.package_of("their_waves")
    assert plugin is not None
    return plugin.sha256


def test_the_hash_covers_data_and_names_but_nothing_that_python_makes(site: Path) -> None:
    install(site, "their-waves", "their_waves", MINE, points=PLUGIN_POINT.format(module="their_waves"))
    data = site / "their_waves" / "tables" / "weights.bin"
    data.parent.mkdir()
    hashes = [hash_of_waves()]
    for content in (b"\x00\x01", b"\x00\x02"):
        data.write_bytes(content)
        hashes.append(hash_of_waves())
    data.rename(data.with_name("other.bin"))
    hashes.append(hash_of_waves())
    assert len(set(hashes)) == 4
    cache = site / "their_waves" / "__pycache__"
    cache.mkdir()
    (cache / "__init__.cpython-311.pyc").write_bytes(b"compiled")
    (cache / "notes").write_bytes(b"anything")
    (site / "their_waves" / "old.pyc").write_bytes(b"compiled")
    assert hash_of_waves() == hashes[-1]


def test_a_broken_package_is_named_when_a_name_is_missing_and_never_else(site: Path) -> None:
    install(site, "their-waves", "their_waves", MINE, points=PLUGIN_POINT.format(module="their_waves"))
    install(site, "broken-thing", "their_broken", "1 / 0\n", points=PLUGIN_POINT.format(module="their_broken"))
    assert trial("mine").architecture.name == "mine"
    says = (
        r"did you mean 'mine'\?; installed package 'broken-thing': entry point 'any = their_broken' of the group "
        r"phasesweep\.plugins cannot be loaded: ZeroDivisionError: division by zero; fix or uninstall the package"
    )
    with pytest.raises(ValidationError, match=says):
        trial("mime")


def test_installed_studies_are_found_by_name(site: Path, tmp_path: Path) -> None:
    points = "[phasesweep.studies]\nany = their_studies\n"
    install(site, "their-studies", "their_studies", "", points=points)
    (site / "their_studies" / "deep_waves.yaml").write_text("study: deep_waves\n")
    assert find("deep_waves") == site / "their_studies" / "deep_waves.yaml"
    with pytest.raises(UserError, match="unknown study 'deep_wave'; did you mean 'deep_waves'"):
        find("deep_wave")
    install(site, "more-studies", "their_more", "", points=points.replace("their_studies", "their_more"))
    (site / "their_more" / "deep_waves.yaml").write_text("study: deep_waves\n")
    forget_installed()
    with pytest.raises(
        UserError, match=r"study 'deep_waves' is in more-studies \(.* and their-studies \(.*give the"
    ):
        find("deep_waves")
    install(site, "empty", "their_empty", "", points=points.replace("their_studies", "their_empty"))
    forget_installed()
    with pytest.raises(UserError, match=r"installed package 'empty': entry point .* no package of that name holds"):
        find("deep_waves")


def test_an_installed_package_is_checked_by_its_name(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = (
        "    @classmethod\n"
        "    def contract_configs(cls):\n"
        "        return [cls(d_model=4, num_layers=1, num_heads=1)]\n"
    )
    install(site, "their-waves", "their_waves", MINE + small, points=PLUGIN_POINT.format(module="their_waves"))
    install(site, "broken-thing", "their_broken", "1 / 0\n", points=PLUGIN_POINT.format(module="their_broken"))
    console = Console(file=io.StringIO(), width=200)
    assert check(Output(console), "their-waves", []) == 0
    said = console.file.getvalue()
    assert "architecture mine" in said and "their-waves 1.2 (sha256" in said
    with pytest.raises(
        UserError, match=r"check: installed package 'broken-thing': entry point .*ZeroDivisionError"
    ):
        check(Output(console), "broken-thing", [])
    with pytest.raises(UserError, match="'their-wave' is no file, and no installed package: did you mean 'their-w"):
        check(Output(console), "their-wave", [])
