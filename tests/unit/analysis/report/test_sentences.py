"""Verdicts in sentences: what was found, what was measured, and how sure it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from analysis.claims.kinds import Kind
from analysis.report.sentences import OUTCOMES, certainty, found, measured, says, summary
from analysis.verdicts.verdict import Outcome, Verdict
from tests.unit.analysis.report.pages.test_strip import FOUND


def verdict(**changes: Any) -> Verdict:
    return replace(FOUND, **changes)


def test_every_outcome_has_its_place() -> None:
    assert set(OUTCOMES) == set(get_args(Outcome))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "supported"}, "It holds, also against K0."),
        ({"verdict": "supported", "comparisons": ()}, "It holds."),
        (
            {"verdict": "refuted", "because": ("control", "scale"), "control": "K0"},
            "K0, without the mechanism, does at least as well.",
        ),
        (
            {"verdict": "refuted", "because": ("effect",), "excludes_published": True, "unit": "bits/byte"},
            "An effect as large as published, −0.5 bits/byte, is excluded; a smaller one is not shown.",
        ),
        (
            {"verdict": "refuted", "because": ("margin",), "margin": 0.01, "margin_unit": "relative"},
            "The margin of 0.01 of the other arm's value is not kept.",
        ),
        ({"verdict": "refuted", "because": ("effect",), "kind": "trend"}, "It moves the other way."),
        (
            {"verdict": "inconclusive", "because": ("power",), "n": 3, "seeds_needed": 8},
            "3 seeds do not separate it; 8 pairs would find its effect with power .8.",
        ),
        ({"verdict": "inconclusive", "because": ("power",), "n": 3}, "3 seeds do not separate it."),
        (
            {"verdict": "inconclusive", "because": ("control", "power"), "control": "K0"},
            "It is not shown to be better than K0, a control without the mechanism.",
        ),
        (
            {"verdict": "inconclusive", "because": ("failures",), "note": "a: 1 of 3 failed"},
            "Replicates failed, and a mean over survivors settles nothing: a: 1 of 3 failed.",
        ),
        ({"verdict": "not run", "because": ("not run",), "note": "nothing of a"}, "Not run: nothing of a."),
        (
            {"verdict": "not run", "because": ("scale",), "note": "scale smoke shows that a study runs"},
            "Not judged: scale smoke shows that a study runs.",
        ),
    ],
)  # fmt: skip
def test_what_was_found(changes: dict[str, Any], said: str) -> None:
    quiet = {"excludes_published": None, "control": None, "seeds_needed": None}
    assert found(verdict(**{**quiet, **changes})) == said


def test_an_arm_that_is_shown_to_be_worse_is_named() -> None:
    failing = tuple(replace(one, fails=one.role == "against") for one in FOUND.comparisons)
    worse = verdict(verdict="refuted", because=("effect",), comparisons=failing)
    assert found(worse) == "It is worse than baseline."
    assert found(replace(worse, margin=0.1)) == "It is not so much better than baseline."


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_is_refuted_in_words(kind: Kind) -> None:
    by_control = found(verdict(verdict="refuted", because=("control",), control="K0", kind=kind))
    assert by_control.startswith("K0, without the mechanism, ")
    assert found(verdict(verdict="refuted", because=("effect",), kind=kind, excludes_published=None)).endswith(".")


def test_what_was_measured() -> None:
    plain = {"effect": -0.1, "ci_low": -0.2, "ci_high": -0.05, "control": None, "comparisons": ()}
    assert (
        measured(verdict(**plain))
        == "kuramoto − baseline −0.1000 [−0.2000, −0.0500] bits/character; 3 pairs of seeds"
    )
    one = {**plain, "effect_kind": "value", "against": (), "ci_low": -0.1, "ci_high": -0.1, "n": 1}
    assert measured(verdict(**one)) == "kuramoto −0.1000 bits/character, without an error"
    slope = {**plain, "effect_kind": "slope", "against": (), "unit": None}
    assert measured(verdict(**slope)).startswith("slope of kuramoto −0.1000 [")
    assert measured(verdict(effect=None)) == ""
    assert ", − K0 " in measured(verdict(control="K0"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Indicates only, to be settled at scale gpu; declared before the data."),
        (
            {"because": (), "is_settled": True, "declared": "after the data"},
            "Settled at this scale; declared after the data.",
        ),
        (
            {"because": ("power",), "is_settled": False, "declared": "unknown"},
            "Could be settled at this scale; when it was declared is not known.",
        ),
        ({"verdict": "not run"}, "To be settled at scale gpu."),
    ],
)
def test_how_sure_it_is(changes: dict[str, Any], said: str) -> None:
    assert certainty(verdict(**changes)) == said


def test_a_study_in_a_sentence() -> None:
    settled, indicated = verdict(verdict="refuted", is_settled=True), verdict(verdict="refuted", is_settled=False)
    open_one, absent = verdict(verdict="inconclusive"), verdict(verdict="not run", because=("not run",))
    assert summary([]) == "No claim is declared."
    assert summary([absent]) == "1 claim: 1 not run."
    assert summary([verdict(verdict="not run", because=("scale",))]) == "1 claim: 1 not judged.", "it has run"
    assert summary([settled, open_one]) == "2 claims: 1 refuted, 1 inconclusive; settled at this scale."
    assert (
        summary([settled, indicated])
        == "2 claims: 2 refuted; settled at this scale: 1 of 2, the rest only indicates."
    )
    assert summary([indicated]) == "1 claim: 1 refuted; none of it is settled, this scale only indicates."


def test_what_a_comparison_says() -> None:
    own, control = FOUND.comparisons
    assert says(replace(own, holds=True, fails=False), FOUND) == "holds"
    assert says(replace(own, holds=False, fails=True), FOUND) == "speaks against it"
    assert says(replace(own, holds=False, fails=False), FOUND) == "open"
    alone = replace(FOUND, kind="threshold", effect_kind="value", against=())
    assert says(replace(control, holds=True, fails=False), alone) == "does not show it"
    assert says(replace(control, holds=False, fails=True), alone) == "shows the same"
