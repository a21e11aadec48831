"""Claims: what each kind needs, what is refused, and that a claim survives YAML, JSON and the journal."""

from __future__ import annotations

import dataclasses
import json
from typing import get_args

import pytest
import yaml

from analysis.claims.claim import Claim, ClaimError
from analysis.claims.kinds import KINDS, Kind
from analysis.claims.power import detectable_effect

WHOLE = {"statement": "it works", "source": "a paper", "settled_at": "gpu"}
OF_KIND = {
    "superiority": {"metric": "val/x", "arm": "a", "against": "b"},
    "non_inferiority": {"metric": "val/x", "arm": "a", "against": "b", "margin": 0.01, "margin_unit": "relative"},
    "equivalence": {"metric": "val/x", "arm": "a", "against": "b", "margin": 0.01, "margin_unit": "absolute"},
    "threshold": {"metric": "val/x - val/x_null", "arm": "a", "bound": 0.5, "direction": "higher"},
    "interval": {"metric": "val/x", "arm": "a", "bounds": [2.1, 2.2]},
    "pairwise": {"metric": "val/x", "arm": "a", "against": ["b", "c"]},
    "trend": {"metric": "val/x", "arms": ["a", "b", "c"], "over": "architecture.n", "direction": "higher"},
    "flatness": {"metric": "val/x", "arms": ["a", "b", "c"], "over": "task.length", "margin": 0.1},
    "response_curve": {"metric": "val/x", "arms": ["a", "b", "c"], "over": "probe/r", "bounds": [0.3, 0.5]},
    "association": {"metric": "val/x", "arms": ["a", "b", "c"], "over": "probe/r", "direction": "higher"},
    "factorial": {"metric": "val/x", "arms": ["a", "b", "c", "d"], "effect": ["task.p", "task.q"]},
    "failure_rate": {"arm": "a", "bound": 0.5, "direction": "higher"},
    "receipt": {"metric": "receipt/neighbours_hurt", "bound": 0.5, "direction": "lower"},
}
COMPARED = {"kind": "superiority", **OF_KIND["superiority"]}


def claim(**fields) -> Claim:
    return Claim.from_mapping({**WHOLE, **fields}, claim_id="K1")


def of_kind(kind: str, **fields) -> Claim:
    return claim(kind=kind, **{**OF_KIND[kind], **fields})


def test_every_kind_has_its_fields_and_an_example():
    fields = {field.name for field in dataclasses.fields(Claim)}
    assert set(KINDS) == set(OF_KIND) == set(get_args(Kind))
    for spec in KINDS.values():
        assert {*spec.needs, *spec.allows} <= fields


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_whole_claim_survives_yaml_json_and_itself(kind):
    made = of_kind(kind)
    again = Claim.from_mapping(
        yaml.safe_load(yaml.safe_dump({**WHOLE, "kind": kind, **OF_KIND[kind]})), claim_id="K1"
    )
    assert made == again
    assert Claim.from_mapping(json.loads(json.dumps(made.to_json()))) == made
    assert Claim.from_mapping(json.loads(json.dumps(dataclasses.asdict(made)))) == made


@pytest.mark.parametrize(("kind", "missing"), [(kind, name) for kind, spec in KINDS.items() for name in spec.needs])
def test_a_missing_field_is_named(kind, missing):
    fields = {name: value for name, value in OF_KIND[kind].items() if name != missing}
    with pytest.raises(ClaimError) as error:
        claim(kind=kind, **fields)
    assert error.value.field == missing
    assert str(error.value).startswith(f"claim 'K1': {missing}: missing")


@pytest.mark.parametrize("name", ["statement", "source", "settled_at", "kind"])
def test_every_claim_needs_words_and_a_source(name):
    fields = {**WHOLE, **COMPARED}
    del fields[name]
    with pytest.raises(ClaimError, match=f"claim 'K1': {name}: missing; every claim needs it"):
        Claim.from_mapping(fields, claim_id="K1")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**COMPARED, "bound": 1.0}, "bound: a claim of kind superiority has no use for it; remove it"),
        ({**COMPARED, "direction": "up"}, "direction: unknown direction 'up'"),
        ({**COMPARED, "statement": " "}, "statement: must not be empty"),
        ({**COMPARED, "source": 3}, "source: must be text, got 3"),
        ({**COMPARED, "against": ["b", "c"]}, "against: superiority compares with one arm"),
        ({**COMPARED, "controls": ["c", "c"]}, "controls: names one twice: c, c"),
        ({**COMPARED, "controls": [1]}, "controls: must be a name or a list of names"),
        ({**COMPARED, "margin": 0.1}, "margin_unit: missing; a margin says whether"),
        ({**COMPARED, "margin": float("nan"), "margin_unit": "absolute"}, "margin: must be a finite number"),
        ({**COMPARED, "margin": True, "margin_unit": "absolute"}, "margin: must be a finite number, got True"),
        ({"kind": "equivalence", **OF_KIND["equivalence"], "margin": 0}, "margin: must be above 0"),
        ({"kind": "interval", **OF_KIND["interval"], "bounds": [2, 1]}, "bounds: low must be below high"),
        ({"kind": "interval", **OF_KIND["interval"], "bounds": [1]}, "bounds: must be [low, high]"),
        ({"kind": "trend", **OF_KIND["trend"], "arms": ["a", "b"]}, "arms: needs at least 3, got 2"),
        ({"kind": "flatness", **OF_KIND["flatness"], "over": "step"}, "over: only a trend runs along step"),
        (
            {"kind": "factorial", **OF_KIND["factorial"], "effect": ["a", "b", "c"]},
            "effect: one field for its main",
        ),
        ({"kind": "factorial", **OF_KIND["factorial"], "arms": ["a", "b", "c"]}, "arms: needs at least 4, got 3"),
        ({"kind": "failure_rate", **OF_KIND["failure_rate"], "bound": 2}, "bound: a share lies between 0 and 1"),
        ({"kind": "receipt", **OF_KIND["receipt"], "metric": "val/x"}, "metric: a quantity of the receipt begins"),
        ({**COMPARED, "id": "K2"}, "id: is the claim's key already; remove it"),
    ],
)
def test_what_is_refused(fields, message):
    with pytest.raises(ClaimError) as error:
        Claim.from_mapping({**WHOLE, **fields}, claim_id="K1")
    assert message in str(error.value)


