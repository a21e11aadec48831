"""A user's own family from outside the repository: checked, planned, run, edited. Broken ones must not pass."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from analysis.records.journal import read_journal
from sweeps.cli import app as cli
from sweeps.cli.schemas.generate import load_schema
from sweeps.run.driver import prepare
from sweeps.store.journal import JournalWriter
from sweeps.store.reader import JournalReader
from sweeps.tracking.run_records import RunRecords
from tests.support.sweeps import guides
from tests.support.sweeps.guides import ROOT
from tests.support.sweeps.studies import journal_events, phasesweep
from trainables.contract.architectures import CHECKS
from trainables.contract.tasks import CHECKS as TASK_CHECKS

EXAMPLES = ROOT / "docs" / "examples"
FAMILY = (EXAMPLES / "my_family.py").read_text(encoding="utf-8")
TASK = """\
from typing import Literal

from trainables.registry import register_task
from trainables.batch import Batch
from trainables.data.corpora import Corpus
from trainables.tasks.text import LanguageConfig
from trainables.tasks.text.language import LanguageTask


class MyTask(LanguageTask):
    def batch(self, size, generator):
        batch = super().batch(size, generator)
        return Batch(batch.inputs_BT, batch.targets_BT)


@register_task("my_task", version=1)
class MyTaskConfig(LanguageConfig):
    name: Literal["my_task"] = "my_task"
    max_bytes: int = 5000

    def build(self, data_dir):
        return MyTask(self, super().build(data_dir).corpus)
"""
PAST, FUTURE = "(0, 0, span, 0))[:, :-span]", "(0, 0, 0, span))[:, span:]"
BUILD = "    def build_mixer(self, layer: int) -> Mixer:\n"
SMALL = """\
    @classmethod
    def contract_configs(cls) -> list:
        return [cls(d_model=4, num_layers=1, num_heads=1)]

"""
"""One configuration in place of two larger ones."""
VIOLATES = """\
    @property
    def violates(self) -> frozenset[str]:
        return frozenset({names})

"""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Return the command line, called in this process in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("PHASESWEEP_DATA", raising=False)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["phasesweep", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return command


def edited(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_guide_holds_the_example_word_by_word() -> None:
    files = {block.file: block.text for block in guides.blocks("adding_a_family.md") if block.file}
    assert files == {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("my_*")}
    assert set(files) == {"my_family.py", "my_study.yaml"}


def test_the_guide_lists_every_contract() -> None:
    text = (guides.GUIDES / "adding_a_family.md").read_text(encoding="utf-8")
    assert not [name for name in CHECKS if f"| `{name}` |" not in text]


def test_every_verb_about_a_study_takes_plugins() -> None:
    """So that no verb sees a study that another could not."""
    verbs = {command.callback.__name__: command.callback for command in cli.app.registered_commands}
    parameters = {name: inspect.signature(callback).parameters for name, callback in verbs.items()}
    studied = {name for name, found in parameters.items() if {"study", "scale"} & found.keys()}
    assert {"show", "plan", "run", "resume", "status", "results", "ui", "submit"} <= studied
    assert not {name for name in studied | {"families", "compare"} if "plugin" not in parameters[name]}


def test_the_example_meets_every_contract(call: Call, tmp_path: Path) -> None:
    (tmp_path / "my_family.py").write_text(FAMILY, encoding="utf-8")
    code, out, err = call("check", "my_family.py", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    jsonschema.validate(found, load_schema("check"))
    assert found["counts"] == {"passed": 24, "failed": 0, "expected_violation": 0, "not_declared": 2}
    assert {check["contract"] for check in found["checks"]} == {"violations", *CHECKS}
    assert not (tmp_path / "results").exists()


BROKEN = {
    "looks into the future": (
        edited(FAMILY, (PAST, FUTURE)),
        {"causality", "reference"},
        r"not causal: changing token 1 moves the logits at position 0 by",
    ),
    "looks one block ahead": (
        edited(FAMILY, ("self.out(state_BTD))", "self.out(state_BTD + 1e-6 * x_BTD.roll(-64, 1)))")),
        {"causality", "reference"},
        "not causal",
    ),
    "is not its reference": (
        edited(FAMILY, ("decay_D**span", "decay_D**(span + 1)")),
        {"reference"},
        "'blocks.0.mixer' differs from its reference at length 63: output by",
    ),
    "normalises over the batch": (
        edited(FAMILY, ("self.out(state_BTD))", "self.out(state_BTD - state_BTD.mean(0)))")),
        {"batch_independence", "micro_batches", "reference"},
        "a sequence's logits change by",
    ),
    "draws from a global generator": (
        edited(
            FAMILY, ("self.out(state_BTD))", "self.out(state_BTD + 0.1 * torch.rand(torch.seed() % 7 + 1)[0]))")
        ),
        {"causality", "batch_independence", "micro_batches", "repeatability", "reference", "checkpoint"},
        "two builds with one seed give different logits",
    ),
    "has a dead parameter": (
        edited(FAMILY, ("        self.out = Res", "        self.dead = nn.Linear(2, 2)\n        self.out = Res")),
        {"gradients"},
        "parameter 'blocks.0.mixer.dead.weight' gets no gradient",
    ),
    "has a parameter without initialiser": (
        edited(FAMILY, ("self.initializers", "self.initialisers")),
        {*CHECKS} - {"round_trip"},
        "ValueError: parameter 'blocks.0.mixer.decay_logit_D' has no initialiser",
    ),
    "raises": (
        edited(FAMILY, ("span *= 2", "span *= undefined")),
        {*CHECKS} - {"round_trip", "targets"},  # a model that uses no targets is not called for them
        "NameError: name 'undefined' is not defined",
    ),
    "declares a violation that does not show": (
        edited(FAMILY, (BUILD, VIOLATES.format(names=["causality"]) + BUILD)),
        {"causality"},
        "declares that it violates 'causality', but keeps it",
    ),
    "declares an unknown violation": (
        edited(FAMILY, (BUILD, VIOLATES.format(names=["honesty"]) + BUILD)),
        {"violations"},
        r"declares unknown contracts ['honesty']",
    ),
}


@pytest.mark.parametrize(("text", "fails", "says"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_family_does_not_pass(text: str, fails: set[str], says: str, call: Call, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(edited(text, (BUILD, SMALL + BUILD)), encoding="utf-8")
    code, out, err = call("check", "broken.py")
    assert (code, err) == (1, "")
    failed = [line for line in out.splitlines() if line.startswith("  FAILED")]
    assert {line.split()[1].rstrip(":") for line in failed} == fails
    assert any("expected: " in line and f"found: {says}" in line for line in failed), out
    if says.startswith("NameError"):
        line = text[: text.index("undefined")].count("\n") + 1
        assert all(f"({path}:{line})" in text for text in failed)


def test_a_violation_that_is_declared_and_real_is_expected(call: Call, tmp_path: Path) -> None:
    text = edited(FAMILY, (PAST, FUTURE), (BUILD, VIOLATES.format(names=["causality", "reference"]) + BUILD))
    (tmp_path / "declared.py").write_text(text, encoding="utf-8")
    code, out, _ = call("check", "declared.py")
    assert code == 0, out
    expected = [line.split()[2] for line in out.splitlines() if line.startswith("  expected violation")]
    assert expected == ["causality", "reference"] * 2


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (("batch.targets_BT)", "batch.targets_BT)"), set()),
        (("batch.targets_BT)", "batch.inputs_BT)"), {"batches", "echo"}),
        (("super().batch(size, generator)", "super().batch(size, generator.manual_seed(1))"), {"randomness"}),
        (("super().build(data_dir).corpus", "[].corpus"), {"rebuild"}),
    ],
)
def test_a_task_is_checked_by_its_own_contracts(
    change: tuple[str, str], fails: set[str], call: Call, tmp_path: Path
) -> None:
    (tmp_path / "my_task.py").write_text(edited(TASK, change), encoding="utf-8")
    code, out, err = call("check", "my_task.py", "--json")
    assert (code, err) == (1 if fails else 0, "")
    found = json.loads(out)
    jsonschema.validate(found, load_schema("check"))
    assert {check["contract"] for check in found["checks"] if check["outcome"] == "failed"} == fails
    if "rebuild" not in fails:
        assert {check["contract"] for check in found["checks"]} == {"violations", "rebuild", *TASK_CHECKS}


def test_a_plugin_that_a_study_names_is_refused_at_its_line(call: Call, tmp_path: Path) -> None:
    study = (EXAMPLES / "my_study.yaml").read_text(encoding="utf-8")
    (tmp_path / "my_study.yaml").write_text(edited(study, ("my_family.py", "mine.py")), encoding="utf-8")
    for says in ("no such file: ", f"{tmp_path / 'mine.py'}:1: ZeroDivisionError: "):
        code, out, err = call("run", "my_study.yaml", "--scale", "smoke")
        assert (code, out) == (2, "") and len(err.splitlines()) == 1
        assert err.startswith(f"phasesweep: my_study.yaml:4: plugins: {says}")
        (tmp_path / "mine.py").write_text("1 / 0\n", encoding="utf-8")
    assert not (tmp_path / "results").exists()


def test_families_lists_a_plugin_with_its_fields(call: Call, tmp_path: Path) -> None:
    (tmp_path / "my_family.py").write_text(FAMILY, encoding="utf-8")
    code, out, _ = call("families", "--plugin", "my_family.py", "--json")
    assert code == 0
    ema = json.loads(out)["architecture"]["ema"]
    assert ema["meaning"] == "The shared backbone with an exponential moving average in place of attention."
    assert ema["fields"]["decay"]["default"] == 0.8
    (probe,) = ema["probes"]
    assert (probe["name"], probe["unit"], probe["null"]) == ("probe/ema_window", "tokens", None)


def test_a_family_from_outside_has_its_space_its_contract_and_its_probes_in_every_verb(
    call: Call, tmp_path: Path
) -> None:
    """It declares them in its class; nothing of ours lists them."""
    (tmp_path / "my_family.py").write_text(FAMILY, encoding="utf-8")
    shutil.copy(EXAMPLES / "my_study.yaml", tmp_path)
    code, out, err = call("spaces", "ema.search", "--plugin", "my_family.py", "--json")
    assert code == 0, err
    (space,) = json.loads(out)
    assert [(one["name"], one["low"], one["high"]) for one in space["dimensions"]] == [("decay", 0.5, 0.99)]
    code, out, err = call("check", "my_family.py", "--json")
    assert code == 0, err
    assert ("probes", "passed") in {(one["contract"], one["outcome"]) for one in json.loads(out)["checks"]}

    prepared = prepare("my_study.yaml", "smoke", [])
    prepared.folder.prepare(prepared.study.resolved(), prepared.study.plugin_texts)
    sweep = prepared.plan.sweep
    assert sweep.probes is not None and [probe.name for probe in sweep.probes] == ["probe/ema_window"]
    writer = JournalWriter(prepared.folder.journal, "a")
    writer.write_sweep(sweep)
    for replicate in prepared.plan.replicates:
        key = {"config_id": replicate.key[0], "seed": replicate.key[1]}
        writer.write("started", **key, step=0, numerics={}, host="there", pid=1, cap_mib=None)
        metrics = {sweep.primary_metric: 2.0 + 0.1 * key["seed"], "probe/ema_window": 4.0 + key["seed"]}
        writer.write_report(key["config_id"], key["seed"], 9, metrics)
        writer.write("finished", **key, step=9, seconds=1.0, cpu_seconds=1.0, peak_memory_mib=100.0, message="")
    writer.close()
    code, out, err = call("results", "my_study.yaml", "--scale", "smoke", "--metric", "probe/ema_window", "--json")
    assert code == 0, err
    table = json.loads(out)
    assert (table["metric"], table["unit"]) == ("probe/ema_window", "tokens")
    assert {row["arm"]: row["mean"] for row in table["rows"]}["ema"] == pytest.approx(4.5, abs=1.0)
    code, _, err = call("export", "my_study.yaml", "--scale", "smoke", "--to", "all.csv")
    assert code == 0, err
    assert "probe/ema_window" in (tmp_path / "all.csv").read_text(encoding="utf-8").partition("\n")[0]
    records = RunRecords(prepared.experiment, prepared.folder.path / "replicates")
    reader = JournalReader(prepared.folder.journal)
    reader.poll(final=True)
    configurations = records.configurations(reader.view, primary_only=False)
    summarised = {name for one in configurations if one.summary for name in one.summary.metrics}
    assert any("probe/ema_window" in name for name in summarised)


@pytest.mark.ray
@pytest.mark.slow
def test_it_runs_on_workers_and_an_edit_runs_anew(call: Call, tmp_path: Path) -> None:
    for name in ("my_family.py", "my_study.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    study = ["my_study.yaml", "--scale", "smoke"]
    plan = json.loads(call("plan", *study, "--json")[1])
    jsonschema.validate(plan, load_schema("plan"))
    (plugin,) = plan["plugins"]
    assert (plugin["name"], plugin["previous_sha256"]) == ("my_family.py", None)

    done = phasesweep(["run", *study], tmp_path)
    assert done.returncode == 0, done.stderr
    journal = tmp_path / "results" / "my_study" / "smoke" / "journal"
    state = read_journal(journal)
    assert {replicate.status for replicate in state.replicates.values()} == {"finished"}
    assert {key[0] for key in state.replicates} == {one["config_id"] for one in plan["configurations"]}
    kept = tmp_path / "results" / "my_study" / "smoke" / "plugins" / f"{plugin['sha256'][:12]}-my_family.py"
    assert kept.read_text(encoding="utf-8") == FAMILY
    recorded = state.sweep.provenance["plugins"]
    assert recorded == [{key: plugin[key] for key in ("kind", "name", "version", "sha256")}]

    with (tmp_path / "my_family.py").open("a", encoding="utf-8") as file:
        file.write("# a thought\n")
    again = json.loads(call("plan", *study, "--json")[1])
    assert again["plugins"][0]["previous_sha256"] == plugin["sha256"]
    before, after = ids(plan), ids(again)
    assert {arm for arm in before if before[arm] != after[arm]} == {"ema", "ema_slow"}
    told = call("plan", *study)[1]
    assert f"it has changed since the last run (sha256 {plugin['sha256'][:12]}): they run again" in told

    assert phasesweep(["run", *study], tmp_path).returncode == 0
    started = [event["config_id"] for event in journal_events(tmp_path / "results") if event["event"] == "started"]
    assert sorted(started) == sorted(2 * [*before.values(), after["ema"], after["ema_slow"]])


def ids(plan: dict[str, Any]) -> dict[str, str]:
    """Return config_id by arm."""
    return {one["arm"]: one["config_id"] for one in plan["configurations"]}


@pytest.mark.parametrize("new", ["return EmaMixers(", "return EmaMixer(self.widths, "])
def test_what_a_model_of_a_plugin_raises_is_a_mistake_with_its_line(new: str, call: Call, tmp_path: Path) -> None:
    text = edited(FAMILY, ("return EmaMixer(self.d_model, ", new.replace("EmaMixers(", "EmaMixers(self.d_model, ")))
    (tmp_path / "my_family.py").write_text(text, encoding="utf-8")
    (tmp_path / "my_study.yaml").write_text((EXAMPLES / "my_study.yaml").read_text("utf-8"), encoding="utf-8")
    line = next(n for n, each in enumerate(text.splitlines(), start=1) if new in each)
    code, out, err = call("plan", "my_study.yaml", "--scale", "smoke")
    assert (code, out) == (2, "")
    assert re.search(rf"my_family\.py:{line}: (Name|Attribute)Error: .*\(arm 'ema'", err), err
    assert "Traceback" not in err and "phasesweep check FILE" in err
