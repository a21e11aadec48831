"""Verbs called in the test's own process, and results folders that hold what a test writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sweeps.cli import app as cli
from sweeps.cli.schemas.generate import load_schema
from sweeps.store.folder import ResultsFolder
from tests.conftest import forget_plugin_files
from tests.support.sweeps.journals import write_journal
from tests.support.sweeps.studies import write_study


@dataclass(frozen=True)
class Called:
    """How a verb ended."""

    code: int
    out: str
    err: str

    def json(self, schema: str) -> Any:
        """Return what it printed, checked against the JSON Schema of a verb."""
        assert self.code in {0, 1}, self.err
        value = json.loads(self.out)
        jsonschema.Draft202012Validator(load_schema(schema)).validate(value)
        return value


Call = Callable[..., Called]
"""Calls the command line with these arguments, in the folder that the fixture was made for."""


def caller(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Return a function that calls `phasesweep` in this process, in `folder`, with `folder`/results."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(folder / "results"))
    for name in ("PHASESWEEP_DATA", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> Called:
        monkeypatch.setattr(sys, "argv", ["phasesweep", *arguments])
        capsys.readouterr()
        forget_plugin_files()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Called(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


def write_results(
    folder: Path,
    events: Iterable[Mapping[str, Any]],
    *,
    scale: str = "laptop",
    arms: Mapping[str, Mapping[str, Any]] | None = None,
) -> ResultsFolder:
    """Write the study `tiny` into `folder`, and results of it that hold these events.

    Args:
        folder: Where tiny.yaml and results/ go.
        events: Of one driver; those of `tests.support.sweeps.journals`.
        scale: Of the results.
        arms: What the resolved study says of its arms.
    """
    write_study(folder)
    results = ResultsFolder(folder / "results" / "tiny" / scale)
    described = [{**e, "study": "tiny", "scale": scale} if e["event"] == "sweep" else dict(e) for e in events]
    write_journal(results.journal / "a.jsonl", described)
    resolved = {"format_version": 1, "study": "tiny", "scale": scale, "arms": dict(arms or {})}
    (results.path / "study.yaml").write_text(yaml.safe_dump(resolved), encoding="utf-8")
    return results
