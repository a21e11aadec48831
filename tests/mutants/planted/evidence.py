"""Defects of what numbers are said to mean, and of how claims are judged."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SCALES, _RATES_TESTS = "analysis/statistics/transforms.py", "tests/unit/analysis/statistics/test_transforms.py"
_COMPARISONS, _ARMS_TESTS = "analysis/results/comparison.py", "tests/unit/analysis/results/test_arms.py"
_COMPARATIVE, _JUDGE = "analysis/verdicts/comparisons.py", "analysis/verdicts/judge.py"
_JUDGE_TESTS = "tests/unit/analysis/verdicts/test_judge.py"
_COMPARED_TESTS = "tests/unit/analysis/verdicts/test_comparisons.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="arm_without_a_place_lies_elsewhere",
        meaning="a response curve is refuted by an arm of which the journal does not say where it lies",
        file="analysis/verdicts/judge.py",
        old="    if unplaced:\n",
        new="    if unplaced and False:\n",
        caught_by="tests/unit/analysis/verdicts/test_series.py::"
        "test_an_arm_whose_place_a_journal_does_not_say_is_not_taken_to_lie_elsewhere",
    ),
    Mutant(
        name="power_of_no_comparison",
        meaning="a study whose arms are all the baseline's configuration ends in a division by zero",
        file="analysis/report/provenance.py",
        old="    if pairs < 2 or not table.family_size:\n",
        new="    if pairs < 2:\n",
        caught_by="tests/unit/analysis/report/pages/test_study.py::"
        "test_a_study_whose_arms_are_all_the_baseline_has_a_page_and_tests_nothing",
    ),
    Mutant(
        name="ablation_without_blocks",
        meaning="what seeds share counts as error of an ablation's effects",
        file="analysis/statistics/block_model.py",
        old="design_NP = np.hstack([regressors_NK, in_block_BN.T])",
        new="design_NP = np.hstack([regressors_NK, np.ones((len(values_N), 1))])",
        caught_by="tests/unit/analysis/statistics/test_block_model.py::test_of_two_arms_it_is_the_paired_t_test",
    ),
    Mutant(
        name="copies_counted_as_seeds",
        meaning="an effect in which seeds differ is tested as if arms that are near copies were more seeds",
        file="analysis/results/ablations.py",
        old="return effect.over_blocks if differs and effect.over_blocks is not None else effect.test",
        new="return effect.test",
        caught_by="tests/unit/analysis/results/test_ablations.py"
        "::test_where_seeds_differ_in_an_effect_it_is_tested_over_them",
    ),
    Mutant(
        name="ablation_of_survivors",
        meaning="effects are read from the replicates that did not fail",
        file="analysis/results/ablations.py",
        old="if shortfall is not None:",
        new="if False:",
        caught_by="tests/unit/analysis/results/test_ablations.py"
        "::test_with_a_failure_nothing_is_concluded_from_the_survivors",
    ),
    Mutant(
        name="ablated_without_set",
        meaning="what `--set` changes of the whole does not reach the arms that lack a component",
        file="sweeps/studies/ablation.py",
        old="merge(draft.overlay(around, arms[around]), draft.set_arms.get(around, {}))",
        new="draft.overlay(around, arms[around])",
        caught_by="tests/unit/sweeps/studies/test_ablation.py"
        "::test_an_arm_lacks_all_fields_of_its_components_and_has_the_rest_of_the_whole",
    ),
    Mutant(
        name="typical_seed_printed_as_mean",
        meaning="the mean of rates is the mean logit brought back, which may be above four of five seeds",
        file=_SCALES,
        old="return float(np.mean(values))",
        new="return self.back(float(self.forward(values).mean()))",
        caught_by=f"{_RATES_TESTS}::test_a_mean_is_the_average_that_readers_take_it_for",
    ),
    Mutant(
        name="half_a_needle_for_half_a_token",
        meaning="the half hit of a token rate is added to its needles",
        file=_SCALES,
        old="total = self.items if self.scored is None else self.scored",
        new="total = self.items",
        caught_by=f"{_RATES_TESTS}::test_half_a_hit_is_added_to_what_was_counted",
    ),
    Mutant(
        name="better_by_logits_worse_on_average",
        meaning="a word is given where averages and logits differ in opposite directions",
        file=_COMPARISONS,
        old=" or comparison.is_contradictory:",
        new=":",
        caught_by="tests/unit/analysis/results/test_rates.py::test_averages_and_logits_that_disagree_settle_nothing",
    ),
    Mutant(
        name="equality_by_95_percent",
        meaning="two one-sided tests at .05 are read off the 95 % interval instead of the 90 % one",
        file="analysis/results/arms.py",
        old="confidence=1 - 2 * SIGNIFICANCE_LEVEL",
        new="confidence=1 - SIGNIFICANCE_LEVEL",
        caught_by=f"{_ARMS_TESTS}::test_what_others_measured_by_hand",
    ),
    Mutant(
        name="test_split_has_no_curve",
        meaning="a study that is scored on test has no curve, because only validation is scored on the way",
        file="analysis/results/curves.py",
        old='subsets = (f"{split}_subset/{name}", f"val_subset/{name}")',
        new='subsets = (f"{split}_subset/{name}",)',
        caught_by="tests/unit/analysis/results/test_curves.py::"
        "test_a_study_scored_on_test_is_drawn_on_what_is_reported_on_the_way",
    ),
    Mutant(
        name="refuted_without_holm",
        meaning="one of many comparators that happens to win refutes a claim at the level of a single test",
        file=_COMPARATIVE,
        old="adjusted = holm([1.0 if one.p_against is None else one.p_against for one in raw])",
        new="adjusted = [1.0 if one.p_against is None else one.p_against for one in raw]",
        caught_by=f"{_COMPARED_TESTS}::test_support_needs_no_correction_and_refutation_has_holms",
    ),
    Mutant(
        name="controls_unasked",
        meaning="an advantage that a model without the mechanism has as well supports the claim",
        file=_COMPARATIVE,
        old="raw += [self._one(name, is_control=True) for name in self.claim.controls]",
        new="raw += []",
        caught_by=f"{_COMPARED_TESTS}::test_true_of_the_number_but_not_of_the_mechanism_is_refuted_by_the_control",
    ),
    Mutant(
        name="equal_by_one_side",
        meaning="equivalence asks for one of its two one-sided tests",
        file=_COMPARATIVE,
        old="return _largest(inside), beyond",
        new="return min(p for p in inside if p is not None), beyond",
        caught_by=f"{_COMPARED_TESTS}::test_equivalence_is_two_one_sided_tests_either_way",
    ),
    Mutant(
        name="survivors_are_evidence",
        meaning="a claim is judged although replicates of its arms failed",
        file=_JUDGE,
        old='reasons += ["failures"] if lost and evidence.claim.kind != "receipt" else []',
        new="reasons += []",
        caught_by=f"{_JUDGE_TESTS}::test_what_is_missing_settles_nothing",
    ),
    Mutant(
        name="settled_at_any_scale",
        meaning="a laptop's results settle what only a larger scale can",
        file=_JUDGE,
        old="return _SCALES.index(scale) >= _SCALES.index(settled_at)",
        new="return True",
        caught_by=f"{_JUDGE_TESTS}::test_a_scale_that_cannot_settle_a_claim_only_indicates",
    ),
    Mutant(
        name="declared_whenever",
        meaning="a claim that was written down after the results counts as declared before them",
        file=_JUDGE,
        old="if not times or declared_at <= min(times):",
        new="if not times or declared_at <= max(times) + 1e9:",
        caught_by=f"{_JUDGE_TESTS}::test_when_a_claim_was_declared_is_read_from_the_journal",
    ),
    Mutant(
        name="zone_on_the_other_side",
        meaning="a report shades where a claim of an advantage would fail as the zone in which it holds",
        file="analysis/verdicts/zones.py",
        old="return _beyond(evidence.sign * (claim.margin or 0.0), evidence.sign)",
        new="return _beyond(evidence.sign * (claim.margin or 0.0), -evidence.sign)",
        caught_by="tests/unit/analysis/verdicts/test_zones.py::test_where_the_effect_must_lie",
    ),
    Mutant(
        name="claims_that_have_not_run_are_left_out",
        meaning="the page of all claims shows only those that were tested",
        file="analysis/report/pages/claims.py",
        old='tuple(verdict for verdict in verdicts if verdict.verdict == "not run")',
        new="()",
        caught_by="tests/unit/analysis/report/pages/test_claims.py::test_all_47_stand_on_it_with_every_test",
    ),
    Mutant(
        name="indication_told_as_settled",
        meaning="a verdict of a scale that cannot settle its claim is told as settled",
        file="analysis/report/sentences.py",
        old='if "scale" in verdict.because:',
        new='if "scales" in verdict.because:',
        caught_by="tests/unit/analysis/report/test_sentences.py::test_how_sure_it_is",
    ),
    Mutant(
        name="kit_with_changed_files_holds",
        meaning="a kit whose files were changed is verified",
        file="sweeps/cli/evidence/crate.py",
        old="if not (folder / name).is_file() or hashlib",
        new="if not (folder / name).is_file() and hashlib",
        caught_by="tests/unit/sweeps/cli/evidence/test_crate.py::test_what_is_gone_or_changed_is_named",
    ),
    Mutant(
        name="any_number_is_equal_in_law",
        meaning="a kit verifies however far the primary metric is from the recorded one",
        file="sweeps/cli/evidence/expected.py",
        old="self.primary is not None and abs(self.primary) <= tolerance",
        new="self.primary is not None",
        caught_by="tests/unit/sweeps/cli/evidence/test_expected.py::test_equal_bits_a_near_value_and_a_far_one",
    ),
    Mutant(
        name="one_replicate_without_what_it_starts_with",
        meaning="--only runs a replicate before the one whose weights it starts with",
        file="sweeps/plan/selection.py",
        old="to_add += [need for need in by_key[one].depends_on if need in by_key and need not in chosen]",
        new="to_add += []",
        caught_by="tests/unit/sweeps/plan/test_selection.py::test_what_it_starts_with_runs_before_it",
    ),
    Mutant(
        name="latex_of_raw_names",
        meaning="a name with an underscore breaks a paper's table",
        file="analysis/report/pages/paper.py",
        old='return " & ".join(map(latex_text, cells))',
        new='return " & ".join(cells)',
        caught_by="tests/unit/analysis/report/pages/test_paper.py::test_tables_of_every_committed_journal_are_latex",
    ),
    Mutant(
        name="release_despite_a_failed_gate",
        meaning="a rule holds although a claim that it asks for came out otherwise",
        file="sweeps/campaigns/rules.py",
        old='if any(outcome not in (wanted, "not judged") for outcome, wanted in pairs):',
        new='if all(outcome not in (wanted, "not judged") for outcome, wanted in pairs):',
        caught_by="tests/unit/sweeps/campaigns/test_rules.py"
        "::test_a_rule_holds_only_if_all_that_it_asks_for_came_out_so",
    ),
    Mutant(
        name="improvement_of_the_other_arm",
        meaning="the probability of improvement is that of the baseline",
        file="analysis/statistics/aggregates.py",
        old="shares = [_share_above(x, y) for x, y in zip(runs, others, strict=True)]",
        new="shares = [_share_above(y, x) for x, y in zip(runs, others, strict=True)]",
        caught_by="tests/unit/analysis/statistics/test_aggregates.py::test_points_are_those_of_rliable",
    ),
    Mutant(
        name="rounding_counted_as_error",
        meaning="a rate that was counted and rounded is said to be no count",
        file="analysis/reported/rules/counts.py",
        old="return [hits for hits in near if rate.holds(hits / items)]",
        new="return [hits for hits in near if rate.value == hits / items]",
        caught_by="tests/unit/analysis/reported/rules/test_counts.py::test_a_rate_that_was_counted_is_never_refused",
    ),
    Mutant(
        name="least_deviation_of_sorted_ends",
        meaning="a standard deviation below what the range allows passes",
        file="analysis/reported/rules/spread.py",
        old="least = narrow / math.sqrt(2 * n)",
        new="least = narrow / (2 * n)",
        caught_by="tests/unit/analysis/reported/rules/test_spread.py"
        "::test_a_deviation_of_three_lies_between_that_of_the_middle_and_that_of_the_ends",
    ),
)
