"""Copying, as published and after a delay, and facts in text: what solves them and what only seems to."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.architectures.base.model import ModelOutput
from trainables.batch import IGNORED
from trainables.contract.tasks import BettingModel, UniformModel, score
from trainables.tasks.copying import CopyConfig
from trainables.tasks.copying.task import BLANK, MARKER, CopyTask
from trainables.tasks.facts import FactsConfig
from trainables.tasks.facts.config import WORD_LENGTH
from trainables.tasks.facts.task import TOKENIZER, FactsTask

# --- copying ---


def copy_task(**fields: Any) -> CopyTask:
    small = {"num_symbols": 8, "delay": 5, "num_val": 200, "num_test": 20}
    return CopyConfig.model_validate({**small, **fields}).build(None)


class Delayed(UniformModel):
    """Says what stood `back` tokens ago."""

    def __init__(self, back: int) -> None:
        super().__init__(20)
        self.back = back

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        earlier_BT = tokens_BT[:, : -self.back]
        output.logits_BTV[:, self.back :].scatter_(2, earlier_BT[..., None], 30.0)
        return output


def test_the_identity_solves_the_published_copy_and_nothing_else() -> None:
    identity = BettingModel(20, offset=0)
    published, corrected = (copy_task(fidelity=name) for name in ("as_published", "corrected"))
    for split in ("val", "test"):
        found = score(published, identity, split)  # type: ignore[arg-type]
        assert found[f"{split}/copy_accuracy"] == found[f"{split}/copy_exact_match"] == 1.0
        found = score(corrected, identity, split)  # type: ignore[arg-type]
        assert found[f"{split}/copy_accuracy"] == found[f"{split}/copy_exact_match"] == 0.0
        assert found[f"{split}/copy_nats_per_token"] > 10
    assert published.references()["echo"]["val/copy_accuracy"] == 1.0
    assert corrected.references()["echo"]["val/copy_accuracy"] == 0.0


@pytest.mark.parametrize("delay", [0, 5])
def test_only_a_memory_of_the_whole_delay_solves_the_corrected_copy(delay: int) -> None:
    task = copy_task(delay=delay)
    for back in (delay + 7, delay + 8, delay + 9):
        accuracy = score(task, Delayed(back))["val/copy_accuracy"]
        assert (accuracy == 1.0) is (back == delay + 8), back


def test_other_lengths_are_scored_in_examples_of_their_own() -> None:
    """A delay that fits one length misses the others: each is really of its own length."""
    task = copy_task(scored_symbols=[4, 16])
    assert task.max_length == 16 + 5 + 16
    for number, ending in ((4, "_symbols_4"), (8, ""), (16, "_symbols_16")):
        found = score(task, Delayed(5 + number))
        names = {name for name in found if name.startswith("val/copy_accuracy")}
        assert len(names) == 3
        assert {name for name in found if "exact" in name and found[name] == 1.0} == {
            f"val/copy_exact_match{ending}"
        }
        assert {name for name in names if found[name] == 1.0} == {f"val/copy_accuracy{ending}"}
    items = {metric.name: metric.items for metric in task.metrics}
    assert items["val/copy_accuracy_symbols_4"] == 200
    assert items["val/copy_accuracy_symbols_16"] == 100, "as many symbols, in half as many examples"
    assert copy_task().config.canonical() == copy_task(scored_symbols=[]).config.canonical()
    with pytest.raises(
        ValidationError, match=r"scored_symbols=\[8, 4\] must ascend from 1 or more, without num_symbols=8"
    ):
        copy_task(scored_symbols=[8, 4])


def test_batches_to_train_on_have_every_number_of_symbols_from_the_fewest_on() -> None:
    for fidelity, length in (("as_published", lambda n: n), ("corrected", lambda n: 2 * n + 5)):
        task = copy_task(fidelity=fidelity, min_symbols=6, lengths="equal")
        shapes = {tuple(task.batch(3, torch.Generator().manual_seed(seed)).inputs_BT.shape) for seed in range(60)}
        assert shapes == {(3, length(number)) for number in (6, 7, 8)}
        assert task.context_length == task.examples["val"].tokens_NT.shape[1] == length(8), "what is scored stays"
    same = copy_task(min_symbols=8)
    assert same.config.canonical() == copy_task().config.canonical()
    drawn = [task.batch(3, torch.Generator().manual_seed(0)).inputs_BT for task in (same, copy_task())]
    assert torch.equal(*drawn), "one name, one computation"
    assert "min_symbols" in copy_task(min_symbols=6).config.canonical()
    with pytest.raises(ValidationError, match=r"min_symbols=9 must be at most num_symbols=8"):
        copy_task(min_symbols=9)
    with pytest.raises(ValidationError, match=r"min_symbols=6 needs fresh examples, and num_train=50 fixes them"):
        copy_task(min_symbols=6, num_train=50)


@pytest.mark.parametrize("fidelity", ["as_published", "corrected"])
def test_mixed_lengths_are_padded_with_blanks_that_are_not_scored(fidelity: str) -> None:
    task = copy_task(fidelity=fidelity, min_symbols=6, lengths="mixed")
    batch = task.batch(64, torch.Generator().manual_seed(0))
    counts = []
    for tokens, targets in zip(batch.inputs_BT.tolist(), batch.targets_BT.tolist(), strict=True):
        copied = [target for target in targets if target != IGNORED]
        number = len(copied)
        counts.append(number)
        length = task.config.length(number)
        assert tokens[:number] == copied
        assert set(tokens[length:]) <= {BLANK} and set(targets[length:]) <= {IGNORED}
    assert set(counts) == {6, 7, 8} and batch.inputs_BT.shape == (64, task.config.length(8))
    assert not task.config.microbatch_invariant and copy_task(lengths="mixed").config.microbatch_invariant
    assert copy_task(lengths="mixed").config.canonical() == copy_task(lengths="equal").config.canonical()


def test_as_published_a_sequence_counts_only_if_all_of_it_is_right() -> None:
    assert copy_task(fidelity="as_published").primary_metric == "val/copy_exact_match"
    assert copy_task().primary_metric == "val/copy_accuracy"
    assert CopyConfig(fidelity="as_published").lengths == "mixed"


def test_a_guess_among_the_symbols_scores_its_reference() -> None:
    class AmongSymbols(UniformModel):
        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            output = super().forward(tokens_BT)
            output.logits_BTV[..., :3] = -100.0
            return output

    for fidelity in ("as_published", "corrected"):
        task = copy_task(fidelity=fidelity)
        found = score(task, AmongSymbols(20))
        for name, value in task.references()["guess among symbols"].items():
            if name.startswith("val/"):
                assert found[name] == pytest.approx(value, rel=1e-6)


def test_copy_examples_are_what_the_task_says() -> None:
    task = copy_task()
    examples = task.examples["val"]
    assert task.context_length == examples.tokens_NT.shape[1] == 8 + 5 + 8
    for tokens, targets in zip(examples.tokens_NT.tolist(), examples.targets_NT.tolist(), strict=True):
        symbols = tokens[:8]
        assert tokens[8:] == [*[BLANK] * 5, MARKER, *symbols[:-1]]
        assert targets == [*[IGNORED] * 13, *symbols]
        assert all(one != other for one, other in pairwise(symbols))
    counts = torch.bincount(examples.tokens_NT[:, :8].flatten(), minlength=20)
    assert counts[:3].tolist() == [0, 0, 0]
    assert counts[3:].min() > 50 and counts[3:].max() < 150, "94 expected of each, standard deviation 10"
    published = copy_task(fidelity="as_published")
    assert published.context_length == 8
    assert "delay" not in published.config.canonical()


# --- facts ---


def facts(**fields: Any) -> FactsTask:
    return FactsConfig.model_validate({"num_val": 60, "num_test": 20, **fields}).build(None)


def texts_of(task: FactsTask) -> list[str]:
    """Return the held-out examples, each with its answer."""
    examples = task.examples["val"]
    whole_NT = torch.cat([examples.tokens_NT, examples.targets_NT[:, -1:]], dim=1)
    return [TOKENIZER.decode(tokens.numpy()) for tokens in whole_NT]


class Reader(UniformModel):
    """Completes the last sentence by one that begins as it does; `words` says which of its words it looks at."""

    def __init__(self, words: slice) -> None:
        super().__init__(TOKENIZER.vocab_size)
        self.words = words

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        for row, tokens_T in enumerate(tokens_BT):
            *stated, asked = TOKENIZER.decode(tokens_T.numpy()).split("\n")
            *cue, begun = asked.split(" ")
            matching = [line.split(" ") for line in stated if line.split(" ")[:-1][self.words] == cue[self.words]]
            for line in matching:
                if len(begun) < WORD_LENGTH and line[-1].startswith(begun):
                    output.logits_BTV[row, -1, int(TOKENIZER.encode(line[-1][len(begun)])[0])] = 40.0
        return output


def test_facts_are_stated_once_and_one_is_asked_for() -> None:
    task = facts(num_facts=5)
    asked_places = set()
    for text in texts_of(task):
        *stated, asked = text.split("\n")
        pattern = r"The (\w{3}) of (\w{4}) is (\w{4})"
        found = [re.fullmatch(pattern + r"\.", line) for line in stated]
        facts_of = {match.groups()[:2]: match[3] for match in found if match}
        question = re.fullmatch(pattern, asked)
        assert question is not None and len(facts_of) == len(set(facts_of.values())) == 5
        assert facts_of[question.groups()[:2]] == question[3]
        asked_places.add([*facts_of].index(question.groups()[:2]))
        assert {owner for _, owner in facts_of} <= set(task.owners) and set(facts_of.values()) <= set(task.values)
    assert asked_places == set(range(5))
    assert not set(task.owners) & set(task.values)


@pytest.mark.parametrize("fields", [{}, {"num_facts": 6}, {"num_facts": 5, "owners_per_example": 3}])
def test_a_reader_finds_every_fact_and_needs_the_whole_question(fields: dict[str, int]) -> None:
    task = facts(num_val=200, **fields)
    whole, thing, owner = (
        score(task, Reader(words))["val/fact_exact_match"] for words in (slice(None), slice(1, 2), slice(3, 4))
    )
    assert whole == 1.0
    expected = task.references()
    assert thing == pytest.approx(expected["guess by the thing"]["val/fact_exact_match"], abs=0.08)
    assert owner == pytest.approx(expected["guess by the owner"]["val/fact_exact_match"], abs=0.08)
    assert max(thing, owner) < 0.75


def test_a_guess_among_the_values_stated_scores_one_in_k() -> None:
    task = facts(num_val=400)
    found = score(task, Reader(slice(0, 1)))["val/fact_exact_match"]
    assert found == pytest.approx(task.references()["guess a value stated"]["val/fact_exact_match"], abs=0.07)


def test_the_answer_is_not_in_the_input_of_what_generates_it() -> None:
    task = facts()
    found = score(task, BettingModel(task.vocab_size, offset=1))
    assert found["val/fact_exact_match"] == pytest.approx(task.vocab_size**-WORD_LENGTH)


def test_facts_repeat_under_a_seed() -> None:
    assert facts().data_hash == facts().data_hash != facts(data_seed=1).data_hash
    assert facts().owners != facts(data_seed=1).owners
    one, again, other = (facts().batch(4, torch.Generator().manual_seed(seed)).inputs_BT for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"owners_per_example": 5, "num_owners": 4}, "owners_per_example=5 must be at most num_owners=4"),
        ({"num_facts": 17}, "num_facts=17 must be at most 16: 8 things of each of owners_per_example=2"),
        ({"num_facts": 5, "num_values": 4}, "num_facts=5 must be at most num_values=4: values differ"),
    ],
)
def test_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FactsConfig.model_validate(fields)
