"""Defects of searches: who climbs, what is proposed, which seeds confirm."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_LADDER, _LADDER_TESTS = "sweeps/search/ladder.py", "tests/unit/sweeps/search/test_ladder.py"
_CHOOSER, _CHOOSER_TESTS = "sweeps/search/chooser.py", "tests/unit/sweeps/search/test_chooser.py"
_MISTAKES = "tests/integration/verbs/test_user_mistakes.py"
_RECORDS_TESTS = "tests/unit/analysis/records/test_candidates.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="worse_half_climbs",
        meaning="a candidate climbs although it is not among the best of its rung",
        file=_LADDER,
        old="best.rank <= int(best.of / self._eta)",
        new="best.rank <= best.of",
        caught_by=f"{_LADDER_TESTS}::test_the_best_of_two_climbs_and_of_one_nobody",
    ),
    Mutant(
        name="hyperband_pays_a_climb",
        meaning="a candidate that begins at a later rung counts as if it had climbed from the one below",
        file=_CHOOSER,
        old="self._spent += self._cost_of_begin(decision.rung)",
        new="self._spent += self._cost(decision.rung)",
        caught_by=f"{_CHOOSER_TESTS}::test_hyperband_begins_at_every_rung_within_the_budget",
    ),
    Mutant(
        name="regret_of_later_leaders",
        meaning="a search shows the regret of a leader that it has only after it has spent more",
        file="analysis/statistics/regret.py",
        old="return path[place - 1][1] if place else math.inf",
        new="return path[min(place, len(path) - 1)][1] if path else math.inf",
        caught_by="tests/unit/analysis/statistics/test_regret.py::test_a_leader_counts_from_when_it_leads",
    ),
    Mutant(
        name="expected_best_of_a_model",
        meaning="candidates that a model proposed count as random ones, so that few seem to be enough",
        file="analysis/results/expected_best.py",
        old="drawn = [one for one in candidates if one.by in DRAWN_BY]",
        new="drawn = list(candidates)",
        caught_by="tests/unit/analysis/results/test_expected_best.py"
        "::test_what_a_model_or_somebody_proposed_does_not_count",
    ),
    Mutant(
        name="optuna_has_one_objective",
        meaning="in Optuna's terms every objective has the value of the first",
        file="sweeps/search/optuna_export.py",
        old="return list(row.objectives.values()) or [scores[max(scores)]]",
        new="return [scores[max(scores)]] * max(1, len(row.objectives))",
        caught_by="tests/unit/sweeps/search/test_optuna_export.py::test_all_objectives_are_values",
    ),
    Mutant(
        name="enqueued_after_the_winner",
        meaning="a point is taken for a search that is over, and never tried",
        file="sweeps/cli/search/enqueue.py",
        old="if chosen in over:",
        new="if False:",
        caught_by="tests/unit/sweeps/cli/search/test_enqueue.py::test_a_search_that_is_over_takes_none",
    ),
    Mutant(
        name="told_by_a_search_that_goes_on",
        meaning="a search is told what may change, so that after a restart it proposes otherwise",
        file="sweeps/plan/search/warm_start.py",
        old="if any(search.arm == arm and search.stopped_because is None for search in found.searches):",
        new="if False:",
        caught_by="tests/unit/sweeps/plan/search/test_warm_start.py::test_what_cannot_be_told_is_refused",
    ),
    Mutant(
        name="importance_over_survivors",
        meaning="fields are weighed among candidates that a model proposed, though they were to be left out",
        file="sweeps/search/importance.py",
        old="if only_space_filling:",
        new="if False:",
        caught_by="tests/unit/sweeps/search/test_importance.py::test_candidates_of_a_model_can_be_left_out",
    ),
    Mutant(
        name="failures_lead",
        meaning="a candidate of which a seed failed wins by its other seeds",
        file=_LADDER,
        old="if math.isfinite(loss) and config_id not in self._failed:",
        new="if math.isfinite(loss):",
        caught_by=f"{_LADDER_TESTS}::test_what_fails_after_a_score_neither_climbs_nor_leads",
    ),
    Mutant(
        name="candidates_twice",
        meaning="points that compute the same are trained twice",
        file=_CHOOSER,
        old="if config_id in self.proposals:\n            return None",
        new="if False:\n            return None",
        caught_by=f"{_CHOOSER_TESTS}::test_what_computes_the_same_is_proposed_once",
    ),
    Mutant(
        name="stateful_proposals",
        meaning="a search that was killed goes on with other proposals",
        file="sweeps/search/samplers.py",
        old="self.space.sample(random.Random(stream(self.seed, number)))",
        new="self.space.sample(random.Random(id(tried)))",
        caught_by="tests/unit/sweeps/search/test_samplers.py::test_points_depend_on_the_number_alone",
    ),
    Mutant(
        name="failures_told_as_good",
        meaning="the model goes on proposing what fails",
        file="sweeps/search/optuna_samplers.py",
        old="failed = math.isinf(one.loss)",
        new="failed, one = False, Tried(one.point, min(one.loss, 0.0) if math.isinf(one.loss) else one.loss)",
        caught_by="tests/unit/sweeps/search/test_optuna_samplers.py::test_it_learns_and_stays_away_from_what_fails",
    ),
    Mutant(
        name="failures_that_look_good",
        meaning="a model of the losses is drawn to what fails, since it is told as good",
        file="sweeps/search/optuna_samplers.py",
        old="values=worst if failed else _values(one),",
        new="values=[0.0] * len(worst) if failed else _values(one),",
        caught_by="tests/unit/sweeps/search/test_optuna_samplers.py"
        "::test_it_learns_and_stays_away_from_what_fails[gp-8-40]",
        is_slow=True,
    ),
    Mutant(
        name="old_scores_told",
        meaning="a model goes on being told what a candidate scored at a lower rung",
        file="sweeps/search/optuna_samplers.py",
        old="keys = [(id(one), worst",
        new="keys = [(str(one.point), worst",
        caught_by="tests/unit/sweeps/search/test_optuna_samplers.py"
        "::test_what_a_sampler_was_told_before_changes_nothing",
    ),
    Mutant(
        name="winner_on_its_own_seeds",
        meaning="a winner is reported on the seeds that chose it",
        file="analysis/records/candidates.py",
        old="            return info.confirm_seeds\n",
        new="            return info.seeds\n",
        caught_by=f"{_RECORDS_TESTS}::test_the_winner_stands_for_its_arm_with_its_fresh_seeds_only",
    ),
    Mutant(
        name="winner_off_the_front",
        meaning="of several objectives the best in the first one alone is taken, and the front forgotten",
        file=_CHOOSER,
        old="        if not known:\n            return self._ladder",
        new="        if known:\n            return self._ladder",
        caught_by="tests/unit/sweeps/search/test_searching.py::test_of_several_objectives_the_front_is_selected",
    ),
    Mutant(
        name="generations_forgotten",
        meaning="NSGA-II sees no candidate as a parent, and proposes at random",
        file="sweeps/search/optuna_samplers.py",
        old="system_attrs=dict(OF_FIRST_GENERATION),",
        new="system_attrs={},",
        caught_by="tests/unit/sweeps/search/test_optuna_samplers.py::test_nsga2_finds_a_wider_front_than_chance",
    ),
    Mutant(
        name="ablated_as_declared",
        meaning="an ablation around a winner has the declared settings, not those that were found",
        file="sweeps/plan/search/candidates.py",
        old="{**point, **self.ablation.settings[name]}",
        new="self.ablation.settings[name]",
        caught_by="tests/unit/sweeps/plan/search/test_candidates.py"
        "::test_an_ablation_around_a_winner_searches_the_whole_only",
    ),
    Mutant(
        name="tuned_back",
        meaning="an arm that is tuned again finds the component that was taken from it",
        file="sweeps/studies/search_sections.py",
        old="if field in flat and not any(",
        new="if field in flat or any(",
        caught_by="tests/unit/sweeps/plan/search/test_candidates.py"
        "::test_arms_that_are_tuned_again_have_equal_budgets_and_keep_what_they_lack",
    ),
    Mutant(
        name="looks_at_the_whole_level",
        meaning="each look at fresh seeds is read at the whole level, so that looks find what is not there",
        file="analysis/statistics/looks.py",
        old="return min(1.0, p / share)",
        new="return p",
        caught_by="tests/unit/sweeps/plan/search/test_confirmation.py::test_a_look_is_read_at_its_own_level",
    ),
    Mutant(
        name="looks_that_never_settle",
        meaning="more fresh seeds start although every winner can be told from the baseline",
        file="analysis/records/candidates.py",
        old="(bool(taken) and taken[-1].is_settled)",
        new="False",
        caught_by="tests/unit/sweeps/plan/search/test_confirmation.py::test_a_large_effect_needs_the_first_look_only",
    ),
    Mutant(
        name="confirmed_on_searched_seeds",
        meaning="fresh seeds may be those of the search",
        file="sweeps/studies/search_sections.py",
        old="met = sorted(set(given) & set(seeds))",
        new="met = sorted(set(given) & set())",
        caught_by=f"{_MISTAKES}::test_mistake[confirm seeds that meet search seeds]",
    ),
    Mutant(
        name="waiting_is_dropped",
        meaning="a candidate that may still climb is called dropped",
        file="analysis/results/candidates.py",
        old="""return f"{'dropped' if search.stopped_because else 'waiting'} at rung {row.rung}\"""",
        new="""return f"{'dropped'} at rung {row.rung}\"""",
        caught_by="tests/unit/analysis/results/test_candidates.py::"
        "test_who_may_still_climb_waits_and_is_not_dropped",
    ),
    Mutant(
        name="thinned_rungs",
        meaning="a compact journal leaves out what a search compared",
        file="analysis/records/compact.py",
        old="return {rung.steps for rung in search.rungs} if search else set()",
        new="return set()",
        caught_by="tests/unit/analysis/records/test_compact_search.py::test_scores_at_rungs_survive_the_thinning",
    ),
    Mutant(
        name="early_scores_are_values",
        meaning="Optuna is given a score after few steps as the value of a trial",
        file="sweeps/search/optuna_export.py",
        old="return TrialState.PRUNED if found.is_over else TrialState.RUNNING",
        new="return TrialState.COMPLETE",
        caught_by="tests/unit/sweeps/search/test_optuna_export.py::"
        "test_candidates_are_trials_with_their_scores_at_rungs",
    ),
)
