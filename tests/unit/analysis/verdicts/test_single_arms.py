"""Claims about one arm: thresholds, intervals, failures and receipts."""

from __future__ import annotations

import pytest

from analysis.claims.claim import Claim
from tests.support.sweeps.verdicts import WHOLE, around, claim, verdict


@pytest.mark.parametrize(
    ("a", "c", "expected"),
    [
        (2.6, 2.4, ("supported", ())),
        (2.4, 2.4, ("refuted", ("effect",))),
        (2.5, 2.4, ("inconclusive", ("power",))),
        (2.6, 2.6, ("refuted", ("control",))),
        (2.6, 2.5, ("inconclusive", ("control", "power"))),
    ],
)
def test_a_threshold_and_what_its_control_shows(a: float, c: float, expected: tuple[str, tuple[str, ...]]) -> None:
    one = claim("threshold", arm="a", controls="c", bound=2.5, direction="higher")
    found = verdict({"a": around(a), "c": around(c, turn=1)}, one)
    assert (found.verdict, found.because) == expected


@pytest.mark.parametrize(
    ("a", "expected"), [(2.5, "supported"), (2.7, "refuted"), (2.6, "inconclusive"), (2.3, "refuted")]
)
def test_an_interval_holds_wholly_within_its_bounds(a: float, expected: str) -> None:
    assert verdict({"a": around(a)}, claim("interval", arm="a", bounds=[2.4, 2.6])).verdict == expected


def test_nothing_that_varies_is_nothing_to_test() -> None:
    found = verdict({"a": [1.0] * 5}, claim("threshold", arm="a", bound=1.5, direction="higher"))
    assert (found.verdict, found.because, found.ci_low) == ("inconclusive", ("no variance",), None)


def test_failures_are_counted_where_they_are_the_claim() -> None:
    one = Claim.from_mapping(
        {**WHOLE, "metric": None, "kind": "failure_rate", "arm": "a", "bound": 0.4, "direction": "higher"}
    )
    lost = {("a", seed): "diverged" for seed in range(5)}
    found = verdict({"a": around(2.5)}, one, statuses=lost)
    assert (found.verdict, found.effect, found.ci_low) == ("supported", 1.0, pytest.approx(0.4782, abs=1e-4))
    none = verdict({"a": around(2.5)}, one)
    assert (none.verdict, none.ci_high) == ("inconclusive", pytest.approx(0.5218, abs=1e-4))
    crashed = verdict({"a": around(2.5)}, one, statuses={**lost, ("a", 0): "crashed"})
    assert (crashed.verdict, crashed.because) == ("inconclusive", ("failures",))


def test_a_receipt_is_counted() -> None:
    one = Claim.from_mapping(
        {**WHOLE, "kind": "receipt", "metric": "receipt/neighbours_hurt", "bound": 0.5, "direction": "lower"}
    )
    found = verdict({"a": around(2.5)}, one)
    assert (found.verdict, found.effect) == ("supported", 0.0)
    unknown = Claim.from_mapping(
        {**WHOLE, "kind": "receipt", "metric": "receipt/luck", "bound": 0.5, "direction": "lower"}
    )
    assert verdict({"a": around(2.5)}, unknown).because == ("not measured",)
