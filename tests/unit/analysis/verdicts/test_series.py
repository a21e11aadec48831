"""Claims about a series of arms or steps, and about factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from analysis.claims.claim import Claim
from analysis.records.journal import merge
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import Verdict
from tests.support.sweeps.journals import EPOCH, replicate_events, sweep_event
from tests.support.sweeps.verdicts import NOISE, around, claim, verdict

LEVELS = {f"n{n}": {"architecture.n": n} for n in (1, 2, 4)}


def trend(slope: float, *, wiggle: float = 0.002) -> dict[str, list[float]]:
    return {f"n{n}": around(2.5 + slope * n, scale=wiggle / 0.002, turn=n) for n in (1, 2, 4)}


@pytest.mark.parametrize(("slope", "expected"), [(0.05, "supported"), (-0.05, "refuted"), (0.0, "inconclusive")])
def test_a_trend_is_one_slope_a_seed(slope: float, expected: str) -> None:
    one = claim("trend", arms=list(LEVELS), over="architecture.n", direction="higher")
    found = verdict(trend(slope), one, fields=LEVELS)
    assert found.verdict == expected
    assert found.effect == pytest.approx(3 * slope, abs=0.005)  # over the range, from 1 to 4


def over_steps(rates: Mapping[str, Sequence[float]], one: Claim) -> Verdict:
    """Return the verdict on arms that report these values at steps 0, 100, … (and a little that varies by seed)."""
    events = [sweep_event(list(rates), seeds=range(5), claims=[one.to_json()])]
    for arm, values in rates.items():
        for seed in range(5):
            made = replicate_events(
                arm, seed, 2.5, start=EPOCH + 10 + seed, steps=[100 * i for i in range(len(values))]
            )
            reports = [event for event in made if event["event"] == "report"]
            for place, (event, value) in enumerate(zip(reports, values, strict=True)):
                event["metrics"]["train/loss"] = value + NOISE[(seed + place) % 5]
            events += made
    return judge_all(merge(events))[0]


GROWS = {"metric": "train/loss", "over": "step", "direction": "higher"}


def test_a_trend_along_steps_tells_where_it_turns_and_what_its_control_does() -> None:
    rising, falls_back, flat = [0.0, 0.2, 0.4, 0.6], [0.0, 0.2, 0.6, 0.5], [0.3, 0.3, 0.3, 0.3]
    alone = claim("trend", arms="a", **GROWS)
    assert over_steps({"a": rising}, alone).note == ""
    turned = over_steps({"a": falls_back}, alone)
    assert turned.verdict == "supported"
    assert turned.note.startswith("from the last point but one to the last it falls by 0.1")
    both = claim("trend", arms=["a", "c"], **GROWS)
    assert over_steps({"a": rising, "c": rising}, both).verdict == "supported"
    assert over_steps({"a": rising, "c": flat}, both).verdict == "inconclusive"
    controlled = claim("trend", arms="a", controls="c", **GROWS)
    assert over_steps({"a": rising, "c": flat}, controlled).verdict == "supported"
    found = over_steps({"a": rising, "c": rising}, controlled)
    assert (found.verdict, found.because, found.control) == ("refuted", ("control",), "c")


def test_flatness_is_a_slope_within_its_margin() -> None:
    """y = x^b has the log-log slope b."""
    one = claim("flatness", arms=list(LEVELS), over="architecture.n", margin=0.1)
    for exponent, expected in ((0.0, "supported"), (0.5, "refuted"), (0.1, "inconclusive")):
        arms = {f"n{n}": [n**exponent * (1 + deviation) for deviation in NOISE] for n in (1, 2, 4)}
        arms["n4"] = [4**exponent * (1 + deviation) for deviation in (*NOISE[2:], *NOISE[:2])]
        found = verdict(arms, one, fields=LEVELS)
        assert (found.verdict, found.effect) == (expected, pytest.approx(exponent, abs=1e-3))


def test_a_size_that_is_exact_is_flat_if_equal_seeds_are() -> None:
    unit = {"name": "val/state", "unit": "bytes", "direction": "none", "meaning": "size", "exact": True}
    described = {"metrics": [unit], "primary_metric": "val/state", "metric": "val/state", "fields": LEVELS}
    one = claim("flatness", arms=list(LEVELS), over="architecture.n", margin=0.1, metric="val/state")
    assert verdict({f"n{n}": [51.0] * 3 for n in (1, 2, 4)}, one, **described).verdict == "supported"
    assert verdict({f"n{n}": [51.0 * n] * 3 for n in (1, 2, 4)}, one, **described).verdict == "refuted"


def test_a_response_curve_is_the_set_that_is_not_worse_than_the_best() -> None:
    one = claim("response_curve", arms=list(LEVELS), over="architecture.n", bounds=[1.5, 2.5])
    best = {"n1": around(2.6), "n2": around(2.4, turn=1), "n4": around(2.6, turn=2)}
    found = verdict(best, one, fields=LEVELS)
    assert (found.verdict, found.effect) == ("supported", 2.0)
    shared = verdict({**best, "n4": around(2.4, turn=2)}, one, fields=LEVELS)
    assert (shared.verdict, shared.because) == ("inconclusive", ("power",))
    elsewhere = verdict({**best, "n4": around(2.2, turn=2)}, one, fields=LEVELS)
    assert (elsewhere.verdict, elsewhere.because) == ("refuted", ("effect",))
    unbounded = verdict(best, claim("response_curve", arms=list(LEVELS), over="architecture.n"), fields=LEVELS)
    assert (unbounded.verdict, unbounded.because) == ("inconclusive", ("margin",))


@pytest.mark.parametrize("kind", ["response_curve", "flatness", "trend", "association"])
def test_an_arm_whose_place_a_journal_does_not_say_is_not_taken_to_lie_elsewhere(kind: str) -> None:
    """Else the response curve would be refuted: an arm that is like the base has no parameters of its own."""
    more = {"bounds": [1.5, 2.5]} if kind == "response_curve" else {"margin": 0.1} if kind == "flatness" else {}
    more |= {"direction": "higher"} if kind in {"trend", "association"} else {}
    one = claim(kind, arms=list(LEVELS), over="architecture.n", **more)
    values = {"n1": around(2.6), "n2": around(2.4, turn=1), "n4": around(2.6, turn=2)}
    found = verdict(values, one, fields={**LEVELS, "n2": {}})
    assert (found.verdict, found.because) == ("not run", ("not measured",))
    assert found.note == "this journal does not say the architecture.n of n2"


def test_a_claim_runs_along_values_that_arms_share_with_the_base() -> None:
    one = claim("response_curve", arms=list(LEVELS), over="architecture.n", bounds=[1.5, 2.5])
    values = {"n1": around(2.6), "n2": around(2.4, turn=1), "n4": around(2.6, turn=2)}
    found = verdict(values, one, fields={**LEVELS, "n2": {}}, claimed={"n2": {"architecture.n": 2}})
    assert (found.verdict, found.effect) == ("supported", 2.0)


def test_an_association_is_one_rank_correlation_a_seed() -> None:
    levels = {f"n{n}": {"architecture.n": n} for n in range(1, 7)}
    one = claim("association", arms=list(levels), over="architecture.n", direction="higher")
    rising = {f"n{n}": around(2.5 + 0.001 * n, turn=n) for n in range(1, 7)}
    found = verdict(rising, one, fields=levels)
    assert (found.verdict, found.n, found.effect_kind) == ("supported", 5, "correlation")
    assert found.effect is not None and 0.5 < found.effect < 1
    assert "of the arms' means 1.00" in found.note
    falling = claim("association", arms=list(levels), over="architecture.n", direction="lower")
    assert verdict(rising, falling, fields=levels).verdict == "refuted"


def test_factors_have_main_effects_and_interactions() -> None:
    cells = {f"{p}{q}": {"task.p": p, "task.q": q} for p in (0, 1) for q in (0, 1)}
    gain = {"00": 2.5, "01": 2.5, "10": 2.5, "11": 2.4}
    arms = {name: around(value, turn=place) for place, (name, value) in enumerate(gain.items())}
    both = claim("factorial", arms=list(cells), effect=["task.p", "task.q"], direction="lower")
    found = verdict(arms, both, fields=cells)
    assert (found.verdict, found.effect) == ("supported", pytest.approx(-0.1))
    main = claim("factorial", arms=list(cells), effect=["task.p"], direction="higher")
    found = verdict(arms, main, fields=cells)
    assert (found.verdict, found.effect) == ("refuted", pytest.approx(-0.05))
    undirected = claim("factorial", arms=list(cells), effect=["task.p"])
    assert verdict(arms, undirected, fields=cells).verdict == "supported"


def test_a_factor_of_three_levels_is_an_f() -> None:
    one = claim("factorial", arms=list(LEVELS), effect=["architecture.n"])
    assert verdict(trend(0.05), one, fields=LEVELS).verdict == "supported"
    assert verdict(trend(0.0), one, fields=LEVELS).verdict == "inconclusive"
