"""The task niah: where the needle stands, what is asked, and what counts as found."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.config.trial import TrialConfig
from trainables.contract.tasks import UniformModel, score
from trainables.data.errors import DataError
from trainables.data.tokenizers.base import Tokenizer, Tokens
from trainables.data.tokenizers.bpe import BpeTokenizer
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.niah import NiahConfig
from trainables.tasks.niah.haystack import Haystack
from trainables.tasks.niah.task import NiahTask
from trainables.tasks.niah.wording import Wording, sentences_of
from trainables.tasks.retrieval.items import Item, decoded
from trainables.training.loop import train

SHORT: dict[str, Any] = {
    "instruction": "",
    "noise": "It rains. Sun. A long day in the fields.",
    "needle": "Key {answer}.",
    "question": " Key?",
    "answer_prefix": "",
    "digits": 3,
    "lengths": [80, 160],
    "context_length": 90,
    "val_items": 3,
}
CPU = torch.device("cpu")


def niah(**fields: Any) -> NiahTask:
    return NiahConfig.model_validate({**SHORT, **fields}).build(None)


def text_of(task: NiahTask, item: Item) -> str:
    return decoded(task.tokenizer, item.prompt_T)


class Reader(LanguageModel):
    """Answers with what it finds in the text after `Key`, one byte at a time; wrong in some digits."""

    def __init__(self, *, wrong: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        logits_BTV = torch.zeros(*tokens_BT.shape, 256)
        for row, tokens in enumerate(tokens_BT.tolist()):
            text = bytes(tokens).decode()
            answer = re.search(r"Key (\d+)", text)[1]  # type: ignore[index]
            wanted = " " + "".join("x" if place in self.wrong else digit for place, digit in enumerate(answer))
            for given in range(len(wanted)):
                if text.endswith("Key?" + wanted[:given]):
                    logits_BTV[row, -1, ord(wanted[given])] = 9
            for place in range(len(text) - 1):  # what it would say along an answer that is given
                said = re.search(r"Key\?( ?\d*)$", text[: place + 1])
                if said:
                    logits_BTV[row, place, ord(wanted[len(said[1])])] = 9
        return ModelOutput(logits_BTV, torch.zeros(()))


def test_items_are_a_grid_and_their_haystacks_are_as_long_as_they_can_be() -> None:
    task = niah(depths=[0.0, 0.25, 1.0])
    items = task.items["val"]
    assert [(item.labels["length"], item.labels["depth"]) for item in items] == [
        (length, depth) for length in (80, 160) for depth in (0.0, 0.25, 1.0) for _ in range(3)
    ]
    longest = max(map(len, sentences_of(task.config.noise))) + 1
    for item in items:
        assert item.labels["length"] - longest <= len(item) <= item.labels["length"]
        assert item.labels["tokens"] == len(item)


def test_the_needle_stands_where_the_realised_depth_says() -> None:
    task = niah(depths=[0.0, 0.1, 0.5, 0.77, 1.0], lengths=[100, 300])
    for item in task.items["val"]:
        text = text_of(task, item)
        needle = f"Key {item.references[0]}."
        haystack = text.removesuffix(" Key?").replace(needle, "").strip()
        before, _, _ = text.partition(needle)
        depth = len(before.rstrip()) / len(" ".join(haystack.split()))
        assert depth == pytest.approx(item.labels["realised_depth"])
        assert item.labels["realised_depth"] <= item.labels["depth"]
        assert not before or before.endswith(". ")  # between sentences
        assert text.count(needle) == 1


def test_no_later_end_of_a_sentence_is_nearer_from_before() -> None:
    haystack = Haystack(niah().tokenizer, niah().wording, ["aa.", "bbbb.", "c."], 0, 60)
    for count in range(1, 8):
        ends = haystack.end_N[: count + 1] / haystack.end_N[count]
        for depth in np.linspace(0, 1, 23):
            place = haystack.place(count, float(depth))
            assert place.depth == max(end for end in ends if end <= depth + 1e-9)
            assert ends[place.before] == place.depth


@pytest.mark.parametrize("merges", [256, 300])
def test_lengths_are_in_tokens_of_the_tokenizer(merges: int) -> None:
    """Ends of sentences are found in the tokens of the whole text, whose borders need not be those of its parts."""
    noise = "It rains. Sun. A long day in the fields."
    tokenizer = BpeTokenizer(" ".join([noise] * 9), merges)
    wording = Wording("Find it.\n", "Key {answer}.", " Key?", "")
    haystack = Haystack(tokenizer, wording, sentences_of(noise), 0, 200)
    for count in range(1, len(haystack.end_N)):
        text = "Find it.\n" + " ".join(haystack.sentences(count))
        alone = len(tokenizer.encode(text)) - len(tokenizer.encode("Find it.\n"))
        assert abs(int(haystack.end_N[count]) - alone) <= 1
    for length in (40, 77, 150):
        count = haystack.fit(length, "123")
        sizes = [
            len(tokenizer.encode(wording.prompt("123", haystack.sentences(n), n) + " 123"))
            for n in (count, count + 1)
        ]
        assert sizes[0] <= length < sizes[1]


def test_answers_are_random_and_of_each_item_its_own() -> None:
    task = niah(digits=9, val_items=20, test_items=20)
    answers = [item.references[0] for items in task.items.values() for item in items]
    assert len(set(answers)) == len(answers) == 2 * 2 * 3 * 20
    digits = np.bincount([int(digit) for answer in answers for digit in answer], minlength=10)
    assert digits.min() > 0.7 * digits.mean()


def test_each_seed_may_have_items_of_its_own() -> None:
    fixed, own = niah(), niah(items="by_seed")
    assert [item.references for item in fixed.for_seed(1).items["val"]] == [
        item.references for item in fixed.items["val"]
    ]
    sets = [[item.references for item in own.for_seed(seed).items["val"]] for seed in (1, 1, 2)]
    assert sets[0] == sets[1] != sets[2]
    assert own.for_seed(1).data_hash == own.data_hash


def test_a_corpus_is_a_haystack_and_the_depths_of_an_item_share_it(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text(" ".join(f"Sentence number {number} stands here." for number in range(300)), encoding="utf-8")
    task = niah(haystack=f"file:{path}", depths=[0.0, 1.0], lengths=[200])
    shallow, deep = (
        [text_of(task, item) for item in task.items["val"] if item.labels["depth"] == d] for d in (0, 1)
    )
    for first, last in zip(shallow, deep, strict=True):
        assert first.partition(". ")[2][:60] == last[:60]
    assert len({text[:60] for text in deep}) > 1


def test_a_reader_finds_every_needle_and_one_that_errs_is_scored_by_the_digit() -> None:
    task = niah()
    right, wrong = score(task, Reader()), score(task, Reader(wrong=(1,)))
    for name, value in right.items():
        if "nats" not in name:
            assert value == 1, name
    assert wrong["val/niah_exact_match"] == wrong["val/niah_f1"] == 0
    assert wrong["val/niah_digit_accuracy"] == pytest.approx(2 / 3)
    assert score(task, UniformModel(256))["val/niah_digit_accuracy"] == pytest.approx(1 / 256)


def test_metrics_are_by_length_and_depth_and_the_area_is_theirs() -> None:
    class Deep(Reader):
        """Reads only what stands near the end."""

        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            output = super().forward(tokens_BT)
            for row, tokens in enumerate(tokens_BT.tolist()):
                if bytes(tokens).decode().find("Key") < 40:
                    output.logits_BTV[row] = torch.zeros(256).index_fill(0, torch.tensor([0]), 1.0)
            return output

    found = score(niah(lengths=[160], depths=[0.0, 0.5, 1.0]), Deep())
    cells = [found[f"val/niah_exact_match_length_160_depth_{percent}"] for percent in (0, 50, 100)]
    assert cells == [0, 1, 1]
    assert found["val/niah_exact_match_depth_0"] == 0
    assert found["val/niah_exact_match_length_160"] == pytest.approx(2 / 3)
    assert found["val/niah_auc"] == found["val/niah_auc_length_160"] == pytest.approx(0.75)
    assert "val/niah_auc" not in score(niah(depths=[0.5]), Reader())


def test_every_answer_is_kept_and_tables_have_the_documented_columns() -> None:
    task = niah(items="by_seed", depths=[0.0, 1.0]).for_seed(7)
    model = Reader().eval()
    model.mode = "rope"
    metrics, texts = task.conclude(model, EvaluationRequest("val", CPU))
    assert metrics == task.evaluate(model, EvaluationRequest("val", CPU))
    items = [json.loads(line) for line in texts["niah_val_items.jsonl"].splitlines()]
    rows = [json.loads(line) for line in texts["niah_val_metrics.jsonl"].splitlines()]
    assert len(items) == 2 * 2 * 3 and len(rows) == 2 * 2
    assert {"task", "length", "depth", "realised_depth", "answer", "output", "exact_match", "f1", "seconds"} <= set(
        items[0]
    )
    assert all(item["output"].strip() in item["answer"] for item in items)
    assert list(rows[0])[:9] == ["task", "length", "depth", "mode", "accuracy", "em", "f1", "seed", "runtime"]
    assert {(row["mode"], row["seed"], row["em"], row["items"]) for row in rows} == {("rope", 7, 1.0, 3)}


def test_training_items_have_any_length_and_depth_and_only_the_answer_is_trained_on() -> None:
    task = niah()
    batch = task.batch(200, torch.Generator().manual_seed(0))
    scored_BT = batch.targets_BT >= 0
    assert batch.inputs_BT.shape == (200, 90)
    assert set(scored_BT.sum(1).tolist()) == {4}  # a space and three digits
    ends = scored_BT.int().argmax(1)
    assert int(ends.max()) - int(ends.min()) > 30
    texts = [bytes(row).decode().rstrip("\0") for row in batch.inputs_BT.tolist()]
    assert len({text.find("Key") for text in texts}) >= 4
    for text, targets in zip(texts, batch.targets_BT.tolist(), strict=True):
        answer = bytes(token for token in targets if token >= 0).decode()
        assert f"Key{answer}." in text


@pytest.mark.slow
def test_attention_learns_to_find_a_needle() -> None:
    """In a quarter of a minute; a task that nothing can learn would compare nothing."""
    task = {**SHORT, "name": "niah", "tokenizer": "char", "noise": "Sun.", "digits": 1, "lengths": [28]}
    config = TrialConfig.model_validate(
        {
            "architecture": {"name": "transformer", "d_model": 32, "num_layers": 2, "num_heads": 2},
            "task": {**task, "context_length": 28},
            "optimizer": {"learning_rate": 3e-3, "warmup_steps": 50},
            "budget": {"steps": 400, "batch_size": 64, "report_every": 400},
        }
    )
    *_, last = train(config, 41, config.task.build(None))
    assert last.metrics["val/niah_exact_match"] > 0.9


def test_all_of_a_prompt_may_be_trained_on_but_no_padding() -> None:
    task = niah(scored="all")
    inputs_BT, targets_BT, _ = task.batch(20, torch.Generator().manual_seed(0))
    answers = niah().batch(20, torch.Generator().manual_seed(0))
    ends_B = (answers.targets_BT >= 0).long().cumsum(1).argmax(1)  # the last token of each answer
    for inputs, targets, end in zip(inputs_BT, targets_BT, ends_B.tolist(), strict=True):
        assert torch.equal(targets[:end], inputs[1 : end + 1])
        assert int((targets >= 0).sum()) == end + 1
    assert niah().config.microbatch_invariant and not task.config.microbatch_invariant


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": [0.5, 1.5]}, "from 0, before the haystack, to 1, after it; 1.5 % is 0.015"),
        ({"depths": [50.0]}, "50 % is 0.5"),
        ({"depths": [0.5, 0.5]}, "must ascend"),
        ({"depths": [0.123]}, "two decimals"),
        ({"lengths": [200, 100]}, "must ascend"),
        ({"lengths": [17, 100]}, "the needle does not fit: lengths=17 tokens"),
        ({"context_length": 17}, "the needle does not fit: context_length=17 tokens"),
        ({"needle": "The key is 42."}, "must contain {answer}"),
        ({"question": " Key? {answer}"}, "would give the answer away"),
        ({"question": " "}, "nothing is asked"),
        ({"tokenizer": "bpe"}, "no"),
        ({"tokenizer": "word"}, "unknown tokenizer 'word'"),
        ({"chat": True}, "needs a tokenizer with a chat template"),
        ({"haystack": "enwik9"}, "unknown corpus 'enwik9'"),
    ],
)
def test_what_cannot_be_is_refused_by_arithmetic(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        NiahConfig.model_validate({**SHORT, **fields})


def test_a_corpus_whose_sentences_do_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("word " * 200 + ".", encoding="utf-8")
    with pytest.raises(DataError, match="does not fit: lengths=80"):
        niah(haystack=f"file:{path}")


class Joining(Tokenizer):
    """Joins a space to the character before it."""

    name = "joining"
    bytes_per_token_V = np.array([1] * 256 + [2], dtype=np.int64)

    def encode(self, text: str) -> Tokens:
        return np.array(
            [256 if pair == "? " else ord(pair[0]) for pair in re.findall(r"\? |.", text)], dtype=np.int32
        )

    def decode(self, tokens: Tokens) -> str:
        return "".join("? " if token == 256 else chr(token) for token in tokens)


def test_a_tokenizer_that_joins_prompt_and_answer_is_refused() -> None:
    from trainables.tasks.retrieval.items import as_tokens

    with pytest.raises(DataError, match="joins the end of the prompt"):
        as_tokens(Joining(), "Key?", " 12")
    prompt_T, answer_L = as_tokens(Joining(), "Key", " 12")
    assert (prompt_T.tolist(), answer_L.tolist()) == ([75, 101, 121], [32, 49, 50])
