"""The summary of a journal: counts, intervals, paired differences and readings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analysis.records import JournalError, JournalState, merge
from analysis.results import ResultRow, ResultTable, summarise
from tests.journals import EPOCH, METRIC, PHASE_A, config_id, journal_events, replicate_events, sweep_event

DESIGN_KEYS = {"study", "scale", "metric", "unit", "direction", "chance", "rows"}
DESIGN_ROW_KEYS = {"config_id", "arm", "parameters", "n", "n_failed", "statuses", "mean", "std"}
DESIGN_ROW_KEYS |= {"ci_low", "ci_high", "ci_method", "delta", "delta_ci_low", "delta_ci_high"}
DESIGN_ROW_KEYS |= {"p", "p_adjusted", "peak_memory_mib", "seconds"}
TWO = {"baseline": 2.5, "treatment": 2.4}


def table_of(*arguments: Any, metric: str | None = None, **options: Any) -> ResultTable:
    return summarise(merge(journal_events(*arguments, **options)), metric)


def row_of(table: ResultTable, arm: str) -> ResultRow:
    return next(row for row in table.rows if row.arm == arm)


def test_numbers_by_hand() -> None:
    values = {("baseline", 0): 2.0, ("baseline", 1): 3.0, ("baseline", 2): 4.0}
    values |= {("treatment", 0): 1.9, ("treatment", 1): 2.8, ("treatment", 2): 3.7}
    table = table_of(TWO, seeds=range(3), values=values)
    baseline, treatment = table.rows
    assert (baseline.mean, baseline.std) == (pytest.approx(3.0), pytest.approx(1.0))
    assert baseline.ci_low == pytest.approx(3 - 2.4841, abs=1e-4)
    assert baseline.ci_high == pytest.approx(3 + 2.4841, abs=1e-4)
    assert (baseline.delta, baseline.p, baseline.reading) == (None, None, "baseline")
    assert treatment.delta == pytest.approx(-0.2)
    assert treatment.delta_ci_low == pytest.approx(-0.2 - 2.4841 * 0.1, abs=1e-4)
    assert treatment.p == pytest.approx(0.07418, abs=1e-5)
    assert treatment.p_adjusted == treatment.p
    assert treatment.differences == {s: pytest.approx(d) for s, d in {0: -0.1, 1: -0.2, 2: -0.3}.items()}
    assert treatment.n_pairs == 3
    assert treatment.reading == "not separable at this n"
    assert treatment.peak_memory_mib == 502.0
    assert treatment.seconds == pytest.approx(60.25)


def test_json_has_the_documented_keys_and_no_nan() -> None:
    table = table_of(statuses={("coupling_2", s): "diverged" for s in range(5)})
    document = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert document.keys() >= DESIGN_KEYS
    assert all(row.keys() >= DESIGN_ROW_KEYS for row in document["rows"])
    assert document["references"] == {"3-gram": 2.9564, "5-gram": 2.4076}
    assert document["rows"][0]["values"].keys() == {"0", "1", "2", "3", "4"}
    lost = document["rows"][3]
    assert (lost["arm"], lost["n"], lost["n_failed"], lost["mean"]) == ("coupling_2", 0, 5, None)


@pytest.mark.parametrize("status", ["diverged", "crashed", "oom", "timed_out"])
def test_a_failed_seed_never_vanishes(status: str) -> None:
    table = table_of(TWO, statuses={("treatment", 3): status})
    row = row_of(table, "treatment")
    assert (row.n, row.n_failed, row.n_pairs) == (4, 1, 4)
    assert row.statuses == {status: 1, "finished": 4}
    assert row.reading == "failures"
    assert row.note == f"1 of 5 failed (1 {status}); the mean is over survivors"
    assert 3 not in row.values


def test_failures_of_the_baseline_spoil_every_comparison() -> None:
    table = table_of(statuses={("baseline", 0): "diverged"})
    assert {row.reading for row in table.rows[1:]} == {"failures"}


def test_a_finished_replicate_without_the_metric_is_a_failure() -> None:
    row = row_of(table_of(TWO, values={("treatment", 1): None}), "treatment")
    assert (row.n, row.n_failed, row.reading) == (4, 1, "failures")
    assert "1 finished without the metric" in row.note


@pytest.mark.parametrize("status", [None, "preempted"])
def test_seeds_still_to_run_make_a_row_incomplete(status: str | None) -> None:
    row = row_of(table_of(TWO, statuses={("treatment", 4): status}), "treatment")
    assert (row.n, row.n_failed, row.reading) == (4, 0, "incomplete")
    assert sum(row.statuses.values()) == 5
    assert row.note == "1 of 5 seeds not finished yet"


def test_an_empty_journal_still_names_every_arm() -> None:
    table = summarise(merge([sweep_event()]))
    assert [row.arm for row in table.rows] == list(PHASE_A)
    assert all(row.statuses == {"pending": 5} and row.mean is None for row in table.rows)
    assert (table.rows[1].reading, table.family_size) == ("incomplete", 0)


@pytest.mark.parametrize(
    ("direction", "lower_reads", "higher_reads"),
    [("minimise", "better", "worse"), ("maximise", "worse", "better"), ("none", "lower", "higher")],
)
def test_the_metric_s_direction_decides_what_is_better(direction: str, lower_reads: str, higher_reads: str) -> None:
    table = table_of({"baseline": 2.5, "low": 2.3, "high": 2.7}, direction=direction)
    assert row_of(table, "low").reading == lower_reads
    assert row_of(table, "high").reading == higher_reads
    low = row_of(table, "low").delta
    assert low is not None
    assert low < 0


def test_holm_runs_over_the_whole_table() -> None:
    table = table_of()
    rows = [row for row in table.rows if row.p is not None]
    assert table.family_size == len(rows) == 7
    smallest = min(rows, key=lambda row: row.p or 0)
    assert smallest.p_adjusted == pytest.approx(7 * (smallest.p or 0))


def test_one_seed_has_no_test() -> None:
    row = row_of(table_of(TWO, seeds=[0]), "treatment")
    assert (row.n, row.n_pairs, row.p, row.ci_method, row.reading) == (1, 1, None, None, "not attainable")
    assert row.delta is not None


def test_arms_that_are_one_configuration_share_rows_but_not_hypotheses() -> None:
    shared = {"zero_a": "zero", "zero_b": "zero"}
    table = table_of({"baseline": 2.5, "zero_a": 2.3, "zero_b": 2.3, "other": 2.4}, config_ids=shared)
    first, second = row_of(table, "zero_a"), row_of(table, "zero_b")
    assert first.values == second.values
    assert (first.p, first.p_adjusted) == (second.p, second.p_adjusted)
    assert table.family_size == 2
    assert len(table.rows) == 4


def test_an_arm_that_is_the_baseline_under_another_name_tests_nothing() -> None:
    table = table_of({"baseline": 2.5, "alias": 2.5, "other": 2.4}, config_ids={"alias": config_id("baseline")})
    alias = row_of(table, "alias")
    assert (alias.delta, alias.p_adjusted, alias.reading, table.family_size) == (0.0, None, "identical", 1)


def test_a_treatment_that_does_nothing_reads_identical() -> None:
    values = {(arm, seed): 2.5 + 0.01 * seed for arm in TWO for seed in range(5)}
    row = row_of(table_of(TWO, values=values), "treatment")
    assert (row.reading, row.delta_ci_low, row.p) == ("identical", None, 1.0)
    assert row.note == "equals the baseline exactly on every seed"


def test_a_constant_difference_is_no_proof() -> None:
    values = {("baseline", s): 2.0 + s for s in range(5)} | {("treatment", s): 1.5 + s for s in range(5)}
    row = row_of(table_of(TWO, values=values), "treatment")
    assert (row.p, row.reading) == (None, "not attainable")
    assert "no t-test" in row.note


def test_disjoint_seeds_are_compared_unpaired() -> None:
    events = journal_events(TWO)
    events[0]["arms"][1]["seeds"] = [10, 11, 12]
    for seed in (10, 11, 12):
        events += replicate_events("treatment", seed, 2.0 + 0.001 * seed, start=EPOCH + 2000 + seed)
    table = summarise(merge(events))
    row = row_of(table, "treatment")
    assert (row.comparison, row.n_pairs, row.reading) == ("Welch t", 0, "better")
    assert table.stale == 5


def test_replicates_that_the_newest_sweep_does_not_plan_are_counted_not_used() -> None:
    events = journal_events({"baseline": 2.5, "treatment": 2.4, "dropped": 2.2})
    newest = sweep_event(["baseline", "treatment"], seeds=range(4), sweep_id="b", time=EPOCH + 9999)
    table = summarise(merge([*events, newest]))
    assert [row.arm for row in table.rows] == ["baseline", "treatment"]
    assert all(row.n == 4 for row in table.rows)
    assert table.stale == 5 + 2


def test_the_baseline_comes_first_wherever_the_study_puts_it() -> None:
    events = journal_events({"a": 2.5, "b": 2.4, "c": 2.3})
    for arm, role in zip(events[0]["arms"], ("treatment", "baseline", "control"), strict=True):
        arm["role"] = role
    table = summarise(merge(events))
    assert [row.arm for row in table.rows] == ["b", "a", "c"]
    assert row_of(table, "c").delta == pytest.approx(-0.1, abs=0.02)
    assert table.baseline is table.rows[0]


def test_without_a_baseline_nothing_is_compared() -> None:
    events = journal_events(TWO)
    events[0]["arms"][0]["role"] = "treatment"
    table = summarise(merge(events))
    assert {row.reading for row in table.rows} == {"no baseline"}
    assert table.baseline is None


def test_perplexity_is_summarised_on_the_log_scale() -> None:
    bits = table_of(TWO)
    perplexity = table_of(TWO, metric="val/perplexity")
    assert (bits.delta_kind, perplexity.delta_kind) == ("difference", "relative")
    for row, in_bits in zip(perplexity.rows, bits.rows, strict=True):
        assert in_bits.mean is not None
        assert in_bits.ci_high is not None
        assert row.mean == pytest.approx(2**in_bits.mean)
        assert row.ci_high == pytest.approx(2**in_bits.ci_high)
        assert row.p == (None if in_bits.p is None else pytest.approx(in_bits.p))
    delta = bits.rows[1].delta
    assert delta is not None
    assert perplexity.rows[1].delta == pytest.approx(2**delta - 1)


def test_bad_questions_are_answered_with_the_cure() -> None:
    with pytest.raises(ValueError, match="did you mean 'val/perplexity'"):
        table_of(TWO, metric="val/perplexty")
    with pytest.raises(JournalError, match="no `sweep` line"):
        summarise(JournalState())
    assert table_of(TWO).metric == METRIC
