"""The table as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources

import jsonschema
import pytest

from analysis.records.journal import merge
from analysis.results.arms import summarise
from tests.support.sweeps.journals import METRIC, PHASE_A, journal_events, sweep_event

NANOGPT = {"name": "nanoGPT", "metric": METRIC, "values": [2.0, 3.0, 4.0, 5.0, 6.0], "source": "its README"}
CONTRAST = {"arm": "kuramoto_32", "against": "coupling_0", "meaning": "what coupling does"}


def test_json_has_no_nan_and_loses_no_arm() -> None:
    events = journal_events(statuses={("coupling_2", seed): "diverged" for seed in range(5)})
    document = json.loads(json.dumps(asdict(summarise(merge(events))), allow_nan=False))
    assert document["references"] == {"3-gram": 2.9564, "5-gram": 2.4076}
    assert document["rows"][0]["values"].keys() == {"0", "1", "2", "3", "4"}
    lost = document["rows"][3]
    assert (lost["arm"], lost["n"], lost["n_failed"], lost["mean"]) == ("coupling_2", 0, 5, None)


@pytest.mark.parametrize("finished", [True, False])
def test_json_fits_the_schema_that_is_shipped(finished: bool) -> None:
    schema = json.loads((resources.files("sweeps.cli.schemas") / "results.json").read_text(encoding="utf-8"))
    ids = {arm: f"{index:012x}" for index, arm in enumerate(PHASE_A)}
    described = {"contrasts": [CONTRAST], "external": [NANOGPT], "config_ids": ids}
    events = journal_events(**described) if finished else [sweep_event(**described)]
    document = json.loads(json.dumps(asdict(summarise(merge(events)))))
    assert len(document["contrasts"]) == len(document["external"]) == 1
    jsonschema.validate(document, schema)
