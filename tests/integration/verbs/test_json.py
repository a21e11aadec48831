"""Every `--json` has a JSON Schema, and what the verbs really print is what the schemas say.

A verb without a schema, or one that no test here or elsewhere checks, fails: nothing has to be added by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

from sweeps.cli import app as cli
from sweeps.cli.schemas.generate import DRAFT, load_schema, schema_names
from sweeps.studies.template import scaffold
from tests.support.sweeps.finished_sweep import ARMS, REPLICATES, STUDY, FinishedSweep
from tests.support.sweeps.verbs import Call, caller

pytestmark = pytest.mark.ray

COMMANDS: dict[str, tuple[str, ...]] = {
    "studies": (),
    "families": (),
    "claims": (),
    "spaces": (),
    "show": STUDY,
    "plan": STUDY,
    "estimate": STUDY,
    "run": STUDY,
    "resume": STUDY,
    "stop": STUDY,
    "status": STUDY,
    "results": STUDY,
    "curves": STUDY,
    "receipt": STUDY,
    "verdicts": STUDY,
    "report": STUDY,
    "kit": STUDY,
    "logs": STUDY,
    "gc": STUDY,
    "sync": STUDY,
    "aggregate": ("quickstart@smoke",),
    "compare": ("quickstart@smoke:transformer", ":kuramoto_K1"),
    "export": (*STUDY, "--to", "replicates.csv"),
    "new": ("another",),
    "lint": ("mine.md",),
    "doctor": (),
    "diagnose": (),
    "simulate": ("quickstart_search", "--scale", "smoke", "--searches", "2"),
}
"""A command line of every verb, about one finished sweep."""

ELSEWHERE = {
    "submit": "test_jobs.py",
    "check": "test_plugins.py",
    "fetch": "test_fetch.py",
    "best": "test_search.py",
    "ablate": "test_ablation.py",
    "enqueue": "test_enqueue.py",
    "importance": "../unit/sweeps/search/test_importance.py",
}
"""Verbs that need more than a sweep, and the test beside this one that validates what they print."""

COMMANDS_OF_APP = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
WITH_JSON = sorted(
    name for name, command in COMMANDS_OF_APP.items() if any("--json" in option.opts for option in command.params)
)


@pytest.fixture(scope="module")
def folder(finished: FinishedSweep, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a sweep has left, beside a study as `new` writes it."""
    folder = finished.copy_to(tmp_path_factory.mktemp("json") / "here")
    (folder / "mine.md").write_text("It finds 18.5 % (37 of 200).\n", encoding="utf-8")
    (folder / "mine.yaml").write_text(scaffold("mine", "kuramoto", "language", "mine.yaml"), encoding="utf-8")
    return folder


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(folder, monkeypatch, capsys)


def objects_at_the_top(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schema of the object that is printed, or of each of a list."""
    for printed in schema.get("anyOf", [schema]):
        assert "$ref" in printed or printed["type"] in {"object", "array"}
        described = printed["items"] if printed.get("type") == "array" else printed
        yield schema["$defs"][described["$ref"].rpartition("/")[2]] if "$ref" in described else described


@pytest.mark.parametrize("name", WITH_JSON)
def test_every_verb_with_json_has_a_schema_and_real_output_meets_it(call: Call, name: str) -> None:
    if name in ELSEWHERE:
        text = next(Path(__file__).parents[2].rglob(ELSEWHERE[name])).read_text(encoding="utf-8")
        assert f'load_schema("{name}")' in text or ("load_schema(verb)" in text and f', "{name}")' in text)
        return
    called = call(name, *COMMANDS[name], "--json")
    assert called.code == 0 or name == "doctor", called.err
    value = called.json(name)
    if isinstance(value, list):
        assert value, "an empty list meets every schema"


@pytest.mark.parametrize("name", sorted({*WITH_JSON, *schema_names()} - {"study"}))
def test_a_schema_is_valid_strict_and_printed_by_the_verb(call: Call, name: str) -> None:
    schema = load_schema(name)
    assert schema["$schema"] == DRAFT
    jsonschema.Draft202012Validator.check_schema(schema)
    for described in objects_at_the_top(schema):
        assert described["additionalProperties"] is False
        assert set(described["required"]) == set(described["properties"]), "every key is always there"
    assert json.loads(call("schema", name).out) == schema
    assert name in WITH_JSON, "the schema of a verb that has no --json"


def test_the_schema_of_a_study_is_what_study_files_meet(call: Call, folder: Path) -> None:
    from sweeps.studies.yaml_file import YamlSource

    schema = json.loads(call("schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(YamlSource.read(folder / "mine.yaml").data)


def test_sync_writes_what_is_missing_once_and_says_how_much(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into an empty database; the sweep's own already holds everything."""
    assert call("sync", *STUDY, "--json").json("sync")["num_runs"] == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/empty.db")
    first = call("sync", *STUDY, "--json").json("sync")
    assert first["num_runs"] == len(ARMS) + REPLICATES + 1  # configurations, replicates, the sweep
    assert first["num_metrics"] > REPLICATES * 2 * 4  # replicates, reports, numbers in each
    assert (first["num_missing"], first["error"]) == (0, "")
    again = call("sync", *STUDY)
    assert again.out.startswith(
        f"quickstart@smoke: MLflow holds all {first['num_events']} events already; nothing was"
    )


def test_sync_without_a_server_says_what_is_behind_and_no_password(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    called = call("sync", *STUDY, "--json")
    said = called.json("sync")
    assert called.code == 1
    assert said["num_missing"] == said["num_events"] > 0 and said["error"]
    assert f"{said['num_events']} of {said['num_events']} events behind the journal" in called.err
    assert "start the server or correct MLFLOW_TRACKING_URI" in called.err
    assert "secret" not in called.out + called.err
