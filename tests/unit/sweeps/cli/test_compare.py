"""`compare`: what differs between two arms, and what that is worth: B − A, with the tests of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.records.compact import compact_journal
from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState, merge
from analysis.results.comparison import adjust
from analysis.results.sweeps import Side, compare_sweeps, differing_fields, match_arms
from analysis.statistics.inference import paired_comparison, welch_comparison
from sweeps.cli.compare import _field_cells
from tests.support.sweeps.journals import METRIC, config_id, journal_events, write_journal
from tests.support.sweeps.verbs import Call, caller, write_results

ARMS = {"baseline": 2.48, "coupling_2": 2.73, "coupling_0": 2.47}


def side(events: list[dict[str, Any]], title: str = "a") -> Side:
    state = merge(events)
    assert state.sweep is not None
    return Side(title, state, state.sweep)


def values(state: JournalState, arm: str, seeds: Sequence[int] = range(5)) -> list[float]:
    return [state.replicates[config_id(arm), seed].final_metrics[METRIC] for seed in seeds]


def compared(a: Side, b: Side, first: str, second: str, metric: str | None = None) -> Any:
    arms = {arm.arm: arm for arm in a.sweep.arms}[first], {arm.arm: arm for arm in b.sweep.arms}[second]
    (pair,) = compare_sweeps(a, b, [arms], [()], metric).pairs
    return pair


def with_data(events: list[dict[str, Any]], data_hash: str, arm: str = "") -> list[dict[str, Any]]:
    for described in events[0]["arms"]:
        if not arm or described["arm"] == arm:
            described["data_hash"] = data_hash
    return events


def test_two_arms_of_a_sweep_are_compared_as_the_tables_compare_them() -> None:
    a = side(journal_events(ARMS))
    pair = compared(a, a, "baseline", "coupling_2")
    expected = paired_comparison(values(a.state, "coupling_2"), values(a.state, "baseline"))
    assert expected.interval is not None
    assert (pair.delta, pair.p, pair.n_pairs, pair.method) == (expected.difference, expected.p, 5, "paired t")
    assert (pair.delta_ci_low, pair.delta_ci_high) == (expected.interval.low, expected.interval.high)
    assert pair.reading == "worse"  # B has more bits
    assert (pair.a.arm, pair.b.arm, pair.a.n, pair.b.n) == ("baseline", "coupling_2", 5, 5)
    back = compared(a, a, "coupling_2", "baseline")
    assert (back.delta, back.reading) == (-pair.delta, "better")
    assert (back.delta_ci_low, back.delta_ci_high) == (-pair.delta_ci_high, -pair.delta_ci_low)


def test_perplexity_is_compared_by_its_ratio() -> None:
    a = side(journal_events(ARMS))
    arms = {arm.arm: arm for arm in a.sweep.arms}
    found = compare_sweeps(a, a, [(arms["baseline"], arms["coupling_2"])], [()], "val/perplexity")
    assert found.delta_kind == "relative"
    ratio = 2 ** (sum(values(a.state, "coupling_2")) / 5 - sum(values(a.state, "baseline")) / 5)
    assert found.pairs[0].delta == pytest.approx(ratio - 1)


def test_arms_on_disjoint_seeds_are_compared_by_welch() -> None:
    a, b = side(journal_events(ARMS)), side(journal_events(ARMS, seeds=range(10, 15)), "b")
    pair = compared(a, b, "baseline", "coupling_2")
    expected = welch_comparison(values(b.state, "coupling_2", range(10, 15)), values(a.state, "baseline"))
    assert (pair.delta, pair.p, pair.n_pairs, pair.method) == (expected.difference, expected.p, 0, "Welch t")
    assert "unpaired, by Welch's test" in pair.note


def test_pairs_are_seeds_that_both_have_finished_and_failures_are_said() -> None:
    a = side(journal_events(ARMS, statuses={("baseline", 0): "crashed"}))
    b = side(journal_events(ARMS, statuses={("coupling_2", 4): "diverged"}), "b")
    pair = compared(a, b, "baseline", "coupling_2")
    assert (pair.n_pairs, pair.a.n, pair.b.n, pair.reading) == (3, 4, 4, "failures")
    assert pair.note.endswith(
        "A: 1 of 5 failed (1 crashed); the mean is over survivors; B: 1 of 5 failed (1 diverged); the mean is over "
        "survivors; Δ is over the 3 seeds shared with A"
    )


def test_other_data_are_not_comparable() -> None:
    a = side(with_data(journal_events(ARMS), "aaaa"))
    b = side(with_data(journal_events(ARMS), "bbbb", "coupling_2"), "b")
    assert compared(a, a, "baseline", "coupling_2").same_data is True
    pair = compared(a, b, "baseline", "coupling_2")
    assert pair.same_data is False
    assert pair.reading == "not comparable"
    assert (pair.delta, pair.delta_ci_low, pair.p, pair.p_adjusted, pair.method) == (None,) * 5
    assert "NOT COMPARABLE: the arms saw different data (aaaa and bbbb)" in pair.note
    assert compared(a, b, "baseline", "coupling_0").same_data is None


def test_other_numerics_are_said() -> None:
    events = journal_events(ARMS)
    for event in events:
        if event["event"] == "started" and event["config_id"] == config_id("coupling_2"):
            event["numerics"] = {**event["numerics"], "threads": 2}
    a = side(events)
    assert "numerics differ: threads 1 | 2" in compared(a, a, "baseline", "coupling_2").note
    assert "numerics" not in compared(a, a, "baseline", "coupling_0").note


def test_a_metric_of_another_unit_is_refused() -> None:
    a, other = side(journal_events(ARMS)), journal_events(ARMS)
    other[0]["metrics"] = [{**m, "unit": "nats"} if m["name"] == METRIC else m for m in other[0]["metrics"]]
    b = side(other, "b")
    with pytest.raises(ValueError, match=r"its unit is bits/character in a and nats in b; choose another"):
        compared(a, b, "baseline", "baseline")
    assert compared(a, b, "baseline", "baseline", "val/bits_per_byte").delta == 0
    with pytest.raises(ValueError, match="did you mean 'train/loss'"):
        compared(a, b, "baseline", "baseline", "train/los")


def test_the_same_values_are_called_identical() -> None:
    a = side(journal_events(ARMS))
    pair = compared(a, a, "baseline", "baseline")
    assert (pair.reading, pair.delta, pair.p) == ("identical", 0.0, 1.0)
    assert "both are one configuration" in pair.note


def test_one_arm_of_two_versions_is_not_compared_silently() -> None:
    a = side(journal_events({"baseline": 2.0}, config_ids={"baseline": "before"}))
    b = side(journal_events({"baseline": 2.5}, config_ids={"baseline": "since"}))
    assert (
        "two configurations (before and since): a base or a default has changed"
        in compared(a, b, "baseline", "baseline").note
    )


def described(*arms: tuple[str, str]) -> SweepInfo:
    events = journal_events({name: 2.0 for name, _ in arms}, seeds=range(1), config_ids=dict(arms))
    state = merge(events)
    assert state.sweep is not None
    return state.sweep


def test_arms_match_by_configuration_before_name_and_once() -> None:
    a = described(("base", "1"), ("x", "2"), ("y", "3"), ("z", "4"))
    b = described(("x", "1"), ("base", "9"), ("y", "8"), ("new", "2"))
    assert [(first.arm, second.arm) for first, second in match_arms(a, b)] == [
        ("base", "x"),
        ("x", "new"),
        ("y", "y"),
    ]


def test_p_values_of_a_whole_sweep_are_adjusted_over_its_pairs() -> None:
    a, b = side(journal_events(ARMS)), side(journal_events({**ARMS, "coupling_0": 2.6}, seed_spread=0.02), "b")
    pairs = match_arms(a.sweep, b.sweep)
    found = compare_sweeps(a, b, pairs, [()] * 3)
    raw = [pair.p for pair in found.pairs]
    assert [pair.p_adjusted for pair in found.pairs] == adjust(raw)
    assert (found.only_a, found.only_b) == ((), ())
    assert compare_sweeps(a, b, pairs[:1], [()]).only_b == ("coupling_2", "coupling_0")


def test_differing_fields() -> None:
    found = differing_fields({"same": 1, "x": 1, "gone": None}, {"same": 1, "x": [2], "added": False})
    assert [(d.field, d.a, d.b, d.only_in) for d in found] == [
        ("x", 1, [2], None),
        ("gone", None, None, "a"),
        ("added", None, False, "b"),
    ]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Results of `tiny` at two scales, at smoke with two arms only and other values; and a compact journal."""
    arms = {
        arm: {
            "role": "treatment",
            "note": "",
            "architecture": {"name": arm, "depth": index},
            "budget": {"steps": 9},
        }
        for index, arm in enumerate(ARMS)
    }
    write_results(tmp_path, journal_events(ARMS), arms=arms)
    smaller = journal_events(
        {"baseline": 2.9, "coupling_2": 2.4},
        seed_spread=0.02,
        config_ids={"baseline": "small-1", "coupling_2": "small-2"},
    )
    other = write_results(tmp_path, smaller, scale="smoke", arms=arms)
    config = {"config_id": "x", "seed": 0, "architecture": {"name": "baseline", "depth": 7}, "budget": {"steps": 3}}
    started = other.replicate("small-1", 0)
    started.mkdir(parents=True)
    (started / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "old.jsonl").write_text(compact_journal(tmp_path / "results/tiny/laptop"), encoding="utf-8")
    return caller(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("tiny:baseline", ":coupling_2"),
        ("tiny@laptop:baseline", "tiny@laptop:coupling_2"),
        ("tiny.yaml:baseline", f"tiny.yaml@laptop:{config_id('coupling_2')}"),
        ("results/tiny/laptop:baseline", "old.jsonl:coupling_2"),
    ],
)
def test_sweeps_are_named_by_study_folder_or_journal(call: Call, a: str, b: str) -> None:
    found = call("compare", a, b, "--json").json("compare")
    (pair,) = found["pairs"]
    assert (pair["a"]["arm"], pair["b"]["arm"], pair["n_pairs"]) == ("baseline", "coupling_2", 5)
    assert pair["delta"] == pytest.approx(0.25, abs=0.02)
    fields = {d["field"]: (d["a"], d["b"]) for d in pair["differing"]}
    assert fields.pop("number of parameters") == (812_345, 812_346)
    if found["all_fields_known"]:
        assert fields == {"architecture.name": ("baseline", "coupling_2"), "architecture.depth": (0, 1)}
    else:
        assert fields == {"architecture.variant": (None, "coupling_2")}


