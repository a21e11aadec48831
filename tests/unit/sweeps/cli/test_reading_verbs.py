"""Verbs that read work without what trains, schedules and tracks: not even where PyTorch is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.journals import journal_events
from tests.verbs import write_results

HEAVY = ("torch", "ray", "mlflow", "transformers", "pandas", "matplotlib", "optuna")

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
    loaded += [name for name in ("scipy.stats",) if name in sys.modules]  # takes longer than all the rest
    assert not loaded, f"imported {{loaded}}"
"""

READING = {
    "help": ["--help"],
    "help of a verb": ["run", "--help"],
    "studies": ["studies"],
    "studies --json": ["studies", "--json"],
    "spaces": ["spaces"],
    "claims": ["claims"],
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
    "schema": ["schema", "status"],
}


@pytest.mark.parametrize("arguments", READING.values(), ids=READING)
def test_it_reads_without_what_trains(tmp_path: Path, arguments: list[str]) -> None:
    write_results(tmp_path, journal_events({"transformer": 2.5, "kuramoto": 2.4}, seeds=range(3)))
    done = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT.format(heavy=HEAVY), *arguments],
        cwd=tmp_path,
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
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_study_is_not_resolved_so_that_its_mistakes_do_not_hide_its_results(tmp_path: Path) -> None:
    from sweeps.cli.stored_sweep import load_results

    write_results(tmp_path, journal_events({"transformer": 2.5}, seeds=range(3)))
    file = tmp_path / "tiny.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "\nplugins: [gone.py]\nunknown: 1\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
        assert load_results(str(file), "laptop", []).sweep.study == "tiny"
