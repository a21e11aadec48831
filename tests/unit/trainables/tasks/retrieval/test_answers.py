"""What a model answers: greedily, with ties shared, and no longer than it matters."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.unit.trainables.tasks.retrieval.test_prefixes import VOCAB_SIZE, model_of, tokens
from trainables.architectures.base.model import LanguageModel
from trainables.contract.tasks import TwoTokenModel, UniformModel
from trainables.tasks.generation import Continuation, generate
from trainables.tasks.retrieval.answers import Answers, answer, generate_answers
from trainables.tasks.scoring import token_nats


def never(row: int, tokens_N: Tensor) -> bool:
    return False


@torch.no_grad()
def answers(model: LanguageModel, prompt_BT: Tensor, wanted_BL: Tensor, num: int, settled: Any = never) -> Answers:
    continuation = Continuation(model)
    logits_BV = continuation.logits(prompt_BT)
    return answer(continuation, logits_BV, prompt_BT, wanted_BL, num, settled)


@pytest.mark.parametrize("model", [model_of("transformer"), model_of("gru"), TwoTokenModel(VOCAB_SIZE).eval()])
def test_answers_are_greedy_and_their_loss_is_that_of_the_whole(model: LanguageModel) -> None:
    prompt_BT, wanted_BL = tokens(3, 20), tokens(3, 4, seed=1)
    greedy_BN = generate(model, prompt_BT, 6, max_length=100, temperature=0)[:, 20:]
    wanted_BL[0] = greedy_BN[0, :4]  # one row is right, the others are not
    found = answers(model, prompt_BT, wanted_BL, 6)
    assert torch.equal(torch.stack(found.tokens), greedy_BN)
    assert found.hits_BL[0].tolist() == [1, 1, 1, 1]
    with torch.no_grad():
        logits_BTV = model(torch.cat((prompt_BT, wanted_BL), 1)).logits_BTV[:, 19:-1]
    torch.testing.assert_close(found.nats_BL, token_nats(logits_BTV, wanted_BL).double(), rtol=1e-6, atol=1e-6)


def test_an_answer_that_would_be_generated_is_not_generated_again() -> None:
    class Once(TwoTokenModel):
        calls = 0

        def forward(self, tokens_BT: Tensor) -> Any:
            self.calls += 1
            return super().forward(tokens_BT)

    model = Once(VOCAB_SIZE).eval()
    prompt_BT = tokens(2, 9)
    wanted_BL = generate(model, prompt_BT, 5, max_length=100, temperature=0)[:, 9:]
    model.calls = 0
    found = answers(model, prompt_BT, wanted_BL, 5)
    assert model.calls == 2  # the prompts, and the prompts with their answers
    assert torch.equal(torch.stack(found.tokens), wanted_BL)


def test_ties_count_by_their_share() -> None:
    found = answers(UniformModel(VOCAB_SIZE).eval(), tokens(1, 5), tokens(1, 3), 3)
    assert found.hits_BL.tolist() == [[pytest.approx(1 / VOCAB_SIZE)] * 3]
    assert float(found.nats_BL.mean()) == pytest.approx(math.log(VOCAB_SIZE))


def test_a_row_ends_when_it_is_settled_whatever_the_others_do() -> None:
    """The score of a row must not depend on the block it is in."""
    model, prompt_BT = TwoTokenModel(VOCAB_SIZE).eval(), tokens(3, 7)
    wanted_BL = tokens(3, 2, seed=5)
    greedy_BN = generate(model, prompt_BT, 9, max_length=100, temperature=0)[:, 7:]

    def settled(row: int, tokens_N: Tensor) -> bool:
        return len(tokens_N) == (1, 4, 9)[row]

    found = answers(model, prompt_BT, wanted_BL, 9, settled)
    assert [one.tolist() for one in found.tokens] == [
        greedy_BN[row, :size].tolist() for row, size in enumerate((1, 4, 9))
    ]
    assert float(found.hits_BL[0, 1]) == 0  # nothing was generated there


@torch.no_grad()
def test_nothing_need_be_wanted() -> None:
    model, prompt_BT = TwoTokenModel(VOCAB_SIZE).eval(), tokens(2, 7)
    continuation = Continuation(model)
    logits_BV = continuation.logits(prompt_BT)
    found, hits_BL = generate_answers(continuation, logits_BV, prompt_BT, prompt_BT[:, :0], 4, never)
    assert torch.equal(torch.stack(found), generate(model, prompt_BT, 4, max_length=99, temperature=0)[:, 7:])
    assert hits_BL.shape == (2, 0)
