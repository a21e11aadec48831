"""The command line as a whole: its help, mistakes in how it is called, Ctrl-C at any time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import __main__ as entry
from sweeps.cli import app as cli
from sweeps.cli import library

WITHOUT_TORCH = """
import sys, tempfile
from pathlib import Path
from tests.golden.mistake import answer
from tests.golden.study_mistakes import MISTAKES
from tests.golden.verb_mistakes import CALLS, JOBS, PLUGINS, SCAFFOLDS

for name, mistake in {**MISTAKES, **CALLS, **JOBS, **PLUGINS, **SCAFFOLDS}.items():
    with tempfile.TemporaryDirectory() as folder:
        found = answer(mistake, Path(folder))
    assert found.exit_code == 2, (name, found)
    assert not {"torch", "ray", "mlflow", "scipy.stats"} & sys.modules.keys(), name
"""


def ended(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Return the exit code and standard error of a command line."""
    monkeypatch.setattr(sys, "argv", ["phasesweep", *arguments])
    with pytest.raises(SystemExit) as exited:
        entry.main()
    return int(exited.value.code or 0), capsys.readouterr().err


def test_mistakes_are_found_before_pytorch_is_imported() -> None:
    """All but those of verbs that read results, which are in `test_reading_verbs`."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_verb_has_one_line_of_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["phasesweep", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    commands = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert len(commands) > 20
    for line in commands:
        assert re.fullmatch(r"  [a-z]+ +[A-Z].*\.", line), line
        assert not line.endswith("..."), line
        assert len(line) <= 80


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pln", "quickstart"), "unknown verb 'pln'; did you mean 'plan'?"),
        (("run", "quickstart", "--max-hour", "1"), "run: unknown option '--max-hour'; did you mean '--max-hours'?"),
        (("--jsn",), "unknown option '--jsn'; known: --help"),
        (("export", "quickstart"), "export: --to is missing; see: phasesweep export --help"),
        (("results",), "results: STUDY is missing; see: phasesweep results --help"),
        (("run", "quickstart", "--scale"), "option '--scale' requires an argument; see: phasesweep --help"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_in_one_line(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ended(capsys, monkeypatch, *arguments) == (2, f"phasesweep: {says}\n")


def test_ctrl_c_in_a_verb_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(library, "studies", interrupted)
    assert ended(capsys, monkeypatch, "studies") == (130, "\nphasesweep: interrupted\n")


def test_ctrl_c_while_the_command_line_is_imported_is_one_line(tmp_path: Path) -> None:
    code = """
import signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "sweeps.cli.options":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from sweeps.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "\nphasesweep: interrupted\n")
