"""The shipped JSON Schemas are made from the types of what verbs print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sweeps.cli.schemas import generate as json_schemas
from sweeps.cli.schemas.generate import generated_schemas, load_schema

STOPPED = {"sweep_id": "a", "host": "here", "pid": 1, "stopped": True, "seconds": None}
STOP: dict[str, Any] = {"study": "tiny", "scale": "smoke", "folder": "/r", "drivers": [STOPPED]}


def test_the_shipped_files_are_what_the_types_make() -> None:
    """If this fails: python -m sweeps.cli.schemas.generate."""
    shipped = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in Path(json_schemas.__file__).parent.glob("*.json")
    }
    assert shipped == generated_schemas()


@pytest.mark.parametrize(
    "wrong",
    [
        {**STOP, "scale": "huge"},
        {**STOP, "more": 1},
        {key: value for key, value in STOP.items() if key != "folder"},
        {**STOP, "drivers": [{**STOPPED, "seconds": -1.0}]},
        {**STOP, "drivers": [{**STOPPED, "pid": None}]},
        {**STOP, "drivers": [{key: value for key, value in STOPPED.items() if key != "host"}]},
    ],
)
def test_a_schema_is_strict_at_every_depth(wrong: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(load_schema("stop"))
    validator.validate(STOP)
    assert not validator.is_valid(wrong)


def test_fields_are_described_in_the_words_of_the_types() -> None:
    rows = load_schema("results")["$defs"]["ResultRow"]["properties"]
    assert rows["delta"]["description"].startswith("Mean of arm − baseline over shared seeds")
    assert rows["mean"]["type"] == ["number", "null"]
