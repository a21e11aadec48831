"""What the tasks on text share: a corpus that is split and tokenized, and totals in several units.

- *Splits.* A split that the corpus declares is used as it is. Otherwise the text is split, in characters and before
  it is tokenized, so that every tokenizer sees the same splits: training is the first
  `int(n * (1 - val_fraction - test_fraction))` characters, then validation, then the last
  `int(n * test_fraction)` characters for test.
- *Units.* Totals are accumulated in float64. Bits per character and per byte divide the total by the characters and
  UTF-8 bytes of the scored tokens, whatever the tokenizer; perplexity is exp of the mean per *token*.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED, Batch
from trainables.data.corpora import Corpus
from trainables.data.tokenizers.base import Tokenizer
from trainables.data.tokenizers.build import build_tokenizer
from trainables.metric import Metric, Split
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.scoring import mean_nats, perplexity, token_nats
from trainables.tasks.text.config import TextConfig


@dataclass
class TextTotal:
    """Sums over scored tokens."""

    nats: Tensor
    tokens: int = 0
    chars: int = 0
    num_bytes: int = 0

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return the total in every unit."""
        nats = float(self.nats)
        bits = nats / math.log(2)
        per_token = nats / self.tokens
        return {
            f"{prefix}/nats_per_token": per_token,
            f"{prefix}/bits_per_char": bits / self.chars,
            f"{prefix}/bits_per_byte": bits / self.num_bytes,
            f"{prefix}/perplexity": perplexity(per_token),
        }


class TextTask(Task):
    """A corpus, split and tokenized. Subclasses define the sequences."""

    config: TextConfig

    def __init__(self, config: TextConfig, corpus: Corpus, texts: dict[str, str]) -> None:
        self.config = config
        self.corpus = corpus
        self.texts = texts
        self.tokenizer: Tokenizer = build_tokenizer(
            config.tokenizer,
            corpus_text=tuple(texts.values()),
            training_text=texts["train"],
            bpe_vocab_size=config.bpe_vocab_size,
        )
        self.vocab_size = self.tokenizer.vocab_size
        self.data_hash = _hash_splits(texts)
        if self.tokenizer.sha256 is not None:
            self.data_hash = hashlib.sha256(f"{self.data_hash}{self.tokenizer.sha256}".encode()).hexdigest()

    @property
    @abstractmethod
    def provenance(self) -> dict[str, Any]:
        """Source of the text, its size and its hash."""

    @abstractmethod
    def _windows(self, split: Split, max_sequences: int | None, batch_size: int) -> Iterator[Batch]:
        """Yield the scored sequences, on the CPU: all, or up to `max_sequences` evenly spaced ones."""

    @abstractmethod
    def _scored_tokens(self, split: Split) -> Tensor:
        """Return the scored tokens of a whole split, in one dimension."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The held-out splits that exist; validation always does."""
        return ("val", "test") if "test" in self.texts else ("val",)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The units for each held-out split and its evenly spaced subset.

        Chance is a uniform guess over the vocabulary; for a subset it is that of the whole split.
        """
        declared = []
        for split in self.splits:
            chance = self._chance(split)
            for suffix, part in (("", "all of it"), ("_subset", "evenly spaced windows of it")):
                declared += [
                    Metric(
                        name=f"{split}{suffix}/{name}",
                        unit=unit,
                        direction=direction,
                        meaning=f"{meaning}; {split} split, {part}",
                        chance=chance.get(f"{split}/{name}", float(self.vocab_size)),
                    )
                    for name, unit, meaning, direction in self.config.units
                ]
        return tuple(declared)

    def _chance(self, split: Split) -> dict[str, float]:
        scored = self._scored_tokens(split)
        total = TextTotal(torch.tensor(len(scored) * math.log(self.vocab_size), dtype=torch.float64))
        self._count(total, scored)
        return total.metrics(split)

    @property
    def primary_metric(self) -> str:
        """Bits per character where tokens are characters, else bits per byte."""
        return f"val/{self.config.unit}"

    def held_out(self, num_sequences: int) -> Batch:
        """Return up to `num_sequences` evenly spaced validation sequences of full length."""
        return next(self._windows("val", num_sequences, num_sequences))

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy in nats over the targets that are not -100."""
        return mean_nats(logits_BTV, batch.targets_BT)

    @torch.no_grad()
    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Score every token of `split` that has a target, or those of evenly spaced sequences.

        Raises:
            ValueError: If the model is in training mode, the split does not exist, or a size is below 1.
        """
        request.check(model, self.splits, fix="set test_fraction above 0")
        total = self._total(request.device)
        at_once = min(request.batch_size, model.sequences_at_once)
        for batch in self._windows(request.split, request.max_sequences, at_once):
            self._add(total, model(batch.inputs_BT.to(request.device)).logits_BTV, batch)
        return total.metrics(request.prefix)

    def _total(self, device: torch.device) -> TextTotal:
        return TextTotal(torch.zeros((), dtype=torch.float64, device=device))

    def _add(self, total: TextTotal, logits_BTV: Tensor, batch: Batch) -> None:
        """Add the scored tokens of a batch, which is on the CPU."""
        total.nats += token_nats(logits_BTV, batch.targets_BT.to(logits_BTV.device)).double().sum()
        self._count(total, batch.targets_BT[batch.targets_BT != IGNORED])

    def _count(self, total: TextTotal, scored: Tensor) -> None:
        tokens = scored.numpy()
        total.tokens += tokens.size
        total.chars += int(self.tokenizer.chars_per_token_V[tokens].sum())
        total.num_bytes += int(self.tokenizer.bytes_per_token_V[tokens].sum())

    def _compact(self, text: str) -> Tensor:
        """Tokenize into the smallest integers that hold the vocabulary: a corpus may have 10^8 tokens."""
        small = np.uint8 if self.vocab_size <= 256 else np.int32
        return torch.from_numpy(self.tokenizer.encode(text).astype(small))


def _hash_splits(texts: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for split, text in texts.items():
        content = text.encode("utf-8")
        digest.update(f"{split} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
