"""A model of ours as lm-evaluation-harness sees one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.data.tokenizers.base import Tokenizer
from trainables.tasks.retrieval.answers import generate_answers
from trainables.tasks.retrieval.items import decoded, encoded
from trainables.tasks.retrieval.prefixes import read_blocks
from trainables.tasks.scoring import token_nats

_DEFAULT_GENERATED = 256
"""Tokens that are generated if a task does not say how many; as the harness's own models have it."""


class SilentModel(LM):
    """Says nothing: to learn which metrics and items there are."""

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return certainty."""
        return [(0.0, False)] * len(requests)

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Return certainty."""
        return [0.0] * len(requests)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Return nothing."""
        return [""] * len(requests)


class HarnessModel(LM):
    """Answers the harness's three kinds of request, with beginnings that requests share read once.

    Args:
        model: In evaluation mode; gradients are off.
        tokenizer: Text to tokens and back.
        max_length: Longest input, in tokens: a longer one loses its beginning.
        device: Where the model is.
        pass_tokens: Most tokens of one pass, if the model has a state.
        frame: The text before and after a user's message in a chat; None: there is no chat.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        *,
        max_length: int,
        device: torch.device,
        pass_tokens: int,
        frame: tuple[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length
        self._device, self.pass_tokens, self.frame = device, pass_tokens, frame
        end = tokenizer.end
        self._prefix_T = encoded(tokenizer, "\n") if end is None else torch.tensor([end])
        """What stands before a text without a context."""

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer, in keys of the harness's caches."""
        return self.tokenizer.sha256 or self.tokenizer.name

    def chat_template(self, chat_template: bool | str = False) -> str:
        """Return the text around a user's message, which the harness keeps with its results."""
        return "" if self.frame is None else "{}".join(self.frame)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the prompt of a single message of a user, up to where the answer begins.

        Raises:
            ValueError: If there are other messages: worked examples are part of the user's.
        """
        roles = [message["role"] for message in chat_history]
        if self.frame is None or roles not in (["user"], ["user", "assistant"]):
            raise ValueError(f"only one message of a user is put into a chat template, not {', '.join(roles)}")
        before, after = self.frame
        begun = chat_history[1]["content"] if len(chat_history) > 1 else ""
        return f"{before}{chat_history[0]['content']}{after}{begun}"

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation in nats, and whether greedy generation gives it."""
        return self._likelihoods([self._pair(*request.args) for request in requests])

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Return the log-likelihood of each text in nats, read in windows; only the last one has context."""
        sums = []
        for request in requests:
            tokens_T = encoded(self.tokenizer, request.args[0])
            windows = get_rolling_token_windows(tokens_T.tolist(), int(self._prefix_T[-1]), self.max_length, 1)
            pairs = [(torch.tensor(seen[: len(seen) - len(new) + 1]), torch.tensor(new)) for seen, new in windows]
            sums.append(sum(nats for nats, _ in self._likelihoods(pairs)))
        return sums

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Continue each context greedily, up to a string that ends it.

        Raises:
            ValueError: If a task wants random draws.
        """
        wanted = [self._wanted(request.args[1]) for request in requests]
        contexts = [encoded(self.tokenizer, request.args[0]) for request in requests]
        prompts = [
            self._last(context_T, self.max_length - num_tokens)
            for context_T, (num_tokens, _) in zip(contexts, wanted, strict=True)
        ]
        texts = dict(self._generate(prompts, wanted))
        return [texts[place] for place in range(len(requests))]

    def _generate(
        self, prompts: Sequence[Tensor], wanted: Sequence[tuple[int, list[str]]]
    ) -> Iterator[tuple[int, str]]:
        for place, logits_BV, continuation in self._read(prompts):
            num_tokens, ends = wanted[place]
            prompt_1T = prompts[place][None].to(self._device)
            generated, _ = generate_answers(
                continuation, logits_BV, prompt_1T, prompt_1T[:, :0], num_tokens, partial(self._ends, ends)
            )
            yield place, self._cut(generated[0], ends)

    def _wanted(self, options: dict[str, Any]) -> tuple[int, list[str]]:
        """Return how many tokens a task wants at most, and the strings that end them."""
        if options.get("do_sample") and options.get("temperature", 1.0) > 0:
            raise ValueError("a task of the harness wants random draws; here generation is greedy only")
        until = options.get("until") or []
        ends = [until] if isinstance(until, str) else [end for end in until if end]
        return int(options.get("max_gen_toks", _DEFAULT_GENERATED)), ends

    def _ends(self, ends: list[str], _row: int, tokens_N: Tensor) -> bool:
        if self.tokenizer.end is not None and int(tokens_N[-1]) == self.tokenizer.end:
            return True
        text = decoded(self.tokenizer, tokens_N.cpu())
        return any(end in text for end in ends)

    def _cut(self, tokens_N: Tensor, ends: list[str]) -> str:
        """Return a text without what ends it."""
        if self.tokenizer.end is not None and int(tokens_N[-1]) == self.tokenizer.end:
            tokens_N = tokens_N[:-1]
        text = decoded(self.tokenizer, tokens_N.cpu())
        for end in ends:
            text = text.partition(end)[0]
        return text

    def _pair(self, context: str, continuation: str) -> tuple[Tensor, Tensor]:
        """Return the tokens of a context and its continuation; spaces between them belong to the continuation."""
        if not context:
            return self._prefix_T, encoded(self.tokenizer, continuation)
        bare = context.rstrip() or context
        continuation = context[len(bare) :] + continuation
        whole_T, context_T = encoded(self.tokenizer, bare + continuation), encoded(self.tokenizer, bare)
        return context_T, whole_T[len(context_T) :]

    def _likelihoods(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[float, bool]]:
        """Return each continuation's log-likelihood in nats, and whether each of its tokens is the likeliest."""
        contexts = [self._last(seen_T, self.max_length + 1 - len(new_T)) for seen_T, new_T in pairs]
        found: dict[int, tuple[float, bool]] = {}
        for place, logits_BV, continuation in self._read(contexts):
            new_1N = pairs[place][1][None].to(self._device)
            logits_1NV = logits_BV[:, None]
            if new_1N.shape[1] > 1:
                ahead_1NV = continuation.logits_after(contexts[place][None].to(self._device), new_1N[:, :-1])
                logits_1NV = torch.cat((logits_1NV, ahead_1NV), 1)
            nats = float(token_nats(logits_1NV, new_1N).double().sum())
            found[place] = -nats, bool((logits_1NV.argmax(2) == new_1N).all())
        return [found[place] for place in range(len(pairs))]

    def _read(self, prompts: Sequence[Tensor]) -> Iterator[tuple[int, Tensor, Any]]:
        blocks = [prompt_T[None] for prompt_T in prompts]
        return read_blocks(self.model, blocks, pass_tokens=self.pass_tokens, device=self._device)

    def _last(self, tokens_T: Tensor, most: int) -> Tensor:
        """Return the last `most` tokens, at least one."""
        return tokens_T[-max(most, 1) :]
