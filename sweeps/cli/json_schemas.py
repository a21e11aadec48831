"""JSON Schemas of a study file and of what each verb prints with `--json`."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from sweeps.errors import UserError, nearest
from sweeps.studies.schema import StudyFile

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SAME_AS = {"run": "results", "resume": "results"}
"""Verbs that print what another verb prints."""


def schema_names() -> list[str]:
    """Return everything that `load_schema` knows: `study`, and each verb that prints JSON."""
    folder = resources.files("sweeps.cli") / "schemas"
    files = (item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))
    return sorted({"study", *SAME_AS, *files})


def load_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) called `name`.

    Raises:
        UserError: If there is none.
    """
    if name not in schema_names():
        raise UserError(f"no schema '{name}'; {nearest(name, schema_names())}")
    if name == "study":
        return {"$schema": DRAFT, **StudyFile.model_json_schema()}
    file = resources.files("sweeps.cli") / "schemas" / f"{SAME_AS.get(name, name)}.json"
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema
