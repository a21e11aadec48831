"""The summary of a journal: counts, intervals, paired differences and readings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.records.description import JournalError
from analysis.records.journal import JournalState, merge, read_journal
from analysis.results.arms import summarise
from analysis.results.table import ResultRow, ResultTable
from tests.support.sweeps.journals import (
    EPOCH,
    METRIC,
    PHASE_A,
    config_id,
    journal_events,
    replicate_events,
    sweep_event,
)

NANOGPT = {"name": "nanoGPT", "metric": METRIC, "values": [2.0, 3.0, 4.0, 5.0, 6.0], "source": "its README"}
TWO = {"baseline": 2.5, "treatment": 2.4}
SHARED = "Δ is over the 4 seeds shared with the baseline"


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


@pytest.mark.parametrize("status", ["diverged", "crashed", "oom", "timed_out"])
def test_a_failed_seed_never_vanishes(status: str) -> None:
    table = table_of(TWO, statuses={("treatment", 3): status})
    row = row_of(table, "treatment")
    assert (row.n, row.n_failed, row.n_pairs) == (4, 1, 4)
    assert row.statuses == {status: 1, "finished": 4}
    assert row.reading == "failures"
    assert row.note == f"1 of 5 failed (1 {status}); the mean is over survivors; {SHARED}"
    assert 3 not in row.values


def test_equally_many_failures_are_no_fair_comparison_either() -> None:
    statuses = {("baseline", 0): "diverged", ("treatment", 1): "diverged"}
    row = row_of(table_of({"baseline": 2.5, "treatment": 2.0}, statuses=statuses), "treatment")
    assert (row.n, row.n_failed, row.n_pairs, row.reading) == (4, 1, 3, "failures")
    assert row.p_adjusted is not None
    assert row.p_adjusted < 0.05


def test_survivors_are_paired_by_seed() -> None:
    """Every seed shifts both arms by 1; the treatment is .2 lower, give or take .01."""
    values = {("baseline", seed): 2.0 + seed for seed in range(5)}
    values |= {("treatment", seed): 1.8 + seed + 0.01 * (-1) ** seed for seed in range(5)}
    statuses = {("baseline", 0): "crashed", ("treatment", 4): "crashed"}
    row = row_of(table_of(TWO, values=values, statuses=statuses), "treatment")
    assert row.n_pairs == 3
    assert row.delta == pytest.approx(-0.2, abs=0.01)
    assert row.delta_ci_high is not None and row.delta_ci_high < 0


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
    assert row.note == f"1 of 5 seeds not finished yet; {SHARED}"


def test_what_was_pruned_has_ended_and_is_not_compared() -> None:
    """It is a result, no failure and not waited for; but the mean is over those that were not stopped."""
    row = row_of(table_of(TWO, statuses={("treatment", 4): "pruned"}), "treatment")
    assert (row.n, row.n_failed, row.reading) == (4, 0, "pruned")
    assert row.note == f"1 of 5 pruned, without a final value; {SHARED}"


def test_an_empty_journal_still_names_every_arm() -> None:
    table = summarise(merge([sweep_event()]))
    assert [row.arm for row in table.rows] == list(PHASE_A)
    assert all(row.statuses == {"pending": 5} and row.mean is None for row in table.rows)
    assert (table.rows[1].reading, table.family_size) == ("incomplete", 7)


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


def test_an_arm_without_a_p_stays_in_holm_s_family() -> None:
    lost = {("coupling_2", seed): "diverged" for seed in range(5)}
    whole, table = table_of(), table_of(statuses=lost)
    assert (row_of(table, "coupling_2").p, row_of(table, "coupling_2").p_adjusted) == (None, None)
    assert table.family_size == whole.family_size == 7
    best = row_of(table, "prefix_mean_pool")
    assert best.p == min(row.p for row in table.rows if row.p is not None)
    assert best.p_adjusted == pytest.approx(7 * (best.p or 0))


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
    assert all(row.n == 5 for row in table.rows), "a seed that was computed is not left out by planning fewer"
    assert table.stale == 5


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


def test_bad_questions_are_answered_with_the_fix() -> None:
    with pytest.raises(ValueError, match="did you mean 'val/perplexity'"):
        table_of(TWO, metric="val/perplexty")
    with pytest.raises(JournalError, match="no `sweep` line"):
        summarise(JournalState())
    assert table_of(TWO).metric == METRIC


THREE = {"baseline": 2.5, "winner": 2.4, "control": 2.4}
THREE_VALUES = {
    (arm, seed): value + seed for seed in range(3) for arm, value in (("baseline", 9.0), ("control", 2.0))
}
THREE_VALUES |= {("winner", 0): 1.9, ("winner", 1): 2.8, ("winner", 2): 3.7}


def contrast(arm: str, against: str) -> dict[str, str]:
    return {"arm": arm, "against": against, "meaning": f"what {arm} has and {against} lacks"}


def test_contrasts_by_hand() -> None:
    """Differences -.1, -.2, -.3: mean -.2, sd .1, t = 3.4641 with 2 degrees of freedom, p = .0742."""
    planned = [contrast("winner", "control"), contrast("control", "winner")]
    table = table_of(THREE, seeds=range(3), values=THREE_VALUES, contrasts=planned)
    first, second = table.contrasts
    assert (first.arm, first.against, first.n_pairs) == ("winner", "control", 3)
    assert first.meaning == "what winner has and control lacks"
    assert first.delta == pytest.approx(-0.2)
    assert first.ci_low == pytest.approx(-0.2 - 2.4841 * 0.1, abs=1e-4)
    assert first.ci_high == pytest.approx(-0.2 + 2.4841 * 0.1, abs=1e-4)
    assert first.p == pytest.approx(0.07418, abs=1e-5)
    assert first.p_adjusted == pytest.approx(2 * 0.07418, abs=2e-5)  # Holm over the contrasts, not the rows
    assert (first.reading, first.note) == ("not separable at this n", "")
    assert second.delta == pytest.approx(0.2)
    assert table.family_size == 2


def test_a_contrast_reads_by_the_metric_s_direction_and_relative_on_the_log_scale() -> None:
    planned = [contrast("kuramoto_32", "prefix_mean_pool")]
    assert [row.reading for row in table_of(contrasts=planned).contrasts] == ["better"]
    assert [row.reading for row in table_of(contrasts=planned, direction="maximise").contrasts] == ["worse"]
    bits = table_of(contrasts=planned).contrasts[0].delta
    perplexity = table_of(contrasts=planned, metric="val/perplexity").contrasts[0].delta
    assert bits is not None
    assert perplexity == pytest.approx(2**bits - 1)


def test_failures_on_either_side_of_a_contrast_are_told_and_keep_their_place_in_its_family() -> None:
    statuses = {("coupling_2", seed): "diverged" for seed in range(5)} | {("repulsive", 3): "crashed"}
    planned = [contrast("kuramoto_32", other) for other in ("coupling_2", "repulsive", "prefix_mean_pool")]
    lost, survivors, whole = table_of(statuses=statuses, contrasts=planned).contrasts
    assert (lost.delta, lost.p, lost.p_adjusted, lost.reading) == (None, None, None, "failures")
    assert lost.note == "coupling_2: 5 of 5 failed (5 diverged)"
    assert (survivors.n_pairs, survivors.reading) == (4, "failures")
    shared = "Δ is over the 4 seeds shared with repulsive"
    assert survivors.note == f"repulsive: 1 of 5 failed (1 crashed); the mean is over survivors; {shared}"
    assert (whole.reading, whole.note) == ("better", "")
    ranked = sorted(row.p for row in (survivors, whole) if row.p is not None)
    assert min(row.p_adjusted for row in (survivors, whole) if row.p_adjusted) == pytest.approx(3 * ranked[0])


def test_contrasts_of_disjoint_seeds_say_so_and_unknown_arms_are_refused() -> None:
    events = journal_events(TWO, contrasts=[contrast("treatment", "baseline")])
    events[0]["arms"][1]["seeds"] = [10, 11, 12]
    for seed in (10, 11, 12):
        events += replicate_events("treatment", seed, 2.0 + 0.001 * seed, start=EPOCH + 2000 + seed)
    row = summarise(merge(events)).contrasts[0]
    assert (row.n_pairs, row.reading) == (0, "better")
    assert row.note == "unpaired, by Welch's test: the arms were planned on disjoint seeds"
    with pytest.raises(JournalError, match="names no arm of the sweep: tretment"):
        table_of(TWO, contrasts=[contrast("tretment", "baseline")])


def test_what_others_measured_by_hand() -> None:
    """Means 3 and 4, variances 1 and 2.5, n 3 and 5: t = -1 / sqrt(5/6), df = (5/6)^2 / (1/18 + 1/16)."""
    values = {("baseline", 0): 2.0, ("baseline", 1): 3.0, ("baseline", 2): 4.0}
    other = {**NANOGPT, "metric": "val/nats_per_token"}
    table = table_of(TWO, seeds=range(3), values=values, external=[NANOGPT, other])
    assert len(table.external) == 1  # the other is of another metric
    row = table.external[0]
    assert (row.name, row.source, row.n, row.mean) == ("nanoGPT", "its README", 5, 4.0)
    assert row.std == pytest.approx(2.5**0.5)
    assert (row.baseline_n, row.baseline_mean) == (3, 3.0)
    assert row.difference == pytest.approx(-1.0)
    assert row.p == pytest.approx(0.3161, abs=1e-4)  # t = 1.0954 with 5.882 degrees of freedom
    assert row.ci_low == pytest.approx(-1 - 2.4588 * (5 / 6) ** 0.5, abs=1e-3)
    assert row.ci_high == pytest.approx(-1 + 2.4588 * (5 / 6) ** 0.5, abs=1e-3)
    assert row.equal_within == pytest.approx(1 + 1.9497 * (5 / 6) ** 0.5, abs=1e-3)  # t of .95, not of .975
    assert row.note == ""


def test_agreement_with_nanogpt_is_the_published_tost() -> None:
    """Ours 1.9073 against theirs: TOST passes at ± .015 (p .023) and not at ± .01 (p .137)."""
    state = read_journal(Path("docs/results/nanogpt_cpu.jsonl"))
    (row,) = summarise(state).external
    assert row.equal_within == pytest.approx(0.0129, abs=5e-5)
    assert 0.01 < row.equal_within < 0.015


def test_partly_shared_seeds_say_what_the_difference_is_over() -> None:
    """Seeds 0 to 3 against 3 to 6: the one difference is no difference of the two means printed beside it."""
    events = journal_events({"baseline": 2.5}, seeds=range(4))
    events[0]["arms"].append({**events[0]["arms"][0], "arm": "late", "config_id": "late-id", "role": "treatment"})
    events[0]["arms"][1]["seeds"] = [3, 4, 5, 6]
    for seed in (3, 4, 5, 6):
        events += replicate_events("late", seed, 2.0 + 0.1 * seed, start=EPOCH + 900 + seed)
    row = row_of(summarise(merge(events)), "late")
    assert (row.n, row.n_pairs, row.reading) == (4, 1, "not attainable")
    assert row.note == "Δ is over the 1 seed shared with the baseline"


@pytest.mark.parametrize(("num_seeds", "is_marked"), [(2, True), (3, False)])
def test_a_word_from_two_seeds_is_marked(num_seeds: int, is_marked: bool) -> None:
    values = {("baseline", seed): 2.5 + 0.1 * seed for seed in range(num_seeds)}
    values |= {("treatment", seed): 2.0 + 0.1 * seed + 1e-4 * seed for seed in range(num_seeds)}
    row = row_of(table_of(TWO, seeds=range(num_seeds), values=values), "treatment")
    assert row.reading == "better"
    assert ("rests on two seeds, one degree of freedom" in row.note) == is_marked


def test_an_arm_without_randomness_says_that_it_is_one_number() -> None:
    values = {("treatment", seed): 2.4 for seed in range(5)}
    row = row_of(table_of(TWO, values=values), "treatment")
    assert (row.n, row.ci_low) == (5, None)
    assert row.note == "all 5 seeds score exactly the same: one number, not 5 independent ones"


def test_rows_that_fail_by_the_baseline_say_so() -> None:
    lost = {("baseline", seed): "diverged" for seed in range(5)}
    row = row_of(table_of(TWO, statuses=lost), "treatment")
    assert (row.reading, row.note) == ("failures", "the baseline: 5 of 5 failed (5 diverged)")


def test_what_others_measured_is_told_before_we_have_and_with_our_failures() -> None:
    row = summarise(merge([sweep_event(external=[NANOGPT])])).external[0]
    assert (row.mean, row.baseline_n, row.baseline_mean, row.difference, row.p) == (4.0, 0, None, None, None)
    assert row.note == "5 of 5 seeds not finished yet"
    row = table_of(statuses={("baseline", 1): "diverged"}, external=[NANOGPT]).external[0]
    assert (row.baseline_n, row.note) == (4, "1 of 5 failed (1 diverged); the mean is over survivors")


def test_a_metric_that_does_not_apply_to_an_arm_is_no_failure() -> None:
    arms = {"baseline": 2.5, "kuramoto_32": 2.4, "kuramoto_64": 2.4}
    table = table_of(arms, metric="probe/order_positions", contrasts=[contrast("kuramoto_32", "kuramoto_64")])
    baseline, phases = table.rows[0], table.rows[1]
    assert (baseline.n, baseline.n_failed, baseline.note) == (0, 0, "does not report this metric")
    assert (phases.n, phases.reading, phases.note) == (5, "not measured", "")
    assert table.contrasts[0].n_pairs == 5
    partly = journal_events(arms)
    for event in partly:
        if event.get("config_id") == config_id("kuramoto_32") and event.get("seed") == 0:
            event.get("metrics", {}).pop("probe/order_positions", None)
    row = row_of(summarise(merge(partly), "probe/order_positions"), "kuramoto_32")
    assert (row.n_failed, row.reading) == (1, "failures")
