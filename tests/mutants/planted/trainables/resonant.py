"""Defects in the resonant family, and in how a replicate starts with what others have learnt."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_MODEL = "trainables/architectures/resonant/model.py"
_READOUT = "trainables/architectures/resonant/readout/readout.py"
_PARITY = "tests/golden/test_parity.py::test_as_published_is_as_published"
_MODEL_TESTS = "tests/unit/trainables/architectures/resonant/test_model.py"

MUTANTS = (
    Mutant(
        name="nobody_waits_for_a_prerequisite",
        meaning="a replicate starts before what it starts with has finished",
        file="sweeps/search/fixed.py",
        old="        if not unmet:\n",
        new="        if replicate:\n",
        caught_by="tests/unit/sweeps/run/test_queue.py::"
        "test_what_starts_with_the_weights_of_another_waits_until_that_has_finished",
    ),
    Mutant(
        name="weights_of_anybody",
        meaning="a replicate starts with the weights of another one than planned",
        file="trainables/training/initial_weights.py",
        old="if found != source.identity:",
        new="if not found:",
        caught_by="tests/unit/trainables/training/test_initial_weights.py::test_weights_of_another_replicate_are_refused",
    ),
    Mutant(
        name="start_is_no_part_of_the_name",
        meaning="arms that start with different weights are one configuration",
        file="trainables/config/trial.py",
        old='**({"origins": dict(weight_sources)} if weight_sources else {}),',
        new="",
        caught_by="tests/unit/trainables/training/test_initial_weights.py::test_what_it_starts_with_is_part_of_what_it_computes",
    ),
    Mutant(
        name="projection_never_frozen",
        meaning="the calibrated projection is trained from the first step",
        file=_MODEL,
        old="        self.readout.set_step(step)\n",
        new="        self.readout.set_step(10**9)\n",
        caught_by=f"{_MODEL_TESTS}::test_ridge_is_solved_before_the_first_step_and_frozen_until_its_time",
    ),
    Mutant(
        name="read_one_token_late",
        meaning="the memory is read when the answer's first token has been seen",
        file="trainables/architectures/resonant/answers.py",
        old="return (targets_BT != IGNORED).long().argmax(1)",
        new="return (targets_BT != IGNORED).long().argmax(1) + 1",
        caught_by=f"{_MODEL_TESTS}::test_what_is_read_is_taken_where_the_answer_begins",
    ),
    Mutant(
        name="targets_in_the_logits",
        meaning="a model that is given targets for its penalty predicts with them",
        file=_MODEL,
        old="                penalty = penalty + self._contrast(read_BSD, targets_BT)\n",
        new="                penalty = penalty + self._contrast(read_BSD, targets_BT)\n"
        "                logits_BTV = logits_BTV + 1e-6 * targets_BT.unsqueeze(-1)\n",
        caught_by="tests/contract/test_architectures.py::test_meets_contract"
        "[resonant-identity-2-0-{}-{'grid_x': 2, 'grid_y': 2}-{}-{'unfreeze_step': 0}-{'negatives': 4, 'dim': 8}]",
    ),
    Mutant(
        name="mask_of_the_last_tokens",
        meaning="as published, ids of the last tokens pass the mask, not those from the retrieval start on",
        file=_READOUT,
        old='        if self.mask == "window":\n',
        new='        if self.mask != "none":\n',
        caught_by=f"{_PARITY}[readout, ids that pass the mask]",
    ),
    Mutant(
        name="scaled_after_the_clamp",
        meaning="what a readout adds is scaled after it was clamped",
        file=_READOUT,
        old="(self.scale * logits_BSV).clamp(-CLAMP, CLAMP)",
        new="self.scale * logits_BSV.clamp(-CLAMP, CLAMP)",
        caught_by=f"{_PARITY}[readout, scale]",
    ),
    Mutant(
        name="calibration_in_evaluation_mode",
        meaning="as published, the forward passes of the calibration do not count",
        file=_MODEL,
        old="        self.train(self.config.ridge.in_training)\n",
        new="        self.eval()\n",
        caught_by=f"{_PARITY}[KISS-Ridge, collected and solved]",
    ),
    Mutant(
        name="calibration_by_hidden_states",
        meaning="as published, the calibration asks the memory with hidden states, not embeddings",
        file=_MODEL,
        old='        if self.config.ridge.query_of == "hidden":\n',
        new="        if True:\n",
        caught_by=f"{_PARITY}[KISS-Ridge, collected and solved]",
    ),
    Mutant(
        name="trained_head_not_kept",
        meaning="the trained head of a frozen backbone is left out of checkpoints",
        file=_MODEL,
        old="self.backbone.state_dict() if name not in trained)",
        new="self.backbone.state_dict() if name)",
        caught_by=f"{_MODEL_TESTS}::test_a_trained_head_is_all_that_is_kept_of_a_frozen_backbone",
    ),
)
