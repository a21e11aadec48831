"""Defects of what surrounds a sweep: several workers, plugins, grids, clearing up, exports, jobs."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_ATTEMPT = "tests/unit/trainables/worker/test_attempt.py"
_DISTRIBUTED_TESTS = "tests/integration/test_distributed_loop.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="gradients_averaged_not_summed",
        meaning="two workers take half the step that one takes",
        file="trainables/training/parallel/single_process.py",
        old="self.gradient_scale = float(ranks.size)",
        new="self.gradient_scale = 1.0",
        caught_by=f"{_DISTRIBUTED_TESTS}::test_two_workers_compute_what_one_does",
    ),
    Mutant(
        name="workers_share_their_noise",
        meaning="every worker of a trial draws the same dropout masks and phase noise",
        file="trainables/training/loop.py",
        old="of_all = self.ranks.rank * len(parts) + index",
        new="of_all = index",
        caught_by=f"{_DISTRIBUTED_TESTS}::test_two_workers_are_one_worker_in_two_micro_batches_noise_included",
    ),
    Mutant(
        name="plugin_edited_unseen",
        meaning="results of a plugin's earlier code count for its new code",
        file="trainables/config/trial.py",
        old='            **{f"{part}_plugin": plugin.sha256 for part, plugin in self.plugins.items()},\n',
        new="",
        caught_by="tests/unit/sweeps/studies/test_plugins.py::test_the_hash_of_the_code_is_part_of_the_config_id_and_only_where_the_code_is",
    ),
    Mutant(
        name="grid_repeats_points",
        meaning="points of a grid that compute the same, such as K = 0 with either sign, are arms of their own",
        file="sweeps/studies/grid.py",
        old="groups.setdefault(self._compute(reduced, canonical), [])",
        new="groups.setdefault(str(point), [])",
        caught_by="tests/unit/sweeps/studies/test_grid.py::test_points_that_compute_the_same_are_one_arm_named_by_what_matters",
    ),
    Mutant(
        name="reopened_keeps_its_old_curve",
        meaning="a replicate that runs again with other code ends with reports of the old code in its curve",
        file="analysis/records/replicates.py",
        old="reports=[] if anew else self.reports",
        new="reports=self.reports",
        caught_by="tests/unit/analysis/records/test_journal.py::test_what_a_reopened_replicate_has_not_repeated_stays_if_it_continues",
    ),
    Mutant(
        name="export_of_survivors",
        meaning="an exported table holds the finished replicates only",
        file="analysis/results/export.py",
        old="return [_replicate(each, sweep, fields) for each in _replicates(state, sweep)]",
        new='return [_replicate(e, sweep, fields) for e in _replicates(state, sweep) if e.status == "finished"]',
        caught_by="tests/unit/sweeps/cli/test_results.py::test_every_replicate_is_a_row_with_parameters_metrics_and_numerics",
    ),
    Mutant(
        name="gc_beside_a_driver",
        meaning="checkpoints are removed under a sweep that runs",
        file="sweeps/store/cleanup.py",
        old="    if at_work:\n",
        new="    if len(at_work) > 1:\n",
        caught_by="tests/unit/sweeps/store/test_cleanup.py::test_nothing_is_removed_while_a_driver_is_at_work",
    ),
    Mutant(
        name="upload_of_any_size",
        meaning="a job that is too large is refused only after its upload",
        file="sweeps/jobs/package.py",
        old="if self.upload_bytes <= limit_bytes:",
        new="if self.upload_bytes:",
        caught_by="tests/unit/sweeps/jobs/test_package.py::test_too_large_is_refused_with_the_largest_files",
    ),
    Mutant(
        name="taken_over_by_the_clock",
        meaning="what a driver takes over from one with a fast clock is ordered before it, and lost",
        file="sweeps/store/journal.py",
        old="            self._last_time = max(self._last_time, event_time)\n",
        new="            pass\n",
        caught_by="tests/unit/sweeps/run/test_recorder.py::test_what_is_taken_over_counts_though_the_dead_drivers_clock_was_fast",
    ),
    Mutant(
        name="silence_does_not_count",
        meaning="a frozen process is never ended",
        file="sweeps/run/deadlines.py",
        old="trial.silent_seconds += seconds",
        new="trial.silent_seconds += 0.0",
        caught_by="tests/unit/sweeps/run/test_deadlines.py::test_every_word_and_every_new_start_sets_the_clock_back",
    ),
    Mutant(
        name="damaged_checkpoint_met_for_ever",
        meaning="a checkpoint that a power loss has torn crashes every later attempt, or is continued with a hole",
        file="trainables/training/checkpoints.py",
        old="if damage := _damage(path):",
        new="if damage := '':",
        caught_by=f"{_ATTEMPT}::test_a_damaged_checkpoint_is_set_aside_and_training_starts_from_the_first_step",
    ),
    Mutant(
        name="checkpoints_at_reports_only",
        meaning="a stop loses what was trained since the last report",
        file="trainables/training/loop.py",
        old="                between_steps(self)\n",
        new="                pass\n",
        caught_by=f"{_ATTEMPT}::test_an_orderly_stop_between_two_reports_loses_nothing[signal]",
    ),
    Mutant(
        name="seconds_of_the_last_attempt_only",
        meaning="a replicate that was interrupted counts a part of what it took, in forecasts and published costs",
        file="trainables/worker/attempt.py",
        old="self._spent_before = Spent(**trainer.spent)",
        new="self._spent_before = Spent()",
        caught_by=f"{_ATTEMPT}::test_seconds_count_the_work_of_every_attempt_that_was_kept",
    ),
    Mutant(
        name="batch_cut_whatever_it_changes",
        meaning="micro-batches give results of another law under the same name",
        file="sweeps/plan/batch_splits.py",
        old="depends_on_split(arm.config) if part < whole else",
        new="depends_on_split(arm.config) if part > whole else",
        caught_by="tests/unit/sweeps/plan/test_batch_splits.py::test_a_cut_that_would_change_a_result_is_refused",
    ),
    Mutant(
        name="other_code_goes_on",
        meaning="a checkpoint that other code has computed is continued, and the result is of neither",
        file="trainables/training/checkpoints.py",
        old='if state.get("code") != code:',
        new="if False:",
        caught_by="tests/unit/trainables/worker/test_attempt.py::test_what_other_code_has_begun_starts_anew",
    ),
)
