"""JSON that every reader takes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from sweeps.cli.options import emit
from tests.support.sweeps.journals import journal_events
from tests.support.sweeps.verbs import Call, caller, write_results


def test_what_json_has_no_number_for_is_null_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"a": [1.5, math.nan], "b": (math.inf, {"c": -math.inf}), "d": "x", "e": True, "f": None})
    found = capsys.readouterr()
    assert json.loads(found.out) == {"a": [1.5, None], "b": [None, {"c": None}], "d": "x", "e": True, "f": None}
    assert found.err == "phasesweep: 3 of the numbers exceed every float, and are null\n"


@dataclass(frozen=True)
class Found:
    values: dict[int, float]
    parts: tuple[Found, ...] = ()


def test_a_dataclass_is_printed_as_a_mapping(capsys: pytest.CaptureFixture[str]) -> None:
    emit([Found({1: 0.5}, (Found({2: math.nan}),))])
    assert json.loads(capsys.readouterr().out) == [
        {"values": {"1": 0.5}, "parts": [{"values": {"2": None}, "parts": []}]}
    ]


def test_finite_numbers_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    emit([0.1, 1e160, -0.0])
    found = capsys.readouterr()
    assert (found.out, found.err) == ("[\n  0.1,\n  1e+160,\n  -0.0\n]\n", "")


@pytest.mark.parametrize("value", [1e160, 1e307])
def test_results_of_a_metric_that_exploded(
    value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call: Call = caller(tmp_path, monkeypatch, capsys)
    events = journal_events({"transformer": 2.5, "kuramoto": 2.4}, seeds=range(3), study="tiny")
    for number, event in enumerate(events):
        if event["event"] != "sweep":
            event.update(metrics=dict.fromkeys(event.get("metrics", {}), value * (1 + number % 5)))
    write_results(tmp_path, events)
    for metric in ("val/perplexity", "val/nats_per_token"):
        called = call("results", "tiny.yaml", "--metric", metric, "--json")
        assert called.code == 0, called.err
        table = json.loads(called.out)
        assert table["rows"][0]["mean"] > value / 2
        assert table["rows"][0]["std"] is not None
