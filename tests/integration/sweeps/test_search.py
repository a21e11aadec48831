"""A search on a real Ray, interrupted, continued, shared by two drivers: its winner is confirmed on fresh seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from analysis.records.journal import read_events
from sweeps.cli.schemas.generate import load_schema
from tests.support.sweeps.studies import phasesweep, start
from trainables.training.checkpoints import read_state

pytestmark = [pytest.mark.slow, pytest.mark.ray]

STUDY = ("quickstart_search", "--scale", "smoke")


def events(folder: Path) -> list[dict[str, Any]]:
    files = sorted((folder / "results" / "quickstart_search" / "smoke" / "journal").glob("*.jsonl"))
    found = [event for file in files for event in read_events(file)]
    return sorted(found, key=lambda event: (event["time"], event["sweep_id"]))


def said(folder: Path, verb: str) -> Any:
    done = phasesweep([verb, *STUDY, "--json"], folder)
    value = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load_schema(verb)).validate(value)
    return value


def test_a_search_goes_on_after_an_interruption_with_two_drivers(tmp_path: Path) -> None:
    first = phasesweep(["run", *STUDY, "--max-trials", "4"], tmp_path)
    assert first.returncode == 130, first.stdout + first.stderr
    assert "the search is not over" in first.stdout
    assert not said(tmp_path, "status")["searches"][0]["is_over"]
    pruned = {
        (event["config_id"], event["seed"]): event for event in events(tmp_path) if event["event"] == "pruned"
    }
    replicates = tmp_path / "results" / "quickstart_search" / "smoke" / "replicates"
    for event in pruned.values():
        checkpoint = replicates / event["config_id"] / f"seed={event['seed']}" / "checkpoint" / "latest.pt"
        assert read_state(checkpoint)["step"] == event["step"], "what may climb continues from its rung"

    drivers = [start(["run", *STUDY], tmp_path) for _ in range(2)]
    ended = [driver.communicate() for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], ended

    found = events(tmp_path)
    proposed = [event for event in found if event["event"] == "proposed"]
    assert [event["number"] for event in proposed] == list(range(6)), "each proposal once, whoever made it"
    assert len({event["config_id"] for event in proposed}) == 6
    (selected,) = (event for event in found if event["event"] == "selected")
    reports = [(event["config_id"], event["seed"], event["step"]) for event in found if event["event"] == "report"]
    assert len(set(reports)) == len(reports), "nothing is trained twice: what climbs continues"

    (row,) = (row for row in said(tmp_path, "results")["rows"] if row["arm"] == "kuramoto")
    assert (row["config_id"], set(row["values"])) == (selected["config_id"], {"2", "3"})
    best = said(tmp_path, "best")
    assert best["rows"][0]["config_id"] == best["searches"][0]["winner"] == selected["config_id"]
    assert best["rungs"][0]["n_scored"] == 6
    again = phasesweep(["run", *STUDY], tmp_path)
    assert again.returncode == 0 and len(events(tmp_path)) == len(found), "nothing is left to run"