def test_an_id_is_a_word():
    with pytest.raises(ClaimError, match=r"claim 'K 1': id: must be a word"):
        Claim.from_mapping({**WHOLE, **COMPARED}, claim_id="K 1")


def test_a_trend_along_training_needs_one_arm_and_patterns_stand_for_any_number():
    assert of_kind("trend", arms=["a"], over="step").over == "step"
    assert of_kind("association", arms="K*").arms == ("K*",)


def test_which_metrics_and_arms_a_claim_reads():
    made = of_kind("association", metric="val/x - val/y", arms=["a", "b", "c"])
    assert made.metric_names == ("val/x", "val/y", "probe/r")
    assert made.is_over_metric and not of_kind("trend").is_over_metric
    assert of_kind("receipt").metric_names == ()


@pytest.mark.parametrize(
    ("kind", "fields", "seeds", "value"),
    [
        ("superiority", {}, 5, 1.68),
        ("superiority", {}, 3, 3.26),
        ("threshold", {}, 5, 1.242),
        ("interval", {}, 3, 2.484),
        ("equivalence", {}, 3, 1 / 0.593),
        ("equivalence", {}, 10, 1 / 1.725),
        ("failure_rate", {"bound": 0.25}, 5, 0.025**0.2),
    ],
)
def test_what_seeds_attain_agrees_with_the_tables(kind, fields, seeds, value):
    """Half-widths, detectable effects and largest spreads for TOST, as tabulated for 3, 5 and 10 seeds."""
    found = detectable_effect(of_kind(kind, **fields), seeds)
    assert found.value == pytest.approx(value, rel=5e-3)
    assert found.is_possible


def test_what_cannot_be_attained_is_said():
    assert not detectable_effect(of_kind("superiority"), 1).is_possible
    assert not detectable_effect(of_kind("failure_rate", bound=0.5), 5).is_possible  # .478 even if all five fail
    assert detectable_effect(of_kind("failure_rate", bound=0.5), 6).is_possible
    assert detectable_effect(of_kind("failure_rate", bound=0.5, direction="lower"), 6).is_possible
    assert not detectable_effect(of_kind("association"), 5).is_possible
    one, two = detectable_effect(of_kind("superiority"), 5), detectable_effect(of_kind("pairwise"), 5)
    assert two.value == one.value, "support is an intersection: each comparison at its own level, none corrected"
    assert "in each of 2 comparisons" in two.text


def test_levels_and_sides_are_those_of_the_intervals_shown():
    """Superiority, threshold and trend by one side of the 95 % interval, margins by one side of the 90 % one."""
    equal = {kind for kind, spec in KINDS.items() if spec.level == 0.05}
    assert equal == {"non_inferiority", "equivalence", "flatness"}
    assert {KINDS[kind].confidence for kind in equal} == {0.9}
    assert {spec.confidence for kind, spec in KINDS.items() if kind not in equal} == {0.95}


def test_controls_are_allowed_wherever_a_model_without_the_mechanism_can_show_the_same():
    assert {kind for kind, spec in KINDS.items() if "controls" not in spec.allows} == {"receipt"}


def test_a_published_effect_is_one_number_of_one_comparison():
    made = of_kind("superiority", published_effect=-0.0353)
    assert Claim.from_mapping(json.loads(json.dumps(made.to_json()))) == made
    for kind, fields, message in (
        ("superiority", {"published_effect": 0}, "must not be 0"),
        ("superiority", {"published_effect": "big"}, "finite number"),
        ("pairwise", {"published_effect": -0.1}, "of one comparison"),
        ("threshold", {"published_effect": -0.1}, "no use for it"),
    ):
        with pytest.raises(ClaimError, match=message):
            of_kind(kind, **fields)


def test_the_hash_is_of_everything_that_is_declared_and_of_nothing_that_is_not():
    made = of_kind("superiority")
    assert made.hash == Claim.from_mapping(json.loads(json.dumps(made.to_json()))).hash
    assert len(made.hash) == 64
    changed = [
        made,
        of_kind("superiority", margin=0.1, margin_unit="absolute"),
        of_kind("superiority", controls="c"),
        of_kind("superiority", published_effect=0.1),
        dataclasses.replace(made, statement="it does not"),
    ]
    assert len({one.hash for one in changed}) == 5
