"""Language modelling: predict the next character, byte or BPE token.

Conventions (they decide the numbers, so they are stated once: those of every text in `text`, these here):

- *Scored tokens.* Every token of a split is scored exactly once, but for its first, which has no context.
- *Windows.* Window k reads `context_length` tokens from token k * stride on and predicts the one after each.
  The first window scores all its predictions, a later one only its last `stride`; so with
  stride = context_length no token has context from another window (nanoGPT's convention), and a smaller
  stride gives tokens more context, a lower score and a higher cost. The last window may be shorter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from trainables.registry import register_task
from trainables.tasks.base import Batch, DataError, Split
from trainables.tasks.corpora import Corpus, load_corpus
from trainables.tasks.ngrams import reference_scores
from trainables.tasks.scoring import IGNORED, evenly_spaced
from trainables.tasks.text import TextConfig, TextTask, split_text
from trainables.tasks.tokenizers import ByteTokenizer

MIN_HELD_OUT_TOKENS = 3
"""Of a split that is scored: the law of the synthetic text gives a character a probability after two others."""


@register_task("language", version=1)
class LanguageConfig(TextConfig):
    """A corpus, cut and tokenized."""

    name: Literal["language"] = "language"
    context_length: int = Field(64, ge=1)
    """Tokens in a training sequence and in an evaluation window."""
    stride: int | None = Field(None, ge=1)
    """Tokens from one evaluation window to the next. None: `context_length`, disjoint windows."""

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> LanguageConfig:
        if self.stride is not None and self.stride > self.context_length:
            raise ValueError(
                f"stride={self.stride} must be at most context_length={self.context_length}: "
                "a larger one would skip tokens"
            )
        return self

    @property
    def microbatch_invariant(self) -> bool:
        """Every position of a training sequence is scored."""
        return True

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result, the stride written out."""
        return {**super().canonical(), "stride": self.stride or self.context_length}

    def build(self, data_dir: Path | None) -> LanguageTask:
        """Load the corpus, cut and tokenize it."""
        return LanguageTask(self, load_corpus(self.corpus, data_dir=data_dir, max_bytes=self.max_bytes))


class LanguageTask(TextTask):
    """A tokenized corpus; its conventions are the module's."""

    def __init__(self, config: LanguageConfig, corpus: Corpus) -> None:
        texts = split_text(corpus, val_fraction=config.val_fraction, test_fraction=config.test_fraction)
        super().__init__(config, corpus, texts)
        self.config = config
        self.context_length = config.context_length
        self.stride = config.stride or config.context_length
        self.tokens = {split: self._compact(text) for split, text in self.texts.items()}
        self._check_lengths()
        # A view of every training sequence and its next token: a batch is one gather.
        self._sequences = self.tokens["train"].unfold(0, self.context_length + 1, 1)

    def _check_lengths(self) -> None:
        for split, tokens in self.tokens.items():
            needed = self.context_length + 1 if split == "train" else MIN_HELD_OUT_TOKENS
            reason = f" (context_length={self.context_length}, and one to predict)" if split == "train" else ""
            if len(tokens) < needed:
                raise DataError(
                    f"corpus '{self.config.corpus}': the {split} split has {len(tokens)} tokens and needs "
                    f"{needed}{reason}; use a longer text or change val_fraction, test_fraction or max_bytes"
                )

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the text came from, its size and its hash."""
        return {
            **self.corpus.provenance,
            "sha256": self.corpus.sha256,
            "split_tokens": {split: len(tokens) for split, tokens in self.tokens.items()},
            "vocab_size": self.vocab_size,
        }

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences from uniformly distributed starts, with replacement, as nanoGPT does."""
        starts = torch.randint(len(self._sequences), (size,), generator=generator)
        sequences = self._sequences[starts].long()
        return Batch(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous())

    def _scored_tokens(self, split: Split) -> Tensor:
        return self.tokens[split][1:]

    def _windows(self, split: Split, max_sequences: int | None, batch_size: int) -> Iterator[Batch]:
        """Yield the evaluation windows in batches; a last, shorter window is a batch of its own."""
        tokens, length, stride = self.tokens[split], self.context_length, self.stride
        num_targets = len(tokens) - 1
        starts = stride * evenly_spaced(1 + max(0, math.ceil((num_targets - length) / stride)), max_sequences)
        is_short = starts + length > num_targets
        for group in (starts[~is_short], starts[is_short]):
            for chosen in group.split(batch_size) if len(group) else ():
                size = min(length, num_targets - int(chosen[-1]))
                sequences = tokens[chosen[:, None] + torch.arange(size + 1)].long()
                targets_BT = sequences[:, 1:].clone()
                targets_BT[chosen > 0, : length - stride] = IGNORED  # scored by the window before
                yield Batch(sequences[:, :-1], targets_BT)

    def references(self) -> dict[str, dict[str, float]]:
        """Return the scores of n-gram models, and of the source itself where its law is known.

        They model characters for a `char` tokenizer and bytes for the others; see `ngrams`.
        """
        return reference_scores(
            self.texts,
            tokenizer=self.tokenizer if self.config.tokenizer == "char" else ByteTokenizer(),
            per_token=self.config.tokenizer in {"char", "byte"},
            source=self.corpus.source,
        )
