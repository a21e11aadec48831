"""Defects in the TPI family: its scan, its phases, its probes, and the tasks that it is measured on."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_SCAN = "trainables/layers/phase_scan.py"
_SUM = "trainables/layers/decayed_sum.py"
_MIXER = "trainables/architectures/tpi/mixer.py"
_PHASES = "trainables/architectures/tpi/phases.py"
_CONTROL = "trainables/architectures/controls/diagonal_ssm.py"
_RECALL = "trainables/tasks/recall/task.py"
_FACTS = "trainables/tasks/facts/task.py"

_SCAN_TESTS = "tests/unit/trainables/layers/test_phase_scan.py"
_NUMERICS = "tests/unit/trainables/layers/test_phase_scan_numerics.py"
_DEFINITION = f"{_SCAN_TESTS}::test_every_decay_and_window_equals_the_definition_with_gradients"
_LAYER_TESTS = "tests/unit/trainables/architectures/tpi/test_mixer.py"
_TPI_TESTS = "tests/unit/trainables/architectures/tpi/test_config.py"
_RECALL_TESTS = "tests/unit/trainables/tasks/recall/test_task.py"
_FACTS_TESTS = "tests/unit/trainables/tasks/test_copy_and_facts.py"
_STREAMED = "tests/contract/test_architectures.py::test_meets_contract"
_PARITY = "tests/golden/test_parity.py::test_as_published_is_as_published"

_OF_THE_SCAN = (
    Mutant(
        name="newest_term_decays",
        meaning="what is added at a step decays in that step already",
        file=_SUM,
        old="sums.append(torch.addcmul(x_D, decay_D, sums[-1]))",
        new="sums.append(decay_D * (x_D + sums[-1]))",
        caught_by=f"{_DEFINITION}[None-token_and_channel]",
    ),
    Mutant(
        name="newest_term_decays_where_one_decay_is_for_all",
        meaning="the same in the fast path: its ages begin with 1",
        file=_SUM,
        old="(age_W[:, None] - age_W).clamp(min=0)",
        new="(age_W[:, None] - age_W + 1).clamp(min=0)",
        caught_by=f"{_SCAN_TESTS}::test_exponential_memory_has_its_textbook_gain_and_impulse",
    ),
    Mutant(
        name="window_of_one_more",
        meaning="a window of W positions sums W + 1",
        file=_SUM,
        old="_windowed(x_TD, log_TD, window)[..., num_old:, :]",
        new="_windowed(x_TD, log_TD, window + 1)[..., num_old:, :]",
        caught_by=f"{_DEFINITION}[7-none]",
    ),
    Mutant(
        name="blocks_pass_on_all",
        meaning="what is carried from block to block does not decay inside the blocks",
        file=_SUM,
        old="_step(log_through_ND, end_ND, backwards)",
        new="_step(0 * log_through_ND, end_ND, backwards)",
        caught_by=f"{_SCAN_TESTS}::test_equals_the_recurrence_with_gradients_at_every_length[channel-513]",
    ),
    Mutant(
        name="state_does_not_decay",
        meaning="a sequence given in parts remembers more than the same one given at once",
        file=_SUM,
        old="x_TD[..., :1, :] + log_TD[..., :1, :].exp() * state.memory.unsqueeze(-2)",
        new="x_TD[..., :1, :] + state.memory.unsqueeze(-2)",
        caught_by=f"{_SCAN_TESTS}::test_token_by_token_equals_the_scan[None-token]",
    ),
    Mutant(
        name="window_forgets_between_parts",
        meaning="a window does not reach back into the part of the sequence before",
        file=_SUM,
        old="ScanState(_last(x_TD, window - 1), ",
        new="ScanState(0 * _last(x_TD, window - 1), ",
        caught_by=f"{_SCAN_TESTS}::test_token_by_token_equals_the_scan[9-scalar]",
    ),
    Mutant(
        name="sum_in_half_precision",
        meaning="under autocast the sum over time is formed in bfloat16",
        file=_SUM,
        old="torch.autocast(x_TD.device.type, enabled=False)",
        new="torch.autocast(x_TD.device.type, enabled=torch.is_autocast_enabled(x_TD.device.type))",
        caught_by=f"{_NUMERICS}::test_float32_survives_autocast",
    ),
    Mutant(
        name="read_forwards",
        meaning="what is read turns on by its phase, not back",
        file=_SCAN,
        old="_Rotation.apply(re, im, widened(read_phase), -1)",
        new="_Rotation.apply(re, im, widened(read_phase), 1)",
        caught_by=f"{_SCAN_TESTS}::test_unnormalised_tpi_is_a_diagonal_complex_recurrence",
    ),
    Mutant(
        name="gradient_of_reading_reversed",
        meaning="training moves the phases of reading away from where they should go",
        file=_SCAN,
        old="turning if ctx.sign > 0 else -turning",
        new="turning",
        caught_by=f"{_SCAN_TESTS}::test_every_use_of_phases_equals_the_definition_with_gradients",
    ),
    Mutant(
        name="normaliser_remembers_all",
        meaning="the sum fades and the weights that it is divided by do not",
        file=_SCAN,
        old="mass = rest.pop() + NORMALISER_EPSILON",
        new="mass = 0 * rest.pop() + weight.cumsum(-2) + NORMALISER_EPSILON",
        caught_by=f"{_DEFINITION}[None-scalar]",
    ),
    Mutant(
        name="phases_added_up_in_float32",
        meaning="after thousands of positions a phase is off by a thousandth of a radian",
        file=_SCAN,
        old="decayed_sum(frequency_TD.double(), state=state)",
        new="decayed_sum(frequency_TD, state=state)",
        caught_by=f"{_NUMERICS}::test_phases_are_exact_to_a_rounding_after_16_thousand_positions",
    ),
)

_OF_THE_MIXER = (
    Mutant(
        name="trajectory_in_float32",
        meaning="the TPI layer adds its turns up by itself, in their own precision",
        file=_PHASES,
        old="return cumulative_phase(frequency_TD, start=start)",
        new="return decayed_sum(frequency_TD)[0], None",
        caught_by=f"{_LAYER_TESTS}::test_phases_of_long_sequences_keep_float32s_digits",
    ),
    Mutant(
        name="read_by_the_phase_of_writing",
        meaning="decoupled and offset queries read as the simple form does: the variants are one model",
        file=_MIXER,
        old="read_phase=phases.read,",
        new="read_phase=phases.written,",
        caught_by=f"{_LAYER_TESTS}::test_a_part_whose_weights_are_0_is_absent[to_query_frequency-constrained]",
    ),
    Mutant(
        name="decoupled_queries_forget_the_start",
        meaning="with a frequency of its own, reading leaves out the phase that the token adds",
        file=_PHASES,
        old="read = _plus(turned, start)\n        seen",
        new="read = turned\n        seen",
        caught_by=f"{_LAYER_TESTS}::test_free_decoupling_with_equal_maps_is_none",
    ),
    Mutant(
        name="constraint_is_none",
        meaning="constrained decoupling lets queries go as far from the keys as they like",
        file=_PHASES,
        old="ADJUSTMENT = 0.1",
        new="ADJUSTMENT = 1.0",
        caught_by=f"{_LAYER_TESTS}::test_frequencies_are_what_their_names_say",
    ),
    Mutant(
        name="offset_not_seen",
        meaning="the published query offset is left out of the trajectory that the output sees",
        file=_PHASES,
        old='_plus(seen, offset) if self.form.query_offset == "trajectory" else seen',
        new="seen",
        caught_by=f"{_LAYER_TESTS}::test_an_offset_is_read_by_and_seen_only_where_it_is_asked",
    ),
    Mutant(
        name="residual_is_single",
        meaning="a layer does not add its input a second time where it should, as published",
        file=_MIXER,
        old="            y_BTD = x_BTD + y_BTD\n",
        new="            pass\n",
        caught_by=f"{_TPI_TESTS}::test_fields_with_an_effect_are_kept[{{'double_residual': True}}]",
    ),
    Mutant(
        name="published_residual_is_single",
        meaning="`as_published` is quietly built without its second residual",
        file="trainables/architectures/tpi/config.py",
        old='"double_residual": True,',
        new='"double_residual": False,',
        caught_by=f"{_TPI_TESTS}::test_fidelity_and_variant_set_defaults_that_can_be_given",
    ),
    Mutant(
        name="diversity_rewarded_for_its_lack",
        meaning="the penalty on phases that stay together pulls them together",
        file=_MIXER,
        old="return self.diversity_weight * together.mean()",
        new="return -self.diversity_weight * together.mean()",
        caught_by=f"{_LAYER_TESTS}::test_the_diversity_penalty_is_1_for_equal_phases_and_0_for_spread_ones",
    ),
    Mutant(
        name="saturation_of_the_turn",
        meaning="a phase counts as saturated by its turn, before it is squashed",
        file=_PHASES,
        old="(turned_TD / SQUASH_LIMIT).tanh().abs() > SATURATED",
        new="(turned_TD / SQUASH_LIMIT).abs() > SATURATED",
        caught_by=f"{_LAYER_TESTS}::test_published_turns_are_angles_and_published_phases_saturate",
    ),
    Mutant(
        name="gradient_ratio_of_unequal_scales",
        meaning="the offset's gradient looks 1/|a| times as strong, as published, whatever is learned",
        file="trainables/architectures/tpi/model.py",
        old="equalised_DD = frequency_DD / phases.scale_D",
        new="equalised_DD = frequency_DD + 0 * phases.scale_D",
        caught_by=f"{_TPI_TESTS}::test_the_offset_s_gradient_is_compared_at_equal_scale",
    ),
    Mutant(
        name="largest_logit_of_one_sign",
        meaning="a logit that falls without end is no warning of a NaN",
        file="trainables/architectures/tpi/model.py",
        old="logits_BTV.abs().amax((1, 2))",
        new="logits_BTV.amax((1, 2))",
        caught_by=f"{_TPI_TESTS}::test_probes_of_the_model",
    ),
    Mutant(
        name="state_space_turns_backwards",
        meaning="the diagonal control is not the recurrence that it says: its states turn the other way",
        file=_CONTROL,
        old="cumulative_phase(-frequency_N",
        new="cumulative_phase(frequency_N",
        caught_by=f"{_LAYER_TESTS}::test_the_control_decays_and_turns",
    ),
    Mutant(
        name="state_space_gain_of_another_decay",
        meaning="the diagonal control's states do not keep the variance of their inputs",
        file=_CONTROL,
        old="torch.expm1(-2 * rate_N)",
        new="torch.expm1(-rate_N)",
        caught_by="tests/contract/test_architectures.py::test_meets_contract[diagonal_ssm]",
    ),
)

_OF_THE_TASKS = (
    Mutant(
        name="values_among_the_keys",
        meaning="keys are drawn from the values too: a value that was shown may be asked for",
        file="trainables/tasks/recall/examples.py",
        old="keys_NP = layout.first_key + _permutations(size, layout.num_keys, generator)",
        new="keys_NP = layout.first_key + _permutations(size, layout.vocab_size - layout.first_key, generator)",
        caught_by=f"{_RECALL_TESTS}::test_examples_are_what_the_layout_says",
    ),
    Mutant(
        name="stage_scored_for_the_task",
        meaning="during a curriculum the easy stage is scored under the name of the whole task",
        file=_RECALL,
        old="stage._fixed = stage._fixed_training()",
        new="stage.__init__(self.config.model_copy(update={'num_pairs': num_pairs, 'curriculum': ()}))",
        caught_by=f"{_RECALL_TESTS}::test_curriculum_has_fewer_pairs_and_changes_nothing_that_is_scored",
    ),
    Mutant(
        name="choice_among_all_values",
        meaning="what is association without the rest also asks which values were shown",
        file=_RECALL,
        old="choice_hits(logits_NQV, answers_NQ, examples.values_NK)",
        new='answer_scores("recall", logits_NQV, answers_NQ)["recall_accuracy"]',
        caught_by=f"{_RECALL_TESTS}::test_an_echo_recalls_nothing",
    ),
    Mutant(
        name="the_first_fact_is_asked_for",
        meaning="the answer always stands in the first sentence: no question has to be read",
        file=_FACTS,
        old="facts[asked][:-ANSWER_END]",
        new="facts[asked - asked][:-ANSWER_END]",
        caught_by=f"{_FACTS_TESTS}::test_facts_are_stated_once_and_one_is_asked_for",
    ),
    Mutant(
        name="a_thing_names_its_fact",
        meaning="no two owners of an example own the same thing, so that half of the question finds the answer",
        file=_FACTS,
        old="named = list(product(things, owners))",
        new="named = [(thing, owners[place % len(owners)]) for place, thing in enumerate(THINGS)]",
        caught_by=f"{_FACTS_TESTS}::test_a_reader_finds_every_fact_and_needs_the_whole_question",
    ),
    Mutant(
        name="owners_are_values",
        meaning="names of owners are values too, so that an answer can be in its own question",
        file=_FACTS,
        old="words[-config.num_values :]",
        new="words[: config.num_values]",
        caught_by=f"{_FACTS_TESTS}::test_facts_are_stated_once_and_one_is_asked_for",
    ),
    Mutant(
        name="longest_training_is_never_drawn",
        meaning="batches to train on have fewer symbols than are scored, always",
        file="trainables/tasks/copying/task.py",
        old="torch.randint(fewest, most + 1, (), ",
        new="torch.randint(fewest, most, (), ",
        caught_by=f"{_FACTS_TESTS}::test_batches_to_train_on_have_every_number_of_symbols_from_the_fewest_on",
    ),
    Mutant(
        name="prompts_count_as_written",
        meaning="a sample's repetitions and 2-grams are those of the text that it was given, too",
        file="trainables/tasks/text/samples.py",
        old="samples_NT[:, self.config.prompt_tokens :], self.tokenizer",
        new="samples_NT, self.tokenizer",
        caught_by="tests/unit/trainables/tasks/test_generation.py::test_measures_are_of_what_the_model_wrote",
    ),
)

_OF_THE_STREAM = (
    Mutant(
        name="streamed_phase_starts_again",
        meaning="a sequence continued from a state forgets how far its channels have turned",
        file=_PHASES,
        old="self.accumulated(self.frequency(x_BTD), state.written)",
        new="self.accumulated(self.frequency(x_BTD), None)",
        caught_by=f"{_STREAMED}[tpi-1.0-v0_atan2-atan2-True]",
    ),
    Mutant(
        name="streamed_query_phase_is_the_key_s",
        meaning="decoupled reading phases continue from the phase of writing",
        file=_PHASES,
        old="self.accumulated(self.query_frequency(x_BTD), state.read)",
        new="self.accumulated(self.query_frequency(x_BTD), state.written)",
        caught_by=f"{_STREAMED}[tpi-1.0-v5_decoupled-free]",
    ),
    Mutant(
        name="streamed_positions_start_again",
        meaning="every token that is generated stands at the first position",
        file="trainables/architectures/gpt/model.py",
        old="self.embed(tokens_BT, start)",
        new="self.embed(tokens_BT)",
        caught_by=f"{_STREAMED}[transformer]",
    ),
    Mutant(
        name="cache_shows_the_future",
        meaning="of several tokens added to a cache, the first sees the last",
        file="trainables/layers/attention.py",
        old=".tril(num_seen - num_new)",
        new="",
        caught_by=f"{_STREAMED}[transformer]",
    ),
    Mutant(
        name="generation_reads_all_again",
        meaning="a model with a state is given the whole sequence for every token, after what it has read already",
        file="trainables/tasks/generation.py",
        old="in tokens_BT[:, self.num_read :].split(",
        new="in tokens_BT.split(",
        caught_by="tests/unit/trainables/tasks/test_generation.py"
        "::test_generation_from_a_state_writes_what_generation_anew_writes",
    ),
    Mutant(
        name="state_beyond_the_longest_input",
        meaning="a sequence longer than a model's inputs may be is continued from its state",
        file="trainables/tasks/generation.py",
        old="self.max_length is None or tokens_BT.shape[1] <= self.max_length",
        new="True",
        caught_by="tests/unit/trainables/tasks/test_generation.py"
        "::test_generation_from_a_state_writes_what_generation_anew_writes",
    ),
)

_OF_WHAT_IS_PUBLISHED = (
    Mutant(
        name="root_of_the_weights_is_their_sum",
        meaning="version 10 divides by the sum of the weights, as version 1 does",
        file=_SCAN,
        old='mass.rsqrt() if normalise == "sqrt" else mass.reciprocal()',
        new="mass.reciprocal()",
        caught_by=f"{_PARITY}[TPI v10_gated (a2c7932)]",
    ),
    Mutant(
        name="head_without_its_bias",
        meaning="the published head's bias is a parameter that no logit sees",
        file="trainables/architectures/gpt/model.py",
        old="self.head_VD, self.head_bias_V)",
        new="self.head_VD)",
        caught_by=f"{_PARITY}[TPI head: bias, Glorot's uniform start]",
    ),
    Mutant(
        name="published_dropout_everywhere",
        meaning="published versions also drop embeddings and feed-forward layers",
        file="trainables/architectures/tpi/config.py",
        old='"dropout_at": "output_map",',
        new='"dropout_at": "everywhere",',
        caught_by=f"{_TPI_TESTS}::test_published_dropout_is_in_the_output_map_alone",
    ),
    Mutant(
        name="published_queries_differ",
        meaning="published recall never asks for a key twice",
        file="trainables/tasks/recall/config.py",
        old='"repeated_queries": True,',
        new='"repeated_queries": False,',
        caught_by=f"{_PARITY}[associative recall, drawn examples]",
    ),
    Mutant(
        name="published_values_are_no_keys",
        meaning="a token of published recall says whether it is a key or a value",
        file="trainables/tasks/recall/config.py",
        old='"shared_pool": True,',
        new='"shared_pool": False,',
        caught_by=f"{_PARITY}[associative recall, drawn examples]",
    ),
    Mutant(
        name="published_copies_of_one_length",
        meaning="a batch of the published copy task has one length and no padding",
        file="trainables/tasks/copying/config.py",
        old='published = {"lengths": "mixed"}',
        new='published = {"lengths": "equal"}',
        caught_by=f"{_PARITY}[copying, drawn training batches]",
    ),
)

MUTANTS = (*_OF_THE_SCAN, *_OF_THE_MIXER, *_OF_THE_TASKS, *_OF_THE_STREAM, *_OF_WHAT_IS_PUBLISHED)
