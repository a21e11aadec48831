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
)
