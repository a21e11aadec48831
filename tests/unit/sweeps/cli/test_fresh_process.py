"""Verbs as a user calls them, each in a process of its own: nothing that another test has imported hides a gap."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from sweeps.cli.app import app
from sweeps.cli.schemas.generate import load_schema
from tests.support.sweeps.guides import ROOT
from tests.unit.sweeps.cli.test_reading_verbs import READING

MY_FAMILY = str(ROOT / "docs" / "examples" / "my_family.py")
WITH_JSON = {
    "families": [],
    "new": ["my_study", "--architecture", "kuramoto"],
    "check": [MY_FAMILY],
    "doctor": [],
}
"""Arguments of the verbs that are neither in `READING` nor in `ELSEWHERE`."""
ELSEWHERE = {
    "plan": "is how `run` begins",
    "show": "resolves a study as `run` does",
    "estimate": "sizes a study as `run` does",
    "run": "starts Ray; tests/integration calls it as a process",
    "resume": "as `run`",
    "submit": "needs a cluster; tests/integration has one",
    "sync": "starts MLflow; tests/integration calls it as a process",
    "ui": "as `sync`",
    "aggregate": "imports scipy.stats; tests/unit/sweeps/cli/evidence has it",
    "ablate": "needs an ablation; tests/unit/sweeps/cli/test_results.py has one",
    "best": "needs a search; tests/unit/sweeps/cli/test_results.py has one",
    "enqueue": "as `best`; tests/unit/sweeps/cli/search/test_enqueue.py calls it",
    "importance": "as `best`; tests/unit/sweeps/search/test_importance.py calls what it prints",
    "simulate": "as `best`; tests/integration/sweeps/test_search.py calls it",
    "fetch": "needs a network",
    "report": "draws; tests/unit/sweeps/cli/evidence has it",
    "kit": "as `report`",
}


def called(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command line in `folder`, with caches and results of its own."""
    unset = {"MLFLOW_TRACKING_URI", "RAY_ADDRESS", "PHASESWEEP_DATA"}
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    path = ":".join(filter(None, sys.path))
    own = {"PYTHONPATH": path, "XDG_CACHE_HOME": str(folder), "PHASESWEEP_RESULTS": "results"}
    return subprocess.run(
        [sys.executable, "-m", "sweeps", *arguments],
        cwd=folder,
        env={**kept, **own},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("verb", WITH_JSON)
def test_it_prints_what_its_schema_says(tmp_path: Path, verb: str) -> None:
    done = called(tmp_path, verb, *WITH_JSON[verb], "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load_schema(verb)).validate(value)
    assert all(value.values()) if verb == "families" else value
    assert done.stderr == ""


def test_no_verb_is_left_out() -> None:
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert verbs == {words[0] for words in READING.values()} - {"--help"} | WITH_JSON.keys() | ELSEWHERE.keys()
