"""Defects of tasks: what is predicted, what is scored, in which unit."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_TASK = "trainables/tasks/language.py"
_CONTRACT = "tests/contract/test_tasks.py::test_meets_contract"
_UNIT = "tests/unit/test_language_task.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="unshifted_training_target",
        meaning="the model is trained to repeat the token that it reads",
        file=_TASK,
        old="Batch(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous())",
        new="Batch(sequences[:, :-1].contiguous(), sequences[:, :-1].contiguous())",
        caught_by=f"{_CONTRACT}[language-batches]",
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
        file=_TASK,
        old="targets_BT.flatten(), ignore_index=IGNORED)",
        new="targets_BT.flatten().clamp(min=0))",
        caught_by=f"{_CONTRACT}[language-loss]",
    ),
    Mutant(
        name="tokens_scored_twice",
        meaning="overlapping windows score their shared tokens twice",
        file=_TASK,
        old="targets_BT[starts > 0, : length - stride] = IGNORED",
        new="targets_BT[starts < 0, : length - stride] = IGNORED",
        caught_by=f"{_UNIT}::test_every_token_but_the_first_is_scored_once",
    ),
    Mutant(
        name="subset_reported_as_whole",
        meaning="the score of a few windows goes by the name of the whole split's",
        file=_TASK,
        old='total.metrics(split if max_sequences is None else f"{split}_subset")',
        new="total.metrics(split)",
        caught_by=f"{_UNIT}::test_subset_is_evenly_spaced_and_named_apart",
    ),
    Mutant(
        name="subset_from_the_start",
        meaning="the validation subset is the first windows, not evenly spaced ones",
        file=_TASK,
        old="chosen = np.arange(max_sequences) * num_windows // max_sequences",
        new="chosen = np.arange(max_sequences)",
        caught_by=f"{_UNIT}::test_subset_is_evenly_spaced_and_named_apart",
    ),
    Mutant(
        name="bytes_are_characters",
        meaning="bits per byte are divided by characters",
        file=_TASK,
        old="bits / self.num_bytes",
        new="bits / self.chars",
        caught_by=f"{_UNIT}::test_units_of_one_total",
    ),
    Mutant(
        name="validation_overlaps_training",
        meaning="the model is trained on the text that it is scored on",
        file=_TASK,
        old='texts["train"] = text[:train_end]',
        new='texts["train"] = text',
        caught_by="tests/contract/test_tasks.py::test_splits_are_the_text_cut_twice",
    ),
    Mutant(
        name="data_hash_of_the_sizes",
        meaning="another text of equal length counts as the same data",
        file=_TASK,
        old="        digest.update(content)\n",
        new="",
        caught_by=f"{_UNIT}::test_data_hash_follows_content_and_cuts",
    ),
    Mutant(
        name="law_of_another_text",
        meaning="the score that no model beats is that of another synthetic text",
        file="trainables/tasks/corpora.py",
        old="source = MarkovSource(seed)",
        new="source = MarkovSource(0)",
        caught_by="tests/unit/test_corpora.py::test_synthetic_says_its_entropy",
    ),
)
