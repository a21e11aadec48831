"""Claims that compare arms: what supports them, what refutes them, and what settles nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from analysis.claims.claim import Claim
from tests.support.sweeps.verdicts import around, claim, verdict

BETTER = claim("superiority", arm="a", against="b", controls="c")
PAIRWISE = claim("pairwise", arm="a", against=["b", "c", "d"])


def test_better_than_the_baseline_and_than_the_control_is_supported() -> None:
    found = verdict({"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.45, turn=2)}, BETTER)
    assert (found.verdict, found.because, found.is_settled) == ("supported", (), True)
    assert found.effect == pytest.approx(-0.1)
    assert found.ci_low is not None and found.ci_high is not None and found.ci_low < -0.1 < found.ci_high < 0
    assert [(one.arm, one.role, one.holds) for one in found.comparisons] == [
        ("b", "against", True),
        ("c", "control", True),
    ]
    assert found.p == max(one.p for one in found.comparisons if one.p is not None)
    assert found.declared == "before the data"


def test_true_of_the_number_but_not_of_the_mechanism_is_refuted_by_the_control() -> None:
    found = verdict({"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.3, turn=2)}, BETTER)
    assert (found.verdict, found.because, found.control) == ("refuted", ("control",), "c")
    assert found.comparisons[0].holds


def test_a_control_that_is_not_shown_to_be_worse_leaves_it_open() -> None:
    found = verdict({"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.4, turn=2)}, BETTER)
    assert (found.verdict, found.because, found.control) == ("inconclusive", ("control", "power"), "c")


def test_worse_than_what_it_should_beat_is_refuted() -> None:
    found = verdict({"b": around(2.4), "a": around(2.5, turn=1), "c": around(2.6, turn=2)}, BETTER)
    assert (found.verdict, found.because, found.control) == ("refuted", ("effect",), None)


def test_support_needs_no_correction_and_refutation_has_holms() -> None:
    """Three comparisons with one-sided p of about .02 each: all hold, so together; three against: none by Holm."""
    near = {"b": [0.0, 0.1, 0.2, 0.3, 0.4], "c": [0.1, 0.0, 0.3, 0.2, 0.4], "d": [0.1, 0.2, 0.0, 0.4, 0.3]}

    def arms(sign: int) -> dict[str, list[float]]:
        own = [2.5 + 0.1 * deviation for deviation in (-1.0, 0.5, 1.0, -0.5, 0.0)]
        others = {
            name: [o + sign * (0.085 + 0.2 * (v - 0.2)) for o, v in zip(own, values, strict=True)]
            for name, values in near.items()
        }
        return {"b": others["b"], "a": own, "c": others["c"], "d": others["d"]}

    for_it, against_it = verdict(arms(1), PAIRWISE), verdict(arms(-1), PAIRWISE)
    p_values = [one.p for one in for_it.comparisons]
    assert all(p is not None and p < 0.025 for p in p_values)
    assert for_it.verdict == "supported"
    assert for_it.p == max(p for p in p_values if p is not None)
    raw = sorted(one.p_against for one in against_it.comparisons if one.p_against is not None)
    assert against_it.p_adjusted == pytest.approx(3 * raw[0])
    assert (against_it.verdict == "refuted") == (3 * raw[0] < 0.025)


def test_a_margin_asks_for_more_and_can_refute_what_is_too_small() -> None:
    arms = {"b": around(2.5), "a": around(2.49, turn=1)}
    large = claim("superiority", arm="a", against="b", margin=0.05, margin_unit="absolute")
    small = claim("superiority", arm="a", against="b", margin=0.004, margin_unit="absolute")
    assert (verdict(arms, large).verdict, verdict(arms, large).because) == ("refuted", ("margin",))
    reversed_arms = {"b": arms["a"], "a": arms["b"]}
    assert verdict(reversed_arms, large).because == ("effect",)
    assert verdict(arms, small).verdict == "supported"
    relative = claim(
        "superiority", arm="a", against="b", margin=0.002, margin_unit="relative"
    )  # .2 % of 2.5 is .005
    assert verdict(arms, relative).verdict == "supported"
    assert (
        verdict(arms, claim("superiority", arm="a", against="b", margin=0.01, margin_unit="relative")).verdict
        == "refuted"
    )


def test_a_published_effect_is_excluded_although_none_is_shown() -> None:
    """As of the published winner: no advantage is shown, and one as large as published is excluded."""
    one = claim("superiority", arm="a", against="b", published_effect=-0.0353)
    found = verdict({"b": around(2.5, scale=8), "a": around(2.5, scale=8, turn=1)}, one)
    assert (found.verdict, found.because, found.excludes_published) == ("refuted", ("effect",), True)
    assert "an effect as large as published, −0.0353, is excluded" in found.note
    assert "any advantage over all comparators is not shown" in found.note
    wide = verdict({"b": around(2.5, scale=40), "a": around(2.5, scale=40, turn=1)}, one)
    assert (wide.verdict, wide.excludes_published) == ("inconclusive", False)
    assert wide.seeds_needed is not None and wide.seeds_needed > 5


@pytest.mark.parametrize(
    ("a", "expected"), [(2.5, "supported"), (2.52, "supported"), (2.6, "refuted"), (2.55, "inconclusive")]
)
def test_non_inferiority_by_its_margin(a: float, expected: str) -> None:
    one = claim("non_inferiority", arm="a", against="b", margin=0.05, margin_unit="absolute")
    found = verdict({"b": around(2.5, scale=5), "a": around(a, scale=5, turn=1)}, one)
    assert (found.verdict, found.confidence) == (expected, 0.9)
    assert found.because == {"supported": (), "refuted": ("margin",), "inconclusive": ("power",)}[expected]


@pytest.mark.parametrize(
    ("a", "expected"), [(2.5, "supported"), (2.6, "refuted"), (2.4, "refuted"), (2.55, "inconclusive")]
)
def test_equivalence_is_two_one_sided_tests_either_way(a: float, expected: str) -> None:
    one = claim("equivalence", arm="a", against="b", margin=0.05, margin_unit="absolute")
    assert verdict({"b": around(2.5, scale=5), "a": around(a, scale=5, turn=1)}, one).verdict == expected


def test_a_control_that_is_as_equivalent_takes_the_meaning_from_an_equivalence() -> None:
    one = claim("equivalence", arm="a", against="b", controls="c", margin=0.05, margin_unit="absolute")
    arms = {"b": around(2.5), "a": around(2.5, turn=1), "c": around(2.7, turn=2)}
    assert verdict(arms, one).verdict == "supported"
    found = verdict({**arms, "c": around(2.5, turn=2)}, one)
    assert (found.verdict, found.because, found.control) == ("refuted", ("control",), "c")


def test_rates_that_do_not_vary_are_known_by_the_items_of_one_seed() -> None:
    rate = {"name": "val/found", "unit": "share", "direction": "maximise", "meaning": "found", "items": 1000}
    arms = {"b": [0.0] * 5, "a": [0.0] * 5}
    described = {"metrics": [rate], "primary_metric": "val/found", "metric": "val/found"}
    one = claim("superiority", arm="a", against="b", metric="val/found")
    found = verdict(arms, one, **described)
    assert (found.verdict, found.effect) == ("inconclusive", 0.0)
    assert found.ci_high == pytest.approx(0.0038, abs=5e-5)
    assert "the interval is of one seed's items" in found.note
    published = claim("superiority", arm="a", against="b", metric="val/found", published_effect=0.105)
    found = verdict(arms, published, **described)
    assert (found.verdict, found.because, found.excludes_published) == ("refuted", ("effect",), True)


def test_an_advantage_smaller_than_published_is_not_refuted_by_that() -> None:
    """It is shown against the baseline; a control that is not shown to be worse leaves it open."""
    one = claim("superiority", arm="a", against="b", controls="c", published_effect=-0.5)
    arms = {"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.4, turn=2)}
    found = verdict(arms, one)
    assert (found.verdict, found.because, found.excludes_published) == ("inconclusive", ("control", "power"), True)
    assert verdict({**arms, "c": around(2.45, turn=2)}, one).verdict == "supported"


def test_identical_arms_are_no_advantage() -> None:
    values = around(2.5)
    found = verdict({"b": values, "a": values, "c": around(2.6, turn=1)}, BETTER)
    assert (found.verdict, found.because) == ("refuted", ("effect",))


def shares(one: Claim, means: Mapping[str, float], draws: int = 150) -> dict[str, float]:
    """Return how often a claim ends in which verdict if arms have these means, seeds and noise of their own."""
    rng, found = np.random.default_rng(20261129), Counter[str]()
    for _ in range(draws):
        shared = rng.normal(0, 0.02, size=5)
        arms = {arm: list(mean + shared + rng.normal(0, 0.02, size=5)) for arm, mean in means.items()}
        found[verdict(arms, one).verdict] += 1
    return {outcome: count / draws for outcome, count in found.items()}


@pytest.mark.slow
def test_false_claims_are_seldom_supported_and_true_ones_seldom_refuted() -> None:
    """Three standard errors of a share of 150 at .025 are .038, at .05 .053."""
    one = claim("superiority", arm="a", against="b", controls="c", published_effect=-0.1)
    nothing = shares(one, {"b": 2.5, "a": 2.5, "c": 2.5})
    assert nothing.get("supported", 0.0) <= 0.025 + 0.038
    only_against = shares(one, {"b": 2.6, "a": 2.5, "c": 2.5})
    assert only_against.get("supported", 0.0) <= 0.025 + 0.038, "a false comparison with a control is one, too"
    as_published = shares(one, {"b": 2.6, "a": 2.5, "c": 2.6})
    assert as_published.get("refuted", 0.0) <= 0.05 + 0.053
    assert as_published["supported"] > 0.9
    plain = claim("superiority", arm="a", against="b", controls=["c", "d", "e"])
    level = shares(plain, {"b": 2.5, "a": 2.5, "c": 2.5, "d": 2.5, "e": 2.5})
    assert level.get("refuted", 0.0) <= 0.025 + 0.038, "Holm over four comparators"
