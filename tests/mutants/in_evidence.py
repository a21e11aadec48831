"""Defects of what numbers are said to mean, and of how claims are judged."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SCALES, _RATES_TESTS = "analysis/statistics/transforms.py", "tests/unit/analysis/results/test_rates.py"
_COMPARISONS, _ARMS_TESTS = "analysis/results/comparison.py", "tests/unit/analysis/results/test_arms.py"

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
        caught_by=f"{_RATES_TESTS}::test_averages_and_logits_that_disagree_settle_nothing",
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
)
