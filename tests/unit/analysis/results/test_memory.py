"""The receipt of a sweep's memory."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from typing import Any

import jsonschema
import pytest

from analysis.records.journal import merge
from analysis.results.memory import Receipt, receipt
from sweeps.cli.schemas.generate import load_schema
from tests.support.sweeps.journals import EPOCH, config_id, sweep_event


def life(arm: str, seed: int, *ends: dict[str, Any], start: float, cap_mib: int = 1000) -> list[dict[str, Any]]:
    """Return attempts of 10 seconds each."""
    key = {"sweep_id": "20261122-a", "config_id": config_id(arm), "seed": seed}
    events = []
    for index, end in enumerate(ends):
        begun = EPOCH + start + 10 * index
        events.append({"time": begun, "event": "started", "step": 0, "cap_mib": cap_mib, **key})
        events.append({"time": begun + 10, "peak_memory_mib": None, **end, **key})
    return events


def receipt_of(*events: dict[str, Any], offered_mib: int | None = 2000) -> Receipt:
    described = sweep_event(("baseline", "treatment"), seeds=(0, 1), provenance={"offered_mib": offered_mib})
    described["arms"][0]["predicted_memory_mib"] = 900.0
    state = merge([described, *events])
    assert state.sweep is not None
    return receipt(state, state.sweep)


FINISHED = {"event": "finished", "peak_memory_mib": 1000.0}
OOM = {"event": "oom", "peak_memory_mib": 1000.0, "retry": "micro_batch_size 4 -> 2"}


def test_it_tells_predicted_against_measured_and_how_full_the_machine_was() -> None:
    made = receipt_of(
        *life("baseline", 0, FINISHED, start=0),
        *life("baseline", 1, {**FINISHED, "peak_memory_mib": 750.0}, start=10),
    )
    arm = made.arms[0]
    assert (arm.predicted_mib, arm.reserved_mib, arm.measured_mib) == (900.0, 1000, 1000.0)
    assert arm.error == pytest.approx(-0.1)
    assert made.packed_share == pytest.approx(2 * 1000 * 10 / (2000 * 20))
    assert made.arms[1].measured_mib is None
    assert made.in_words() == (
        "memory: estimates 10% below the measured peaks; trials were given 50% of the memory on offer"
    )


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ((-0.061, -0.039), "4% to 6% below"),
        ((0.02, 0.1), "2% to 10% above"),
        ((-0.05, 0.1), "between 5% below and 10% above"),
        ((-0.001, 0.1), "0% to 10% above"),
        ((-0.004, 0.004), "within 1% of"),
    ],
)
def test_errors_of_estimates_are_said_in_words(errors: tuple[float, float], said: str) -> None:
    made = receipt_of(*life("baseline", 0, FINISHED, start=0))
    arms = tuple(dataclasses.replace(made.arms[0], error=error) for error in errors)
    assert f"estimates {said} the measured peaks" in dataclasses.replace(made, arms=arms).in_words()


def test_it_counts_who_ran_out_and_who_was_hurt() -> None:
    killed = {"event": "crashed", "killed": True}
    made = receipt_of(
        *life("baseline", 0, OOM, OOM, FINISHED, start=0),
        *life("baseline", 1, {"event": "oom"}, start=0),
        *life("treatment", 0, killed, FINISHED, start=0),
        *life("treatment", 1, {"event": "crashed"}, FINISHED, start=0),
    )
    assert (made.num_ooms, made.num_recovered, made.num_neighbours_hurt) == (3, 1, 1)
    assert [arm.num_ooms for arm in made.arms] == [3, 0]
    assert made.in_words().endswith("; 3 out of memory, 1 of them recovered; 1 killed from outside")


@pytest.mark.parametrize(
    ("ends", "has_losses"),
    [
        ([FINISHED], False),
        ([{"event": "crashed"}, FINISHED], False),
        ([OOM, FINISHED], True),
        ([{"event": "crashed", "killed": True}, FINISHED], True),
    ],
)
def test_it_tells_whether_memory_was_lost(ends: list[dict[str, Any]], has_losses: bool) -> None:
    assert receipt_of(*life("baseline", 0, *ends, start=0)).has_losses is has_losses


def test_every_worker_of_a_trial_takes_its_part() -> None:
    events = life("baseline", 0, FINISHED, start=0, cap_mib=400)
    events[0]["numerics"] = {"workers": 2}
    assert receipt_of(*events).packed_share == pytest.approx(2 * 400 / 2000)


def test_what_is_not_known_is_not_invented() -> None:
    made = receipt_of(*life("baseline", 0, FINISHED, start=0), offered_mib=None)
    assert made.packed_share is None
    assert receipt_of().in_words() == "memory: nothing was measured"


def test_its_json_follows_the_schema() -> None:
    document = json.loads(json.dumps(asdict(receipt_of(*life("baseline", 0, FINISHED, start=0)))))
    jsonschema.validate(document, load_schema("receipt"))
