"""Items of a retrieval task: a prompt and its answer, as tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from trainables.batch import IGNORED
from trainables.data.errors import DataError
from trainables.data.tokenizers.base import Tokenizer
from trainables.metric import Split
from trainables.tasks.synthetic.task import Examples


@dataclass(frozen=True, kw_only=True)
class Item:
    """One question."""

    prompt_T: Tensor
    """Everything that the model reads before it answers."""
    answer_L: Tensor
    """Its tokens follow the prompt in training; in scoring they are what a tie is resolved to."""
    references: tuple[str, ...]
    """The texts that a correct answer contains."""
    num_generated: int
    """Most tokens that are generated: as many as the answer has, or more."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """What tables say of it, such as its length and depth."""

    def __len__(self) -> int:
        return len(self.prompt_T) + len(self.answer_L)


def as_tokens(tokenizer: Tokenizer, prompt: str, answer: str) -> tuple[Tensor, Tensor]:
    """Return the tokens of a prompt and of the answer that continues it.

    Raises:
        DataError: If the tokenizer joins the end of the prompt to the beginning of the answer.
    """
    whole_T, prompt_T = encoded(tokenizer, prompt + answer), encoded(tokenizer, prompt)
    if len(whole_T) <= len(prompt_T) or not torch.equal(whole_T[: len(prompt_T)], prompt_T):
        raise DataError(
            f"the tokenizer joins the end of the prompt, {prompt[-20:]!r}, to the beginning of the answer, "
            f"{answer[:20]!r}: let the prompt end with a word, so that the answer begins with a space"
        )
    return prompt_T, whole_T[len(prompt_T) :]


def encoded(tokenizer: Tokenizer, text: str) -> Tensor:
    """Return the tokens of a text."""
    return torch.from_numpy(tokenizer.encode(text)).long()


def decoded(tokenizer: Tokenizer, tokens_T: Tensor) -> str:
    """Return the text of tokens."""
    return tokenizer.decode(tokens_T.numpy().astype(np.int32))


def as_examples(items: Sequence[Item], length: int, *, scored: Literal["answer", "all"] = "answer") -> Examples:
    """Return training sequences of `length` tokens: prompt and answer, of which the answer or all is predicted.

    What follows is padding, which no scored position sees.

    Raises:
        ValueError: If an item is longer than that, with one to predict.
    """
    tokens_NT = torch.zeros(len(items), length + 1, dtype=torch.long)
    targets_NT = torch.full_like(tokens_NT, IGNORED)
    for row, item in enumerate(items):
        if len(item) > length + 1:
            raise ValueError(f"an item of {len(item)} tokens does not fit into {length}")
        start = len(item.prompt_T) if scored == "answer" else 1
        tokens_NT[row, : len(item)] = torch.cat((item.prompt_T, item.answer_L))
        targets_NT[row, start : len(item)] = tokens_NT[row, start : len(item)]
    return Examples(tokens_NT=tokens_NT[:, :-1].contiguous(), targets_NT=targets_NT[:, 1:].contiguous())


def chance_of(items: Sequence[Item], vocab_size: int) -> float:
    """Return the share of items for which a uniform guess of each token is the wanted answer."""
    return float(np.mean([float(vocab_size) ** -len(item.answer_L) for item in items]))


def hash_of(items: Mapping[Split, Sequence[Item]], tokenizer: Tokenizer) -> str:
    """Return a hash of the items of every split and of the tokenizer."""
    digest = hashlib.sha256(f"{tokenizer.sha256 or tokenizer.name}\n".encode())
    for split, found in items.items():
        for item in found:
            digest.update(f"{split} {len(item.prompt_T)} {len(item.answer_L)} {item.references}\n".encode())
            digest.update(torch.cat((item.prompt_T, item.answer_L)).numpy().tobytes())
    return digest.hexdigest()
