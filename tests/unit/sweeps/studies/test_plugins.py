"""Plugins: loaded from a text once, told apart by their hash, refused with a reason, never mixed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from sweeps.errors import UserError
from sweeps.jobs.package import pack
from sweeps.studies.plugins import use
from tests.support.models.configs import small_assignment, small_config
from tests.support.sweeps.guides import ROOT
from trainables.config.trial import TrialConfig, config_id
from trainables.plugins.files import activate, origin_of, read_plugin, registered_by
from trainables.plugins.rules import PluginError
from trainables.registry import ARCHITECTURES, REGISTRIES, Plugin
from trainables.worker.attempt import Attempt

EXAMPLE = (ROOT / "docs" / "examples" / "my_family.py").read_text(encoding="utf-8")
TINY = """\
from typing import Literal

from trainables.architectures.gpt import BackboneConfig
from trainables.registry import register_architecture


@register_architecture("{name}", version=1)
class Mine(BackboneConfig):
    name: Literal["{name}"] = "{name}"
    size: int = {size}
"""


def load(path: Path, text: str) -> Plugin:
    path.write_text(text, encoding="utf-8")
    return activate(read_plugin(path))


def trial(name: str) -> TrialConfig:
    return small_config(architecture={"name": name})


def test_a_file_registers_its_names_and_its_classes_know_where_they_come_from(tmp_path: Path) -> None:
    plugin = load(tmp_path / "mine.py", EXAMPLE)
    assert [(registry.kind, name) for registry, name in registered_by(plugin)] == [("architecture", "ema")]
    assert trial("ema").plugins == {"architecture": plugin}
    assert trial("transformer").plugins == {}
    # Docstrings under fields are read from the source that was shipped.
    assert "keeps from one position" in ARCHITECTURES.get("ema").model_fields["decay"].description


def test_the_hash_of_the_code_is_part_of_the_config_id_and_only_where_the_code_is(tmp_path: Path) -> None:
    canonical = trial("transformer").canonical()
    assert not {key for key in canonical if "plugin" in key}
    control = config_id(trial("transformer"), "data")
    path = tmp_path / "mine.py"
    load(path, EXAMPLE)
    first = config_id(trial("ema"), "data")
    load(path, EXAMPLE + "\n# edited")
    assert config_id(trial("ema"), "data") != first
    assert config_id(trial("transformer"), "data") == control
    load(path, EXAMPLE)
    assert config_id(trial("ema"), "data") == first


def test_a_worker_holds_the_version_in_force_and_no_earlier_one(tmp_path: Path) -> None:
    """An actor that is reused for weeks would hold a module for every edit."""
    versions = [load(tmp_path / "mine.py", f"{EXAMPLE}\n# edit {number}") for number in range(3)]
    config = trial("ema").model_dump(mode="json")
    for plugin in (*versions, versions[0]):
        given = small_assignment(tmp_path, config=config, plugins=[dataclasses.asdict(plugin)])
        assert given.read_config().plugins == {"architecture": plugin}
        assert {v.module_name for v in versions} & sys.modules.keys() == {plugin.module_name}


def test_the_same_text_in_another_place_is_the_same_configuration(tmp_path: Path) -> None:
    first = load(tmp_path / "mine.py", EXAMPLE)
    (tmp_path / "copy").mkdir()
    assert load(tmp_path / "copy" / "mine.py", EXAMPLE) == first
    before = config_id(trial("ema"), "data")
    for registry in REGISTRIES:
        registry.restore({name: r for name, r in registry.registrations().items() if name != "ema"})
    load(tmp_path / "renamed.py", EXAMPLE)
    assert config_id(trial("ema"), "data") == before


def test_two_files_that_want_one_name_are_refused(tmp_path: Path) -> None:
    load(tmp_path / "mine.py", MINE)
    with pytest.raises(PluginError, match=r"yours\.py:7: .* 'mine' is already registered by Mine in .*mine\.py"):
        load(tmp_path / "yours.py", MINE + "# another file")


def test_two_files_of_one_name_cannot_be_used_together(tmp_path: Path) -> None:
    paths = [tmp_path / "mine.py", tmp_path / "other" / "mine.py"]
    paths[1].parent.mkdir()
    for number, path in enumerate(paths):
        path.write_text(TINY.format(name=f"mine_{number}", size=1), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"--plugin .*other/mine\.py: another file of that name is in use, .*rename"
    ):
        use(map(str, paths))
    use([])


def test_code_runs_once_a_process_and_two_versions_do_not_mix(tmp_path: Path) -> None:
    path, runs = tmp_path / "mine.py", tmp_path / "runs"
    counting = f"with open({str(runs)!r}, 'a') as file:\n    file.write('x')\n"
    old = load(path, counting + TINY.format(name="mine", size=1))
    made_before = ARCHITECTURES.parse({"name": "mine"})
    new = load(path, counting + TINY.format(name="mine", size=2))
    assert ARCHITECTURES.parse({"name": "mine"}).size == 2
    assert made_before.size == 1
    assert (origin_of(type(made_before)), origin_of(ARCHITECTURES.get("mine"))) == (old, new)
    for plugin, size in ((old, 1), (new, 2), (new, 2)):
        activate(plugin)
        assert ARCHITECTURES.parse({"name": "mine"}).size == size
    assert runs.read_text() == "xx"


def test_a_name_that_a_new_version_drops_is_gone(tmp_path: Path) -> None:
    load(tmp_path / "mine.py", TINY.format(name="first", size=1))
    load(tmp_path / "mine.py", TINY.format(name="second", size=1))
    with pytest.raises(ValueError, match="unknown architecture 'first'"):
        ARCHITECTURES.get("first")


def test_a_worker_needs_no_file(tmp_path: Path) -> None:
    """An assignment goes as JSON to a process that has never seen the file; it is gone there."""
    path = tmp_path / "mine.py"
    plugin = load(path, EXAMPLE)
    given = small_assignment(
        tmp_path,
        config=trial("ema").model_dump(mode="json"),
        plugins=[dataclasses.asdict(plugin)],
    )
    path.unlink()
    program = (
        "import sys; from trainables.worker.assignment import Assignment;"
        "config = Assignment.from_json(sys.stdin.read()).read_config();"
        "print(config.architecture.decay, config.plugins['architecture'].sha256)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=given.to_json(), capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["0.8", plugin.sha256], done.stderr


def test_a_failure_in_a_plugin_is_logged_with_its_lines(tmp_path: Path) -> None:
    """The lines are those that ran, whatever lies at that path now."""
    path = tmp_path / "mine.py"
    text = EXAMPLE.replace("span *= 2", "span *= undefined_factor")
    line = text[: text.index("undefined_factor")].count("\n") + 1
    plugin = load(path, text)
    path.write_text("something else\n" * 50, encoding="utf-8")
    given = small_assignment(
        tmp_path, config=trial("ema").model_dump(mode="json"), plugins=[dataclasses.asdict(plugin)]
    )
    events = list(Attempt(given).events())
    assert events[-1]["outcome"] == "crashed"
    assert "name 'undefined_factor' is not defined" in events[-1]["message"]
    log = (tmp_path / "seed=0" / "log.txt").read_text()
    assert f'File "{path}", line {line}, in forward' in log
    assert "span *= undefined_factor" in log


def test_the_traceback_of_an_edited_file_is_of_the_code_that_ran(tmp_path: Path) -> None:
    load(
        tmp_path / "mine.py",
        TINY.format(name="mine", size=1) + "    def crash(self):\n        assert self.size == 7\n",
    )
    (tmp_path / "mine.py").write_text("")
    try:
        ARCHITECTURES.parse({"name": "mine"}).crash()
    except AssertionError as error:
        assert "assert self.size == 7" in "".join(traceback.format_exception(error))


def test_printing_at_import_leaves_standard_output_to_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(tmp_path / "mine.py", "print('hello')\n" + TINY.format(name="mine", size=1))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


MINE = TINY.format(name="mine", size=1)
CLASS = "class Mine(BackboneConfig):"
REFUSED = {
    "syntax error": (MINE.replace("class Mine(", "class Mine(("), r"mine\.py:\d+: SyntaxError: .*"),
    "return outside a function": ("x = 1\nreturn x\n", r"mine\.py:2: SyntaxError: 'return' outside function"),
    "null byte": ("x = '\0'\n", r"mine\.py.*null bytes"),
    "import error": (
        "\nimport no_such_module_at_all\n",
        r"mine\.py:2: ModuleNotFoundError: .*no_such_module_at_all",
    ),
    "failure in a function": (
        "def f():\n    return 1 / 0\n\nf()\n",
        r"mine\.py:2: ZeroDivisionError: division by zero$",
    ),
    "exit": ("import sys\nsys.exit(3)\n", r"mine\.py:2: SystemExit: 3$"),
    "name of the library": (
        TINY.format(name="kuramoto", size=1),
        r"mine\.py:7: ValueError: architecture 'kuramoto' is already registered by KuramotoConfig in .*/kuramoto",
    ),
    "library's class name too": (
        TINY.format(name="transformer", size=1).replace("Mine", "TransformerConfig"),
        r"architecture 'transformer' is already registered",
    ),
    "nothing": ("x = 1\n", r"mine\.py registers nothing; decorate a configuration class with @register_arch"),
    "no configuration": (
        MINE.replace(CLASS, "class Mine:"),
        r"mine\.py:7: Mine is registered as architecture 'mine', but is no ArchitectureConfig: subclass it",
    ),
    "function": (
        MINE.split("class")[0] + "def mine(): ...\n",
        r"mine\.py:7: mine is registered as architecture 'mine', but is no ArchitectureConfig",
    ),
    "other kind": (
        MINE.replace("register_architecture", "register_task"),
        r"mine\.py:7: Mine is registered as task 'mine', but is no TaskConfig",
    ),
    "no build": (
        MINE.replace("gpt", "base").replace("BackboneConfig", "ArchitectureConfig"),
        r"mine\.py:7: Mine is registered as architecture 'mine', but has to define build first",
    ),
    "other name": (
        MINE.replace('Literal["mine"] = "mine"', 'Literal["yours"] = "yours"'),
        r"mine\.py:7: Mine .* 'mine', so it needs the field name: Literal\['mine'\] = 'mine'",
    ),
    "no name": (
        MINE.replace('    name: Literal["mine"] = "mine"\n', ""),
        r"so it needs the field name",
    ),
    "no version": (MINE.replace("version=1", 'version="1"'), r"with version='1': give a positive integer"),
    "somebody else's class": (
        "from tests.unit.sweeps.studies.test_plugins import Theirs\n"
        "from trainables.registry import register_architecture\n"
        'register_architecture("theirs", version=1)(Theirs)\n',
        r"Theirs is registered as architecture 'theirs', but belongs to 'tests\.unit\..*\.test_plugins'",
    ),
    "relative import": ("from . import helpers\n", r"mine\.py:1: a relative import; a plugin is one file, or an"),
    "sibling": ("\nimport helpers.deep\n", r"mine\.py:2: imports 'helpers', which lies beside it; a plugin is one"),
    "sibling in a function": (
        "def f():\n    from helpers import x\n",
        r"mine\.py:2: imports 'helpers', which lies beside it",
    ),
    "sibling folder": ("import parts\n", r"mine\.py:1: imports 'parts', which lies beside it"),
    "sibling namespace": (
        "from loose.deep.part import x\n",
        r"mine\.py:1: imports 'loose', which lies beside it; a plugin is one file, or an installed package",
    ),
}


class Theirs(ARCHITECTURES.get("transformer")):  # type: ignore[misc]
    """A class that no plugin file defines."""


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_with_a_reason_and_leaves_nothing_behind(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "helpers.py").write_text("x = 1\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "loose" / "deep").mkdir(parents=True)
    (tmp_path / "loose" / "deep" / "part.py").write_text("x = 1\n")
    before, modules = [registry.registrations() for registry in REGISTRIES], set(sys.modules)
    with pytest.raises(PluginError, match=says):
        load(tmp_path / "mine.py", text)
    assert [registry.registrations() for registry in REGISTRIES] == before
    assert not [name for name in set(sys.modules) - modules if "plugin" in name]


def test_a_broken_edit_leaves_the_version_before_it(tmp_path: Path) -> None:
    load(tmp_path / "mine.py", MINE)
    with pytest.raises(PluginError):
        load(tmp_path / "mine.py", MINE + "1 / 0\n")
    assert ARCHITECTURES.parse({"name": "mine"}).size == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.py", "no such file: .*nowhere.py"),
        ("folder", "folder is a folder; a plugin is one file"),
        ("notes.txt", r"notes\.txt is not a Python file"),
        ("bytes.py", r"bytes\.py is not Python|SyntaxError"),
    ],
)
def test_what_is_no_python_file_is_refused(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(PluginError, match=says):
        read_plugin(tmp_path / name)


def test_the_library_and_the_standard_library_may_lie_beside_a_plugin(tmp_path: Path) -> None:
    for name in ("trainables", "random"):
        (tmp_path / f"{name}.py").write_text("1 / 0\n")
    load(tmp_path / "mine.py", "import random\n" + MINE)


def test_a_namespace_beside_a_plugin_is_refused_where_python_would_find_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `python -m` does, which puts the working folder on the path."""
    (tmp_path / "loose").mkdir()
    (tmp_path / "loose" / "part.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"mine\.py:1: imports 'loose', which lies beside it"):
        load(tmp_path / "mine.py", "from loose import part\n" + MINE)


def test_a_folder_that_only_shares_its_name_with_an_installed_package_may_lie_beside_a_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `wandb/` and `mlruns/` do, which tools make wherever they are started."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "notes.txt").write_text("no module")
    monkeypatch.syspath_prepend(tmp_path)
    load(tmp_path / "mine.py", "import numpy\n" + MINE)


def test_a_job_takes_along_what_the_study_names(tmp_path: Path) -> None:
    study = tmp_path / "tiny.yaml"
    (tmp_path / "parts").mkdir()
    for path in (study, tmp_path / "mine.py", tmp_path / "parts" / "more.py"):
        path.write_text("", encoding="utf-8")
    files = pack(str(study), [], ["mine.py", "./parts/more.py"]).files
    assert files["brought/mine.py"] == tmp_path / "mine.py"
    assert files["brought/parts/more.py"].samefile(tmp_path / "parts" / "more.py")
    for outside in ("../mine.py", str(tmp_path / "mine.py")):
        with pytest.raises(UserError, match=r"mine\.py can be sent only if it lies beside the study, or below"):
            pack(str(study), [], [outside])


def test_a_plugin_survives_json(tmp_path: Path) -> None:
    plugin = load(tmp_path / "mine.py", MINE)
    assert Plugin(**json.loads(json.dumps(dataclasses.asdict(plugin)))) == plugin
