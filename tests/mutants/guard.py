"""A pytest plugin of the mutants' runs: refuses another tree's code, and notes how every test ended."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

NOTES = "PHASESWEEP_MUTANT_NOTES"
"""Environment variable that names the file of notes, one JSON object a line."""

PACKAGES = ("search_spaces", "trainables", "cluster", "sweeps", "analysis")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test any code but that of the tree pytest was started in; look for no smallest example.

    The package is installed as a link to the working tree: a run that imported that would test no mutant.
    """
    settings.register_profile("mutants", parent=settings(), phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutants")
    for name in PACKAGES:
        found = Path(str(importlib.import_module(name).__file__))
        if not found.is_relative_to(config.rootpath):
            raise pytest.UsageError(f"{name} is imported from {found}, not from {config.rootpath}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the outcome of each phase of each test."""
    report = yield
    error = "" if call.excinfo is None else call.excinfo.typename
    note = {"node_id": item.nodeid, "phase": report.when, "outcome": report.outcome, "error": error}
    with Path(os.environ[NOTES]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
    return report
