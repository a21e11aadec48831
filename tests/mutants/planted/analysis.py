"""Defects of the analysis: intervals, comparisons, what a journal adds up to."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SCALES, _RATES_TESTS = "analysis/statistics/transforms.py", "tests/unit/analysis/statistics/test_transforms.py"
_STATISTICS, _STATISTICS_TESTS = (
    "analysis/statistics/inference.py",
    "tests/unit/analysis/statistics/test_inference.py",
)
_COMPARISONS, _RESULTS_TESTS = "analysis/results/comparison.py", "tests/unit/analysis/results/test_arms.py"
_RECORDS, _RECORDS_TESTS = "analysis/records/journal.py", "tests/unit/analysis/records/test_journal.py"
_HALF_WIDTH = f"{_STATISTICS_TESTS}::test_half_width_in_standard_deviations_is_the_published_one"
_T_REACH = "_t_quantile(confidence, y.size - 1) * _standard_error(y)"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="last_attempt_alone_tells_the_code",
        meaning="a replicate that other code had begun counts as one of the present code",
        file="analysis/results/arms.py",
        old='own = {attempt.numerics.get("code", code) for attempt in replicate.attempts}',
        new='own = {attempt.numerics.get("code", code) for attempt in replicate.attempts[-1:]}',
        caught_by="tests/unit/analysis/results/test_other_code.py::"
        "test_a_replicate_of_which_other_code_computed_a_part_counts",
    ),
    Mutant(
        name="nanmean",
        meaning="a value that is not finite is left out of a mean without a word",
        file=_SCALES,
        old='raise ValueError("a value is not finite: a diverged replicate is a failure, never part of a mean")',
        new="array = array[np.isfinite(array)]",
        caught_by=f"{_STATISTICS_TESTS}::test_non_finite_values_are_refused_everywhere",
    ),
    Mutant(
        name="pooled_items",
        meaning="64 items of a seed count as 64 replicates: the interval is 8 times too narrow",
        file=_STATISTICS,
        old=_T_REACH,
        new="_t_quantile(confidence, 64 * y.size - 1) * _standard_error(np.repeat(y, 64))",
        caught_by=_HALF_WIDTH,
    ),
    Mutant(
        name="hits_pooled_over_seeds",
        meaning="five seeds without a hit count as one seed with five times the items",
        file=_SCALES,
        old="clopper_pearson(float(hits.mean()), self.items, confidence)",
        new="clopper_pearson(float(hits.sum()), hits.size * self.items, confidence)",
        caught_by=f"{_RATES_TESTS}::test_seeds_without_a_hit_say_what_the_items_of_one_seed_say",
    ),
    Mutant(
        name="pairs_forgotten_on_the_way_back",
        meaning="the interval of a difference of rates takes the arms for strangers, although its p does not",
        file=_STATISTICS,
        old="_Joint(a, b, confidence, correlation or 0.0)",
        new="_Joint(a, b, confidence)",
        caught_by=f"{_RATES_TESTS}::test_the_interval_of_a_difference_holds_0_exactly_if_the_test_does_not_reject",
    ),
    Mutant(
        name="normal_quantile",
        meaning="intervals use the normal quantile: at n = 3 they cover 81 %, not 95 %",
        file=_STATISTICS,
        old=_T_REACH,
        new="_t_quantile(confidence, 1e9) * _standard_error(y)",
        caught_by=_HALF_WIDTH,
    ),
    Mutant(
        name="degrees_of_freedom_off_by_one",
        meaning="Student's t has n degrees of freedom",
        file=_STATISTICS,
        old=_T_REACH,
        new="_t_quantile(confidence, y.size) * _standard_error(y)",
        caught_by=_HALF_WIDTH,
    ),
    Mutant(
        name="population_deviation",
        meaning="the standard deviation divides by n",
        file=_STATISTICS,
        old="np.std(np.asarray(values) / unit, ddof=1)",
        new="np.std(np.asarray(values) / unit)",
        caught_by=f"{_STATISTICS_TESTS}::test_standard_deviation_has_n_minus_one",
    ),
    Mutant(
        name="pairs_not_paired",
        meaning="arms that share their seeds are compared as strangers",
        file=_STATISTICS,
        old="TTest(float((a - b).mean()), _standard_error(a - b), a.size - 1)",
        new="_welch(a, b)",
        caught_by=f"{_STATISTICS_TESTS}::test_pairing_removes_the_spread_that_seeds_share",
    ),
    Mutant(
        name="pooled_variance",
        meaning="Welch's test assumes equal variances",
        file=_STATISTICS,
        old="(_standard_error(y) ** 2 for y in (a, b))",
        new="(np.concatenate([a - a.mean(), b - b.mean()]).var(ddof=2) / y.size for y in (a, b))",
        caught_by=f"{_STATISTICS_TESTS}::test_welch_by_hand",
    ),
    Mutant(
        name="holm_without_its_monotone_step",
        meaning="a larger p can be adjusted below a smaller one",
        file=_STATISTICS,
        old="highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))",
        new="highest = min(1.0, (len(p_values) - rank) * p_values[index])",
        caught_by=f"{_STATISTICS_TESTS}::test_holm_by_hand",
    ),
    Mutant(
        name="bonferroni_for_holm",
        meaning="every p is multiplied by the size of the family",
        file=_STATISTICS,
        old="(len(p_values) - rank)",
        new="len(p_values)",
        caught_by=f"{_STATISTICS_TESTS}::test_holm_by_hand",
    ),
    Mutant(
        name="family_of_survivors",
        meaning="an arm that failed shrinks Holm's family: the others look surer",
        file=_COMPARISONS,
        old="adjusted = holm([1.0 if p is None else p for p in p_values])",
        new="known = iter(holm([p for p in p_values if p is not None]))\n"
        "    adjusted = [1.0 if p is None else next(known) for p in p_values]",
        caught_by=f"{_RESULTS_TESTS}::test_an_arm_without_a_p_stays_in_holm_s_family",
    ),
    Mutant(
        name="reversed_direction",
        meaning="the worse arm reads better",
        file=_COMPARISONS,
        old='higher == (direction == "maximise")',
        new='higher == (direction == "minimise")',
        caught_by=f"{_RESULTS_TESTS}::test_the_metric_s_direction_decides_what_is_better",
    ),
    Mutant(
        name="better_among_survivors",
        meaning="an arm whose worst seeds diverged can read better",
        file=_COMPARISONS,
        old="if sample.num_failed or base.num_failed:",
        new="if sample.num_failed == len(sample.arm.seeds):",
        caught_by=f"{_RESULTS_TESTS}::test_equally_many_failures_are_no_fair_comparison_either",
    ),
    Mutant(
        name="pruned_is_open",
        meaning="a replicate that was stopped early on purpose is waited for for ever",
        file="analysis/records/replicates.py",
        old="if self.status in RESULTS:",
        new='if self.status in RESULTS - {"pruned"}:',
        caught_by=f"{_RESULTS_TESTS}::test_what_was_pruned_has_ended_and_is_not_compared",
    ),
    Mutant(
        name="early_look",
        meaning="a comparison is decided while seeds are still to run",
        file=_COMPARISONS,
        old="elif sample.num_open or base.num_open:",
        new="elif not sample.values:",
        caught_by=f"{_RESULTS_TESTS}::test_seeds_still_to_run_make_a_row_incomplete",
    ),
    Mutant(
        name="pairs_by_place",
        meaning="the first survivor of one arm is paired with the first of the other, whatever their seeds",
        file=_COMPARISONS,
        old="    shared = sorted(sample.values.keys() & base.values.keys())\n"
        "    if not shared:\n"
        "        return None\n"
        "    return paired_comparison(\n"
        "        [sample.values[seed] for seed in shared],\n"
        "        [base.values[seed] for seed in shared],\n",
        new="    pairs = list(zip(sample.values.values(), base.values.values(), strict=False))\n"
        "    return paired_comparison(\n"
        "        [value for value, _ in pairs],\n"
        "        [value for _, value in pairs],\n",
        caught_by=f"{_RESULTS_TESTS}::test_survivors_are_paired_by_seed",
    ),
    Mutant(
        name="failed_seed_vanishes",
        meaning="diverged replicates are not counted as failed",
        file=_COMPARISONS,
        old='return sum(self.statuses[s] for s in ("diverged", *FAILURES)) + self.num_without_metric',
        new="return sum(self.statuses[s] for s in FAILURES) + self.num_without_metric",
        caught_by=f"{_RESULTS_TESTS}::test_a_failed_seed_never_vanishes",
    ),
    Mutant(
        name="torn_line_refused",
        meaning="the journal of a killed driver cannot be read any more",
        file=_RECORDS,
        old="complete, tail = lines[:-1], lines[-1]",
        new='complete, tail = [line for line in lines if line], b""',
        caught_by=f"{_RECORDS_TESTS}::test_a_torn_last_line_is_ignored",
    ),
    Mutant(
        name="broken_line_skipped",
        meaning="a damaged line in the middle of a journal is skipped without a word",
        file=_RECORDS,
        old='        yield parse_line(line, where=f"{path}:{number}")\n',
        new="        try:\n"
        '            yield parse_line(line, where=f"{path}:{number}")\n'
        "        except JournalError:\n"
        "            continue\n",
        caught_by=f"{_RECORDS_TESTS}::test_any_other_unreadable_line_is_an_error_that_names_it",
    ),
    Mutant(
        name="merged_file_by_file",
        meaning="one driver's events are applied after another's, whatever their times",
        file=_RECORDS,
        old='key=lambda e: (e["time"], e["sweep_id"])',
        new='key=lambda e: e["sweep_id"]',
        caught_by="tests/property/test_journal_merge.py::test_every_end_is_counted_and_results_are_final",
    ),
    Mutant(
        name="merged_as_read",
        meaning="the state depends on the order in which the files are read",
        file=_RECORDS,
        old='sorted(events, key=lambda e: (e["time"], e["sweep_id"]))',
        new="events",
        caught_by="tests/property/test_journal_merge.py::test_any_interleaving_of_drivers_gives_the_same_state",
    ),
    Mutant(
        name="result_taken_back",
        meaning="a second attempt's failure replaces a result",
        file=_RECORDS,
        old="            return  # a result is final: a later failure of a second attempt cannot take it back\n",
        new="            pass\n",
        caught_by=f"{_RECORDS_TESTS}::test_a_result_is_final_whatever_a_second_attempt_says",
    ),
    Mutant(
        name="repeated_steps_stay",
        meaning="a continued replicate's curve holds the steps of the attempt that was lost",
        file="analysis/records/replicates.py",
        old="            self.reports.pop()\n",
        new="            break\n",
        caught_by=f"{_RECORDS_TESTS}::test_a_continued_replicate_replaces_the_steps_it_repeats",
    ),
    Mutant(
        name="nan_in_the_journal",
        meaning="NaN is written into a journal that no other program can read",
        file=_RECORDS,
        old="if math.isfinite(value)}",
        new="}",
        caught_by=f"{_RECORDS_TESTS}::test_clean_metrics_keeps_json_finite_and_tells_what_it_left_out",
    ),
)
