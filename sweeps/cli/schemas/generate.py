"""JSON Schemas of a study file and of what each verb prints with `--json`.

Those of verbs are shipped as files, made from `types` and `planning`; `python -m sweeps.cli.schemas.generate`
writes them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from sweeps.errors import UserError, nearest

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SAME_AS = {"run": "results", "resume": "results"}
"""Verbs that print what another verb prints."""


def schema_names() -> list[str]:
    """Return everything that `load_schema` knows: `study`, and each verb that prints JSON."""
    folder = resources.files("sweeps.cli.schemas")
    files = (item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))
    return sorted({"study", *SAME_AS, *files})


def show(name: str) -> None:
    """Print the JSON Schema called `name`.

    Raises:
        UserError: If there is none.
    """
    sys.stdout.write(_text(load_schema(name)))


def load_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) called `name`.

    Raises:
        UserError: If there is none.
    """
    if name not in schema_names():
        raise UserError(f"no schema '{name}'; {nearest(name, schema_names())}")
    if name == "study":
        from sweeps.studies.schema.study import StudyFile  # imports every architecture

        return {"$schema": DRAFT, **StudyFile.model_json_schema()}
    file = resources.files("sweeps.cli.schemas") / f"{SAME_AS.get(name, name)}.json"
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def generated_schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of every verb, made from the type of what it prints."""
    from pydantic import TypeAdapter

    from sweeps.cli.schemas.types import BESIDE, OF_VERBS

    for kind in _described_types():
        kind.__pydantic_config__ = {"use_attribute_docstrings": True}  # type: ignore[attr-defined]
    schemas = {}
    for verb, printed in OF_VERBS.items():
        made = TypeAdapter(printed).json_schema()
        if verb in BESIDE:
            owner, fields = BESIDE[verb]
            made.get("$defs", {}).get(owner.__name__, made)["properties"].update(fields)
        schemas[verb] = {"$schema": DRAFT, "title": f"phasesweep {verb} --json", **_strict(made)}
    return schemas


def _described_types() -> Iterator[type]:
    """Yield the types whose fields have docstrings."""
    from typing_extensions import is_typeddict

    from analysis.claims import claim as claims
    from analysis.results import ablations as ablate
    from analysis.results import aggregates as aggregate
    from analysis.results import arms as results
    from analysis.results import memory as receipt
    from analysis.results import search_table as best
    from analysis.results import sweeps as compare
    from analysis.results.search import expected_best, path
    from analysis.verdicts import verdict as verdicts
    from sweeps.campaigns import state as campaign
    from sweeps.cli.schemas import curves as json_curves
    from sweeps.cli.schemas import diagnosis as json_diagnosis
    from sweeps.cli.schemas import evidence as json_evidence
    from sweeps.cli.schemas import library as json_library
    from sweeps.cli.schemas import planning as json_planning
    from sweeps.cli.schemas import searching as json_searching
    from sweeps.cli.schemas import types as json_types
    from sweeps.search import importance as json_importance
    from trainables.diagnostics import diagnosis, similarity, uniformity

    diagnostics = (diagnosis, similarity, uniformity)
    for module in (
        ablate,
        aggregate,
        best,
        expected_best,
        path,
        claims,
        compare,
        receipt,
        results,
        *diagnostics,
        campaign,
        json_curves,
        json_importance,
        json_diagnosis,
        json_evidence,
        json_library,
        json_planning,
        json_searching,
        json_types,
        verdicts,
    ):
        for value in vars(module).values():
            if isinstance(value, type) and (dataclasses.is_dataclass(value) or is_typeddict(value)):
                yield value


def _strict(node: Any) -> Any:
    """Return a schema in which objects have exactly their keys, without pydantic's titles."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    strict = {key: _strict(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if isinstance(strict.get("properties"), dict):
        strict |= {"additionalProperties": False, "required": list(strict["properties"])}
    match strict.get("anyOf"):
        case [{"type": str() as kind, **rest}, {"type": "null"}] if "enum" not in rest:
            strict = {"type": [kind, "null"], **rest, **{key: strict[key] for key in strict if key != "anyOf"}}
    return {key: value for key, value in strict.items() if key != "default"}


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the shipped schemas of verbs."""
    folder = Path(__file__).parent
    for name, schema in generated_schemas().items():
        (folder / f"{name}.json").write_text(_text(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
