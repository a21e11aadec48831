"""Verbs that read, and mistakes in a study, need nothing that trains, schedules or tracks: not even installed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sweeps.journals import journal_events
from tests.support.sweeps.verbs import write_results

HEAVY = ("torch", "ray", "mlflow", "transformers", "pandas", "matplotlib", "optuna")

CONFIGURATIONS = "trainables.config.trial"
"""What `plan` needs, and no verb that reads."""
SLOW = ("scipy.stats", CONFIGURATIONS)
"""Takes longer than all the rest."""

RUN_WITHOUT = """
import json, os, sys

HEAVY = {heavy!r}

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ImportError(f"no {{name}} here")

sys.meta_path.insert(0, NotInstalled())
from sweeps.cli.app import main

for folder, arguments in json.load(sys.stdin):
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    os.chdir(folder)
    sys.argv = ["phasesweep", *arguments]
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
    try:
        main()
    except SystemExit as ended:
        loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & set(HEAVY))
        loaded += [name for name in {slow!r} if name in sys.modules]
        with open("ended", "w") as file:
            json.dump([ended.code, loaded], file)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
"""
"""Command lines, each in a fork of a process that has imported the command line alone."""

READING = {
    "help": ["--help"],
    "help of a verb": ["run", "--help"],
    "studies": ["studies"],
    "studies --json": ["studies", "--json"],
    "spaces": ["spaces"],
    "claims": ["claims"],
    "verdicts": ["verdicts"],
    "verdicts of one": ["verdicts", "tiny.yaml"],
    "claims of one": ["claims", "kuramoto_phase_b", "--scale", "gpu"],
    "status": ["status", "tiny.yaml"],
    "results": ["results", "tiny.yaml"],
    "results of the library": ["status", "tiny"],
    "curves": ["curves", "tiny.yaml"],
    "logs": ["logs", "tiny.yaml"],
    "export": ["export", "tiny.yaml", "--to", "tiny.csv"],
    "stop": ["stop", "tiny.yaml"],
    "receipt": ["receipt", "tiny.yaml"],
    "compare": ["compare", "tiny:transformer", ":kuramoto"],
    "gc": ["gc", "tiny.yaml", "--dry-run"],
    "diagnose": ["diagnose", "--positions", "200"],
    "schema": ["schema", "status"],
    "lint": ["lint", str(Path(__file__).parents[4] / "README.md")],
}

MISTAKES = {
    "field of an architecture": (["plan", "quickstart"], "architecture.d_modl=64", "did you mean 'd_model'"),
    "heads": (["run", "quickstart"], "architecture.num_heads=3", "must divide d_model"),
    "field of a task": (["estimate", "tpi_recall"], "task.num_pears=4", "did you mean 'num_pairs'"),
    "value of a task": (["resume", "resonant_needle"], "task.top_k=1000000", "must be at most vocab_size"),
}
"""A verb and its study, `--set`, and what the message says."""

EVERY_STUDY = """
import sys
from sweeps.studies.catalogue import library
from sweeps.studies.resolve import load_study
for name in library():
    load_study(name, "smoke")
print("torch" in sys.modules)
"""


@dataclass(frozen=True)
class Ended:
    """How a command line ended, where nothing heavy is installed."""

    code: int
    out: str
    err: str
    loaded: list[str]
    """What it has imported and should not have."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Call all command lines, each in a folder of its own with results of the study `tiny`."""
    settings = {
        name: [*verb, "--scale", "smoke", "--set", setting] for name, (verb, setting, _) in MISTAKES.items()
    }
    calls = {**READING, **settings}
    root = tmp_path_factory.mktemp("reading")
    for name in calls:
        (root / name).mkdir()
        write_results(root / name, journal_events({"transformer": 2.5, "kuramoto": 2.4}, seeds=range(3)))
    given = json.dumps([(str(root / name), arguments) for name, arguments in calls.items()])
    done = _without_what_trains(RUN_WITHOUT.format(heavy=HEAVY, slow=SLOW), root, given)
    assert (done.returncode, done.stderr) == (0, "")
    found = {}
    for name in calls:
        code, loaded = json.loads((root / name / "ended").read_text(encoding="utf-8"))
        out, err = ((root / name / stream).read_text(encoding="utf-8") for stream in ("out", "err"))
        found[name] = Ended(code, out, err, loaded)
    return found


@pytest.mark.parametrize("name", READING)
def test_it_reads_without_what_trains(name: str, ended: dict[str, Ended]) -> None:
    found = ended[name]
    assert (found.code or 0, found.err, found.loaded) == (0, "", [])
    assert found.out


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_field_is_found_without_what_trains(name: str, ended: dict[str, Ended]) -> None:
    found, (_, setting, says) = ended[name], MISTAKES[name]
    assert (found.code, found.out, {*found.loaded} - {CONFIGURATIONS}) == (2, "", set())
    assert f"--set {setting.partition('=')[0]}" in found.err
    assert says in found.err


def test_every_study_is_resolved_without_pytorch(tmp_path: Path) -> None:
    done = _without_what_trains(EVERY_STUDY, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def _without_what_trains(code: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "PHASESWEEP_RESULTS": "results",
        },
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_study_is_not_resolved_so_that_its_mistakes_do_not_hide_its_results(tmp_path: Path) -> None:
    from sweeps.cli.stored_sweep import load_results

    write_results(tmp_path, journal_events({"transformer": 2.5}, seeds=range(3)))
    file = tmp_path / "tiny.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "\nplugins: [gone.py]\nunknown: 1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
        assert load_results(str(file), "laptop", []).sweep.study == "tiny"
