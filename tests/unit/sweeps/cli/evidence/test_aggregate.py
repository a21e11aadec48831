"""The verb `aggregate` on committed journals: what it prints, and mistakes."""

from __future__ import annotations

import pytest

from tests.support.sweeps.guides import ROOT
from tests.support.sweeps.verbs import Call

RESULTS = ROOT / "docs" / "results"
PHASE_A, CORRECTED, NEEDLE = (
    str(RESULTS / f"{name}.jsonl") for name in ("kuramoto_phase_a", "kuramoto_phase_a_corrected", "resonant_needle")
)


def test_two_studies_are_one_table(call: Call) -> None:
    printed = call("aggregate", PHASE_A, CORRECTED, "--json").json("aggregate")
    assert printed["studies"] == ["kuramoto_phase_a@laptop", "kuramoto_phase_a_corrected@laptop"]
    assert printed["left_out"] == ["leak_free", "transformer_matched"]
    assert len(printed["contrasts"]) == 2 * (len(printed["arms"]) - 1)
    assert call("aggregate", PHASE_A, CORRECTED, "--json").json("aggregate") == printed  # the bootstrap is seeded
    said = call("aggregate", PHASE_A, CORRECTED).out
    assert "not in all studies: leak_free, transformer_matched" in said
    assert "ranks over 2 studies: Friedman" in said


def test_seeds_are_chosen(call: Call) -> None:
    printed = call("aggregate", NEEDLE, "--seeds", "41,42,43", "--json").json("aggregate")
    assert printed["seeds"] == [41, 42, 43]
    attention = next(row for row in printed["arms"] if row["arm"] == "attention")
    assert attention["runs"] == 3
    assert attention["mean"]["value"] == pytest.approx((0.899 + 0.931 + 0.832) / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([NEEDLE, "--seeds", "41,x"], "--seeds 41,x: write whole numbers, as 41,42,43"),
        ([NEEDLE, "--seeds", "41,41"], "--seeds 41,41: names one twice"),
        ([NEEDLE, "--seeds", "47"], "seed 47 is none of no_blocks"),
        ([NEEDLE, NEEDLE], "a study is named twice"),
        ([NEEDLE, PHASE_A], "no arm is in all studies"),
        ([f"{NEEDLE}:attention"], "name a study, not an arm"),
        (["none.jsonl"], "aggregate none.jsonl: no such journal"),
        ([NEEDLE, "--metric", "val/needle_exact"], "has no metric 'val/needle_exact'; did you mean"),
    ],
)
def test_a_mistake_is_one_line(call: Call, arguments: list[str], message: str) -> None:
    called = call("aggregate", *arguments)
    assert (called.code, len(called.err.splitlines())) == (2, 1)
    assert message in called.err
