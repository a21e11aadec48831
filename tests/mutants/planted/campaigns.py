"""Defects of campaigns: gates, their order, and the rules that follow from them."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_CAMPAIGN = "sweeps/campaigns/campaign.py"
_STATE = "sweeps/cli/campaign/reader.py"
_RUN = "sweeps/cli/campaign/run.py"
_STATE_TESTS = "tests/unit/sweeps/cli/campaign/test_reader.py"
_RUN_TESTS = "tests/unit/sweeps/cli/campaign/test_run.py"
_READING_TESTS = "tests/unit/sweeps/campaigns/test_campaign.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="what_is_not_settled_passes",
        meaning="a gate that nobody can judge counts as passed",
        file="sweeps/campaigns/rules.py",
        old='_OUTCOMES.get(verdict.verdict, "not judged")',
        new='_OUTCOMES.get(verdict.verdict, "passed")',
        caught_by=f"{_STATE_TESTS}::test_a_gate_that_the_seeds_do_not_settle_is_not_judged",
    ),
    Mutant(
        name="a_phase_waits_for_its_parents_only",
        meaning="a phase runs although a gate failed two phases before it",
        file=_CAMPAIGN,
        old="                needed |= set(self.phases[name].after)\n",
        new="                pass\n",
        caught_by=f"{_READING_TESTS}::test_phases_run_in_the_order_of_the_file_and_wait_for_what_they_come_after",
    ),
    Mutant(
        name="a_rule_holds_before_it_is_known",
        meaning="a rule is said to hold although a claim that it asks for is not judged",
        file="sweeps/campaigns/rules.py",
        old='return None if any(outcome == "not judged"',
        new='return True if any(outcome == "not judged"',
        caught_by=f"{_STATE_TESTS}::test_without_results_no_gate_is_judged_and_no_rule_holds",
    ),
    Mutant(
        name="other_seeds_count_as_those_of_a_phase",
        meaning="a phase with other seeds is done when the study's own seeds have run",
        file=_STATE,
        old="study = load_study(run.name, self.scale, run.sets)",
        new="study = load_study(run.name, self.scale)",
        caught_by=f"{_STATE_TESTS}::test_replicates_of_other_seeds_are_not_those_of_a_phase",
    ),
    Mutant(
        name="an_interrupt_among_several_is_lost",
        meaning="of studies that run at once, an interrupted one counts as a failure, and the campaign goes on",
        file=_RUN,
        old="if interrupted or EXIT_INTERRUPTED in codes:",
        new="if interrupted:",
        caught_by=f"{_RUN_TESTS}::test_they_run_at_the_same_time",
    ),
)
