"""Autoregressive generation: token by token, from a prompt and the model's own tokens."""

from __future__ import annotations

import copy
from typing import Any

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
        pass_tokens: Most tokens of all sequences together that a model with a state reads in one pass. None: no
            limit.
    """

    def __init__(
        self, model: LanguageModel, max_length: int | None = None, *, pass_tokens: int | None = None
    ) -> None:
        self.model, self.max_length, self.pass_tokens = model, max_length, pass_tokens
        self.has_state = True
        """Whether the model continues from a state; not known before the first call."""
        self.num_read = 0
        """Tokens of each sequence that the state holds."""
        self._state: Any = None

    def fork(self) -> Continuation:
        """Return an independent copy that continues from here."""
        return copy.deepcopy(self, {id(self.model): self.model})

    def logits(self, tokens_BT: Tensor) -> Tensor:
        """Return logits_BV of the next token after `tokens_BT`, which begins with the tokens of the last call."""
        if self.has_state and (self.max_length is None or tokens_BT.shape[1] <= self.max_length):
            for part_BT in tokens_BT[:, self.num_read :].split(self._part(tokens_BT), dim=1):
                found = self.model.prefill(part_BT, self._state)
                if found is None:
                    break
                logits_BV, self._state = found
                self.num_read += part_BT.shape[1]
            else:
                return logits_BV
        self._forget()
        return self.model(self._seen(tokens_BT)).logits_BTV[:, -1]

    def logits_after(self, tokens_BT: Tensor, given_BN: Tensor) -> Tensor:
        """Return logits_BNV after each of the tokens `given_BN`, which continue `tokens_BT`; leaves no trace.

        Args:
            tokens_BT: Those of the last call of `logits`.
            given_BN: At least one.
        """
        if self.has_state:
            found = self.model.stream(given_BN, copy.deepcopy(self._state))
            if found is not None:
                return found[0]
        whole_BT = self._seen(torch.cat((tokens_BT, given_BN), 1))
        return self.model(whole_BT).logits_BTV[:, -given_BN.shape[1] :]

    def _part(self, tokens_BT: Tensor) -> int:
        size, length = tokens_BT.shape
        return length if self.pass_tokens is None else max(1, self.pass_tokens // size)

    def _seen(self, tokens_BT: Tensor) -> Tensor:
        return tokens_BT if self.max_length is None else tokens_BT[:, -self.max_length :]

    def _forget(self) -> None:
        self.has_state, self._state, self.num_read = False, None, 0


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
