"""Verdicts by kind: what supports a claim, what refutes it, and what settles nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from analysis.claims.claim import Claim
from analysis.claims.kinds import KINDS
from analysis.records.journal import JournalState, merge
from analysis.verdicts.judge import JUDGES, judge_all, not_run
from analysis.verdicts.verdict import Verdict
from tests.journals import EPOCH, METRIC, config_id, replicate_events, sweep_event

WHOLE = {"id": "C", "statement": "it works", "source": "a paper", "settled_at": "laptop", "metric": METRIC}
NOISE = (0.001, -0.002, 0.0015, -0.001, 0.0005)
"""Deviations of five seeds from their mean, which is 0."""

Arms = Mapping[str, Sequence[float | None]]


def around(mean: float, *, scale: float = 1.0, turn: int = 0) -> list[float]:
    """Return five values with this mean; `turn` gives them another order, so that arms are not parallel."""
    return [mean + scale * NOISE[(index + turn) % 5] for index in range(5)]


def claim(kind: str, **fields: Any) -> Claim:
    return Claim.from_mapping({**WHOLE, "kind": kind, **fields})


def journal(
    arms: Arms, *claims: Claim, metric: str = METRIC, statuses: Mapping[tuple[str, int], str | None] | None = None,
    fields: Mapping[str, dict[str, Any]] | None = None, **described: Any,
) -> JournalState:  # fmt: skip
    """Return a journal of these values, one a seed; the claims are declared in its first line."""
    seeds = range(max(map(len, arms.values())))
    first = sweep_event(list(arms), seeds=seeds, claims=[each.to_json() for each in claims], **described)
    for arm in first["arms"]:
        arm["parameters"] = (fields or {}).get(arm["arm"], {})
    events = [first]
    for place, (arm, values) in enumerate(arms.items()):
        for seed, value in enumerate(values):
            status = (statuses or {}).get((arm, seed), "finished")
            made = replicate_events(arm, seed, value, status=status, start=EPOCH + 10 + 100 * place + seed)
            if metric != METRIC and status == "finished":
                made[-2]["metrics"][metric] = value
            events += made
    return merge(events)


def verdict(arms: Arms, one: Claim, **described: Any) -> Verdict:
    (found,) = judge_all(journal(arms, one, **described))
    return found


BETTER = claim("superiority", arm="a", against="b", controls="c")
PAIRWISE = claim("pairwise", arm="a", against=["b", "c", "d"])


def test_every_kind_has_a_judge() -> None:
    assert set(JUDGES) == set(KINDS)


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
    assert "an effect as large as published, -0.0353, is excluded" in found.note
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


def exact(arms: Arms, one: Claim) -> Verdict:
    """Return the verdict where the metric follows from the configuration alone."""
    metric = {"name": METRIC, "unit": "1", "direction": "minimise", "meaning": "a closed form", "exact": True}
    return verdict(arms, one, metrics=[metric], primary_metric=METRIC)


@pytest.mark.parametrize(
    ("kind", "fields", "a", "expected"),
    [
        ("superiority", {"against": "b"}, 0.1, "supported"),
        ("superiority", {"against": "b"}, 0.3, "refuted"),
        ("superiority", {"against": "b", "controls": "c"}, 0.1, "supported"),
        ("superiority", {"against": "b", "controls": "c"}, 0.16, "refuted"),
        ("equivalence", {"against": "b", "margin": 0.05, "margin_unit": "absolute"}, 0.22, "supported"),
        ("equivalence", {"against": "b", "margin": 0.05, "margin_unit": "absolute"}, 0.26, "refuted"),
        ("non_inferiority", {"against": "b", "margin": 0.05, "margin_unit": "absolute"}, 0.24, "supported"),
        ("threshold", {"bound": 0.3, "direction": "lower"}, 0.29, "supported"),
        ("threshold", {"bound": 0.3, "direction": "lower"}, 0.31, "refuted"),
        ("interval", {"bounds": [0.0, 0.3]}, 0.31, "refuted"),
    ],
)
def test_what_follows_from_the_configuration_needs_no_spread(
    kind: str, fields: dict[str, Any], a: float, expected: str
) -> None:
    arms = {"a": [a, a], "b": [0.2, 0.2], "c": [0.15, 0.15]}
    found = exact(arms, claim(kind, arm="a", **fields))
    assert found.verdict == expected
    assert found.ci_low == found.ci_high == found.effect
    assert verdict(arms, claim(kind, arm="a", **fields)).because == ("no variance",)


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


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({("a", 1): "diverged"}, ("inconclusive", ("failures",))),
        ({("c", 1): "crashed"}, ("inconclusive", ("failures",))),
        ({("a", 1): None}, ("inconclusive", ("incomplete",))),
        ({("a", 1): "pruned"}, ("inconclusive", ("incomplete",))),
        ({("a", seed): None for seed in range(5)}, ("not run", ("not run",))),
    ],
)
def test_what_is_missing_settles_nothing(statuses: Any, expected: tuple[str, tuple[str, ...]]) -> None:
    """Even where every survivor is better by far."""
    arms = {"b": around(2.5), "a": around(1.0, turn=1), "c": around(2.4, turn=2)}
    found = verdict(arms, BETTER, statuses=statuses)
    assert (found.verdict, found.because, found.effect) == (*expected, None)


def test_arms_and_metrics_that_a_journal_lacks_are_not_run() -> None:
    found = verdict({"b": around(2.5), "a": around(2.4)}, BETTER)
    assert (found.verdict, found.note) == ("not run", "not in this journal: c")
    other = claim("threshold", arm="a", metric="probe/luck", bound=0.5, direction="higher")
    found = verdict({"a": around(2.4)}, other)
    assert (found.verdict, found.because) == ("not run", ("not measured",))


def test_a_scale_that_cannot_settle_a_claim_only_indicates() -> None:
    arms = {"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.45, turn=2)}
    (found,) = judge_all(journal(arms, BETTER), [claim("superiority", arm="a", against="b", settled_at="gpu")])
    assert (found.verdict, found.because, found.is_settled) == ("supported", ("scale", "declared after"), False)


def test_when_a_claim_was_declared_is_read_from_the_journal() -> None:
    arms = {"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.45, turn=2)}
    state = journal(arms, BETTER)
    assert judge_all(state)[0].declared == "before the data"
    changed = claim("superiority", arm="a", against="b", controls="c", published_effect=-0.1)
    assert judge_all(state, [changed])[0].declared == "after the data"
    late = [sweep_event(list(arms), seeds=range(5), claims=[BETTER.to_json()], time=EPOCH + 9_000, sweep_id="z")]
    early = [sweep_event(list(arms), seeds=range(5), sweep_id="y")]
    events = [
        event
        for arm in arms
        for seed in range(5)
        for event in replicate_events(arm, seed, 2.0 + 0.1 * seed, sweep_id="y")
    ]
    assert judge_all(merge([*early, *events, *late]), [BETTER])[0].declared == "after the data"
    compact = {"compact": {"drivers": 2}}
    late[0]["provenance"] = compact
    assert judge_all(merge([*events, *late]), [BETTER])[0].declared == "unknown"
    late[0]["provenance"] = {"compact": {"drivers": 2, "declared_at": {BETTER.hash: EPOCH}}}
    assert judge_all(merge([*events, *late]), [BETTER])[0].declared == "before the data"


def test_smoke_settles_nothing_and_no_results_are_not_run() -> None:
    events = sweep_event(["b", "a", "c"], claims=[BETTER.to_json()])
    events["scale"] = "smoke"
    assert judge_all(merge([events]))[0].because == ("scale",)
    found = not_run(BETTER, "study", "gpu")
    assert (found.verdict, found.because, found.study, found.scale) == ("not run", ("not run",), "study", "gpu")


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


def test_other_configurations_of_an_arm_are_never_read() -> None:
    """Replicates of a configuration that the newest sweep does not plan are no evidence for the arm's name."""
    arms = {"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.45, turn=2)}
    state = journal(arms, BETTER, config_ids={"a": "another"})
    assert (config_id("a"), 0) in state.replicates
    assert judge_all(state)[0].verdict == "not run"


def shares(one: Claim, means: Mapping[str, float], draws: int = 150) -> dict[str, float]:
    """Return how often a claim ends in which verdict if arms have these means, seeds and noise of their own."""
    rng, found = np.random.default_rng(20261129), Counter[str]()
    for _ in range(draws):
        shared = rng.normal(0, 0.02, size=5)
        arms = {arm: list(mean + shared + rng.normal(0, 0.02, size=5)) for arm, mean in means.items()}
        found[verdict(arms, one).verdict] += 1
    return {outcome: count / draws for outcome, count in found.items()}


@pytest.mark.slow
@pytest.mark.timeout(300)
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
