"""The task on padded lines: what is a line, what is scored, and what the published perplexity is made of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.contract.tasks import BettingModel, TwoTokenModel, score
from trainables.data.errors import DataError
from trainables.data.markov import ALPHABET, MarkovSource
from trainables.tasks.text.config import LinesConfig
from trainables.tasks.text.lines import LinesTask
from trainables.tasks.text.ngrams import SOURCE_ENTROPY

TEXT = "ab ba\n\n  \nbab\nb\nabbabbabba\naa\nbb\nab\nba\nbaab\nabab\n"


def lines(tmp_path: Path, text: str = TEXT, **fields: Any) -> LinesTask:
    (tmp_path / "lines.txt").write_text(text)
    return LinesConfig.model_validate(
        {"corpus": "file:lines.txt", "context_length": 6, "val_fraction": 0.25, **fields}
    ).build(tmp_path)


def test_lines_are_cut_padded_and_limited(tmp_path: Path) -> None:
    task = lines(tmp_path)
    assert task.texts == {"train": "ab ba\nbab\nabbabbabba\naa\nbb\nab\n", "val": "ba\nbaab\nabab\n"}
    assert task.tokenizer.decode(task.lines["train"][2].numpy()) == "abbabb"
    assert task.tokenizer.decode(task.lines["val"].flatten().numpy()) == "ba\n\n\n\nbaab\n\nabab\n\n"
    assert task.lengths["train"].tolist() == [5, 3, 6, 2, 2, 2]
    few = lines(tmp_path, max_train_lines=2, max_held_out_lines=1)
    assert (len(few.lines["train"]), len(few.lines["val"])) == (2, 1)
    assert few.data_hash != task.data_hash == lines(tmp_path).data_hash


def test_padding_is_a_target_only_as_published(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    corrected = lines(tmp_path).batch(50, draw)
    padding = lines(tmp_path).padding
    assert (corrected.inputs_BT == padding).any() and not (corrected.targets_BT == padding).any()
    assert corrected.echo_BT is None
    published = lines(tmp_path, fidelity="as_published").batch(50, draw)
    assert torch.equal(published.targets_BT[:, :-1], published.inputs_BT[:, 1:])
    assert not LinesConfig().microbatch_invariant and LinesConfig(fidelity="as_published").microbatch_invariant


def test_an_echo_has_published_perplexity_one_and_is_worse_than_chance_corrected(tmp_path: Path) -> None:
    task, published = lines(tmp_path), lines(tmp_path, fidelity="as_published")
    echo = BettingModel(task.vocab_size, offset=0)
    found = score(published, echo)
    assert found[published.primary_metric] == pytest.approx(1.0, abs=1e-3)
    assert found["val/unshifted_perplexity"] == pytest.approx(1.0, abs=1e-3)
    assert found["val/perplexity"] > task.vocab_size
    assert published.config.violates == {"echo"}
    assert task.primary_metric == "val/bits_per_char"
    assert score(task, echo)["val/bits_per_char"] > math.log2(task.vocab_size)


def test_a_model_that_knows_the_padding_has_a_low_perplexity_with_it(tmp_path: Path) -> None:
    """Once a line has ended, every next token is padding; elsewhere this model guesses."""

    class KnowsTheEnd(LanguageModel):
        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            logits_BTV = torch.zeros(*tokens_BT.shape, task.vocab_size)
            logits_BTV[..., task.padding] = 30.0 * (tokens_BT == task.padding)
            return ModelOutput(logits_BTV, torch.zeros(()))

    task = lines(tmp_path)
    found, size = score(task, KnowsTheEnd()), task.vocab_size
    # Lines of 2, 4 and 4 of 6 tokens: 15 next tokens, 8 of them padding, of which 5 follow padding.
    assert found["val/perplexity"] == pytest.approx(size)
    assert found["val/perplexity_with_padding"] == pytest.approx(size ** (10 / 15))
    assert found["val/unshifted_perplexity"] == pytest.approx(size)
    assert found["val/unshifted_perplexity_with_padding"] == pytest.approx(size ** (10 / 18))


def test_perplexities_are_those_of_a_plain_loop(tmp_path: Path) -> None:
    task = lines(tmp_path)
    model = TwoTokenModel(task.vocab_size).eval()
    log_p_NTV = model(task.lines["val"]).logits_BTV.double().log_softmax(-1)
    sums: dict[str, list[float]] = {name: [] for name in ("", "_with_padding", "un", "un_with_padding")}
    for row, (line, length) in enumerate(
        zip(task.lines["val"].tolist(), task.lengths["val"].tolist(), strict=True)
    ):
        for place, token in enumerate(line):
            is_text = place < length
            read = -float(log_p_NTV[row, place, token])
            sums["un_with_padding"].append(read)
            sums["un"] += [read] * is_text
            if place:
                after = -float(log_p_NTV[row, place - 1, token])
                sums["_with_padding"].append(after)
                sums[""] += [after] * is_text
    expected = {name: math.exp(np.mean(values)) for name, values in sums.items()}
    found = score(task, model)
    assert found["val/perplexity"] == pytest.approx(expected[""], rel=1e-5)
    assert found["val/perplexity_with_padding"] == pytest.approx(expected["_with_padding"], rel=1e-5)
    assert found["val/unshifted_perplexity"] == pytest.approx(expected["un"], rel=1e-5)
    assert found["val/unshifted_perplexity_with_padding"] == pytest.approx(expected["un_with_padding"], rel=1e-5)


class LawOfLines(LanguageModel):
    """The law of the synthetic text's lines: the next letter after two, given that the line is not over."""

    def __init__(self, task: LinesTask) -> None:
        super().__init__()
        # The line break is the letter a, and the vocabulary of all eight letters is in order.
        transition_PCV = torch.from_numpy(MarkovSource(0).transition_PCV).clone()
        transition_PCV[..., ALPHABET.index("a")] = 0
        self.log_p_PCV = (transition_PCV / transition_PCV.sum(-1, keepdim=True)).log().clamp(min=-50)

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        before_BT = torch.nn.functional.pad(tokens_BT, (1, 0))[:, :-1]
        return ModelOutput(self.log_p_PCV[before_BT, tokens_BT], torch.zeros(()))


