"""Verbs that read, and mistakes in a study, need nothing that trains, schedules or tracks: not even installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.journals import journal_events
from tests.verbs import write_results

HEAVY = ("torch", "ray", "mlflow", "transformers", "pandas", "matplotlib", "optuna")

SLOW = ("scipy.stats",)
CONFIGURATIONS = "trainables.config.trial"
"""What `plan` needs, and no verb that reads."""

RUN_WITHOUT = """
import sys

HEAVY = {heavy!r}

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ImportError(f"no {{name}} here")

sys.meta_path.insert(0, NotInstalled())
from sweeps.cli.app import main
try:
    main()
finally:
    loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & set(HEAVY))
    loaded += [name for name in {slow!r} if name in sys.modules]  # takes longer than all the rest
    assert not loaded, f"imported {{loaded}}"
"""

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


@pytest.mark.parametrize("arguments", READING.values(), ids=READING)
def test_it_reads_without_what_trains(tmp_path: Path, arguments: list[str]) -> None:
    write_results(tmp_path, journal_events({"transformer": 2.5, "kuramoto": 2.4}, seeds=range(3)))
    done = _without_what_trains(RUN_WITHOUT, tmp_path, *arguments, slow=(*SLOW, CONFIGURATIONS))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize(("arguments", "setting", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_field_is_found_without_what_trains(
    tmp_path: Path, arguments: list[str], setting: str, says: str
) -> None:
    done = _without_what_trains(RUN_WITHOUT, tmp_path, *arguments, "--scale", "smoke", "--set", setting)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--set {setting.partition('=')[0]}" in done.stderr
    assert says in done.stderr


def test_every_study_is_resolved_without_pytorch(tmp_path: Path) -> None:
    done = _without_what_trains(EVERY_STUDY, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")


def _without_what_trains(
    code: str, folder: Path, *arguments: str, slow: tuple[str, ...] = SLOW
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code.format(heavy=HEAVY, slow=slow), *arguments],
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "PHASESWEEP_RESULTS": "results",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_study_is_not_resolved_so_that_its_mistakes_do_not_hide_its_results(tmp_path: Path) -> None:
    from sweeps.cli.stored_sweep import load_results

    write_results(tmp_path, journal_events({"transformer": 2.5}, seeds=range(3)))
    file = tmp_path / "tiny.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "\nplugins: [gone.py]\nunknown: 1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
        assert load_results(str(file), "laptop", []).sweep.study == "tiny"
