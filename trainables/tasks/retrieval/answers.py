"""What a model answers, generated greedily."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.tasks.generation import Continuation
from trainables.tasks.scoring import hit_probability, token_nats


class Answers(NamedTuple):
    """The answers to a block of prompts."""

    tokens_BN: Tensor
    """What is generated. Where the wanted token shares the highest logit, it is chosen."""
    hits_BL: Tensor
    """The probability that each token is the wanted one, ties broken at random; the tokens before it are the
    model's own."""
    nats_BL: Tensor
    """Negative log-likelihood of each wanted token, those before it given."""


def answer(
    continuation: Continuation, logits_BV: Tensor, prompt_BT: Tensor, wanted_BL: Tensor, num_tokens: int
) -> Answers:
    """Let a model answer prompts that it has read.

    The wanted answer is passed first, as a whole. If each of its tokens is the likeliest, the model would have
    generated it, and generates nothing again.

    Args:
        continuation: After the prompts.
        logits_BV: After the prompts.
        prompt_BT: The prompts.
        wanted_BL: The correct answers.
        num_tokens: How many tokens are generated, at least as many as are wanted.
    """
    logits_BLV = logits_BV[:, None]
    if wanted_BL.shape[1] > 1:
        ahead_BLV = continuation.logits_after(prompt_BT, wanted_BL[:, :-1])
        logits_BLV = torch.cat((logits_BLV, ahead_BLV), 1)
    nats_BL = token_nats(logits_BLV, wanted_BL).double()
    hits_BL = hit_probability(logits_BLV.flatten(0, 1), wanted_BL.flatten(), 1).view(wanted_BL.shape)
    if num_tokens == wanted_BL.shape[1] and bool((hits_BL > 0).all()):
        return Answers(wanted_BL, hits_BL, nats_BL)
    tokens_BN, hits_BL = _generate(continuation, logits_BV, prompt_BT, wanted_BL, num_tokens)
    return Answers(tokens_BN, hits_BL, nats_BL)


def _generate(
    continuation: Continuation, logits_BV: Tensor, prompt_BT: Tensor, wanted_BL: Tensor, num_tokens: int
) -> tuple[Tensor, Tensor]:
    """Generate token by token; return the tokens and the hits."""
    tokens_BT, hits = prompt_BT, []
    for place in range(num_tokens):
        if place:
            logits_BV = continuation.logits(tokens_BT)
        chosen_B = logits_BV.argmax(1)
        if place < wanted_BL.shape[1]:
            wanted_B = wanted_BL[:, place]
            hits.append(hit_probability(logits_BV, wanted_B, 1))
            chosen_B = torch.where(hits[-1] > 0, wanted_B, chosen_B)
        tokens_BT = torch.cat((tokens_BT, chosen_B[:, None]), 1)
    return tokens_BT[:, prompt_BT.shape[1] :], torch.stack(hits, 1)
