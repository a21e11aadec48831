"""Defects in pretrained models: what is swapped in, what is read on from a cache, and what is trained."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FOLDER = "trainables/architectures/pretrained"
_TESTS = f"tests/unit/{_FOLDER}"
_READ_ON = f"{_TESTS}/test_language_model.py::test_a_sequence_is_read_on_from_a_state"

MUTANTS = (
    Mutant(
        name="base_of_ten_thousand",
        meaning="a swapped scheme has the usual base and not the model's own",
        file=f"{_FOLDER}/rotary.py",
        old='encoding.with_base(declared["rope_theta"])',
        new="encoding.with_base(10_000.0)",
        caught_by=f"{_TESTS}/test_rotary.py::test_a_swapped_scheme_keeps_the_models_base",
    ),
    Mutant(
        name="positions_of_every_pass",
        meaning="positions start again with each pass that continues a sequence, also where that is not asked for",
        file=f"{_FOLDER}/sequence_state.py",
        old="device=tokens_BT.device).unsqueeze(0) + self.num_read",
        new="device=tokens_BT.device).unsqueeze(0)",
        caught_by=_READ_ON,
    ),
    Mutant(
        name="cache_that_is_shared",
        meaning="reading on changes the state that was read on from",
        file=f"{_FOLDER}/sequence_state.py",
        old="copied.layers = [copy.copy(layer) for layer in cache.layers]",
        new="copied.layers = cache.layers",
        caught_by=f"{_TESTS}/test_language_model.py::test_a_state_can_be_read_on_from_again_and_again",
    ),
    Mutant(
        name="padding_has_positions",
        meaning="padding at the left shifts the positions of what follows",
        file=f"{_FOLDER}/sequence_state.py",
        old="(column_1T - self.padding_B.unsqueeze(1)).clamp(min=0)",
        new="column_1T.expand(len(self.padding_B), -1)",
        caught_by=f"{_TESTS}/test_language_model.py::test_padding_at_the_left_changes_nothing",
    ),
    Mutant(
        name="bias_from_the_start_of_the_cache",
        meaning="ALiBi counts the distance of a continued sequence from the first key",
        file=f"{_FOLDER}/attention.py",
        old="position_S[-query.shape[2] :]",
        new="position_S[: query.shape[2]]",
        caught_by=f"{_READ_ON}[{{encoding: {{scheme: alibi}}}}]",
    ),
    Mutant(
        name="window_of_one_token_more",
        meaning="attention sees a token more than its window",
        file=f"{_FOLDER}/attention.py",
        old="sliding_window_overlay(window)",
        new="sliding_window_overlay(window + 1)",
        caught_by=f"{_TESTS}/test_attention.py::test_a_window_equals_its_definition",
    ),
    Mutant(
        name="logits_of_the_whole_prompt",
        meaning="a prompt that is read ahead takes the memory of all of its logits",
        file=f"{_FOLDER}/language_model.py",
        old="self._read(part_BT, state, keep=1)",
        new="self._read(part_BT, state, keep=0)",
        caught_by=f"{_TESTS}/test_language_model.py::test_logits_of_a_prompt_are_those_of_its_last_token_only",
    ),
    Mutant(
        name="adapter_in_the_first_layers",
        meaning="the vector is added to the first layers instead of the last",
        file=f"{_FOLDER}/adapter.py",
        old="list(blocks)[-adapter.last_layers :]",
        new="list(blocks)[: adapter.last_layers]",
        caught_by=f"{_TESTS}/test_adapter.py::test_the_vector_enters_the_last_layers",
    ),
    Mutant(
        name="frozen_weights_in_checkpoints",
        meaning="a checkpoint holds the weights of the pretrained model",
        file=f"{_FOLDER}/language_model.py",
        old="return frozenset(self.state_dict()) - frozenset(self._trained())",
        new="return frozenset()",
        caught_by=f"{_TESTS}/test_language_model.py::test_only_what_is_trained_is_saved_and_loaded",
    ),
    Mutant(
        name="one_passage_for_all_seeds",
        meaning="every seed is scored on the same passage, so that replicates of an untrained model are equal",
        file="trainables/tasks/text/language.py",
        old="start = size * int(order[seed % count])",
        new="start = size * int(order[0])",
        caught_by="tests/unit/trainables/tasks/text/test_language.py"
        "::test_passages_are_dealt_out_to_the_seeds_whole_and_disjoint",
    ),
)
