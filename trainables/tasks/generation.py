"""Autoregressive generation: token by token, from a prompt and the model's own tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel


@torch.no_grad()
def generate(
    model: LanguageModel,
    prompt_BT: Tensor,
    num_tokens: int,
    *,
    max_length: int,
    top_k: int | None = None,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Continue each prompt by `num_tokens` tokens.

    The prompt is passed as it is, however short, without a prefix that training never had. Once a sequence exceeds
    `max_length`, the model gets its last `max_length` tokens.

    A model that has a state gets each token once, as long as `max_length` is not exceeded; any other gets the whole
    sequence for every token.

    Args:
        model: In evaluation mode.
        prompt_BT: At least one token each, on the model's device.
        num_tokens: How many to add.
        max_length: Longest input of the model, in tokens.
        top_k: Draw from the `top_k` likeliest tokens. None: from all.
        temperature: Divides the logits; 0: always the likeliest token, the lowest id of several.
        generator: The only source of randomness, on the CPU; not needed if nothing is random.

    Returns:
        Prompt and continuation, of shape (B, T + num_tokens).

    Raises:
        ValueError: If the model is in training mode, a number is out of range, or the generator is missing.
        FloatingPointError: If the model gives logits that are not finite.
    """
    _check(model, prompt_BT, num_tokens, max_length=max_length, top_k=top_k, temperature=temperature)
    if temperature > 0 and generator is None:
        raise ValueError("drawing tokens needs a generator; temperature=0 draws none")
    tokens_BT, continuation = prompt_BT, Continuation(model, max_length)
    for _ in range(num_tokens):
        logits_BV = continuation.logits(tokens_BT)
        # Drawn on the CPU, so that equal logits give equal tokens on every device.
        chosen_B = next_tokens(logits_BV.cpu(), top_k=top_k, temperature=temperature, generator=generator)
        tokens_BT = torch.cat([tokens_BT, chosen_B[:, None].to(tokens_BT.device)], dim=1)
    return tokens_BT


class Continuation:
    """The logits after a growing sequence, from the model's state if it has one, else from the whole sequence.

    Args:
        model: In evaluation mode.
        max_length: Longest input of the model, in tokens; beyond it the model gets the last so many, each time
            whole, because its state also holds what came before them. None: no limit.
    """

    def __init__(self, model: LanguageModel, max_length: int | None = None) -> None:
        self.model, self.max_length = model, max_length
        self._has_state = True
        self._num_read, self._state = 0, None

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """Return logits_BV of the next token after `tokens_BT`, which begins with the tokens of the last call."""
        if self._has_state and (self.max_length is None or tokens_BT.shape[1] <= self.max_length):
            found = self.model.stream(tokens_BT[:, self._num_read :], self._state)
            if found is not None:
                logits_BTV, self._state = found
                self._num_read = tokens_BT.shape[1]
                return logits_BTV[:, -1]
        self._has_state, self._state = False, None
        seen_BT = tokens_BT if self.max_length is None else tokens_BT[:, -self.max_length :]
        logits_BTV = self.model(seen_BT).logits_BTV
        return logits_BTV[:, -1]


def next_tokens(
    logits_BV: Tensor, *, top_k: int | None, temperature: float, generator: torch.Generator | None
) -> Tensor:
    """Return one token for each row of logits, on the CPU; arguments and errors as for `generate`."""
    logits_BV = logits_BV.double()
    if not logits_BV.isfinite().all():
        raise FloatingPointError("the model's logits are not finite: it has diverged")
    if temperature == 0:
        return logits_BV.argmax(1)
    if top_k is not None and top_k < logits_BV.shape[1]:
        kept = logits_BV.topk(top_k, dim=1)
        logits_BV = torch.full_like(logits_BV, -torch.inf).scatter_(1, kept.indices, kept.values)
    # The highest logit is 0 before the division: no temperature, however low, makes it overflow.
    shifted_BV = logits_BV - logits_BV.amax(1, keepdim=True)
    return torch.multinomial((shifted_BV / temperature).softmax(1), 1, generator=generator)[:, 0]


def _check(
    model: LanguageModel,
    prompt_BT: Tensor,
    num_tokens: int,
    *,
    max_length: int,
    top_k: int | None,
    temperature: float,
) -> None:
    """Refuse what cannot be generated."""
    if model.training:
        raise ValueError("generate needs a model in evaluation mode; call model.eval() first")
    if prompt_BT.shape[1] < 1:
        raise ValueError("a prompt needs at least one token")
    if num_tokens < 1 or max_length < 1 or (top_k is not None and top_k < 1):
        raise ValueError(f"need num_tokens, max_length and top_k >= 1: {num_tokens}, {max_length}, {top_k}")
    if not 0 <= temperature < torch.inf:
        raise ValueError(f"temperature={temperature} must be finite and not negative")