def test_two_sweeps_of_all_their_arms(call: Call) -> None:
    out = call("compare", "tiny", "tiny@smoke").out
    assert out.startswith("A  tiny@laptop\nB  tiny@smoke\n")
    lines = out.splitlines()
    assert any(line.split() == ["baseline", "budget.steps", "9", "3"] for line in lines)  # its own config.yaml
    assert any(line.split() == ["baseline", "architecture.depth", "0", "7"] for line in lines)
    assert next(line for line in lines if line.startswith("baseline ") and "[" in line).split()[-1] == "worse"
    assert next(line for line in lines if line.startswith("coupling_2 ") and "[" in line).split()[-1] == "better"
    assert "p two-sided, Holm-adjusted over 2 pairs" in out
    assert out.count("whether the arms saw the same data is not recorded") == 2
    assert "two configurations (coupling_2-id and small-2)" in out
    assert lines[-1] == "only in A: coupling_0"


def test_a_reader_sees_at_once_that_data_differ(call: Call, tmp_path: Path) -> None:
    for name, data in {"a": "1" * 64, "b": "2" * 64}.items():
        write_journal(tmp_path / f"{name}.jsonl", with_data(journal_events(ARMS), data))
    out = call("compare", "a.jsonl:baseline", "b.jsonl:coupling_2").out
    assert next(line for line in out.splitlines() if line.startswith("baseline | ")).endswith("not comparable")
    assert "NOT COMPARABLE: the arms saw different data (111111111111 and 222222222222)" in out
    assert "known are only the fields in which an arm departs from its study's base" in out


def test_a_field_that_is_null_is_told_from_one_that_is_not_there() -> None:
    table = [_field_cells(each) for each in differing_fields({"a": None, "b": 1}, {"c": None, "b": None})]
    assert table == [["a", "null", "no such field"], ["b", "1", "null"], ["c", "no such field", "null"]]