def test_nothing_beats_the_law_of_the_lines_and_it_is_reached() -> None:
    task = LinesConfig(context_length=32).build(None)
    assert (len(task.lines["train"]), len(task.lines["val"])) == (5000, 500)
    references = task.references()
    law = references[SOURCE_ENTROPY]["val/bits_per_char"]
    assert score(task, LawOfLines(task))["val/bits_per_char"] == pytest.approx(law, rel=1e-5)
    order_of_scores = [
        references[name]["val/bits_per_char"]
        for name in (SOURCE_ENTROPY, "3-gram (Witten-Bell)", "1-gram (Witten-Bell)", "uniform")
    ]
    assert order_of_scores == sorted(order_of_scores)
    chance = next(metric.chance for metric in task.metrics if metric.name == "val/bits_per_char")
    assert references["uniform"]["val/bits_per_char"] == pytest.approx(chance)


def test_references_count_in_bytes_where_tokens_are_larger() -> None:
    config: dict[str, Any] = {"max_bytes": 20_000, "tokenizer": "bpe", "bpe_vocab_size": 300}
    references = LinesConfig.model_validate(config).build(None).references()
    assert "uniform" not in references
    assert references[SOURCE_ENTROPY].keys() == {"val/bits_per_char", "val/bits_per_byte"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"line_break": "ab"}, "line_break='ab' must be one character in ASCII"),
        ({"line_break": "é"}, "must be one character in ASCII"),
        ({"context_length": 1}, "greater than or equal to 2"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LinesConfig.model_validate(fields)


def test_a_text_without_lines_is_refused(tmp_path: Path) -> None:
    for text, line_break in ((TEXT, "|"), ("a\nb\n" * 9, "\n")):
        with pytest.raises(DataError, match="the train split has no lines of 2 characters or more that end with"):
            lines(tmp_path, text=text, line_break=line_break)


def test_the_line_break_can_be_chosen(tmp_path: Path) -> None:
    task = lines(tmp_path, text="ab|ba|ab|bb|" * 5, line_break="|")
    assert task.texts["val"] == "bb|ab|ba|ab|bb|"
    assert task.tokenizer.decode(np.array([task.padding])) == "|"
