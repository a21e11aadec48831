"""Language modelling: predict the next character, byte or BPE token.

Conventions (they decide the numbers, so they are stated once, here):

- *Splits.* A split that the corpus declares is used as it is. Else the text is cut, in characters and before
  it is tokenized, so that every tokenizer sees the same splits: training is the first
  `int(n * (1 - val_fraction - test_fraction))` characters, then validation, then the last
  `int(n * test_fraction)` characters for test.
- *Scored tokens.* Every token of a split is scored exactly once, but for its first, which has no context.
- *Windows.* Window k reads `context_length` tokens from token k * stride on and predicts the one after each.
  The first window scores all its predictions, a later one only its last `stride`; so with
  stride = context_length no token has context from another window (nanoGPT's convention), and a smaller
  stride gives tokens more context, a lower score and a higher cost. The last window may be shorter.
- *Units.* Totals are kept in float64. Bits per character and per byte divide the total by the characters and
  UTF-8 bytes of the scored tokens, whatever the tokenizer; perplexity is exp of the mean per *token*.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from trainables.architectures.base import LanguageModel
from trainables.registry import register_task
from trainables.tasks.base import Batch, DataError, Metric, Split, Task, TaskConfig
from trainables.tasks.corpora import DECLARED_SPLITS, Corpus, check_corpus_name, find_file, load_corpus
from trainables.tasks.hub import is_local_repository
from trainables.tasks.ngrams import reference_scores
from trainables.tasks.tokenizers import ByteTokenizer, Tokenizer, TokenizerName, build_tokenizer

IGNORED = -100
"""Target of a position that is not scored."""

MIN_HELD_OUT_TOKENS = 3
"""Of a split that is scored: the law of the synthetic text gives a character a probability after two others."""

_UNITS = (
    ("nats_per_token", "nats/token", "mean negative log-likelihood of a token"),
    ("bits_per_char", "bits/character", "negative log-likelihood in bits, per character"),
    ("bits_per_byte", "bits/byte", "negative log-likelihood in bits, per byte of UTF-8"),
    ("perplexity", "perplexity", "exp of the mean nats per token; incomparable between tokenizers"),
)


@register_task("language", version=1)
class LanguageConfig(TaskConfig):
    """A corpus, cut and tokenized."""

    name: Literal["language"] = "language"
    corpus: str = "synthetic"
    """`synthetic[:SEED]`, `stdlib`, `tiny_shakespeare`, `wikitext2`, `enwik8`, `file:PATH` or
    `hub:REPOSITORY[:CONFIGURATION]`."""
    tokenizer: TokenizerName = "char"
    bpe_vocab_size: int = Field(1024, ge=256, le=65536)
    """Most tokens of a `bpe` tokenizer, which is trained on the training split."""
    context_length: int = Field(64, ge=1)
    """Tokens in a training sequence and in an evaluation window."""
    stride: int | None = Field(None, ge=1)
    """Tokens from one evaluation window to the next. None: `context_length`, disjoint windows."""
    val_fraction: float = Field(0.1, gt=0, lt=1)
    """Share of the characters for validation, unless the corpus declares that split."""
    test_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of the characters for test, unless the corpus declares that split. 0: no test split."""
    max_bytes: int | None = Field(None, ge=1)
    """Leading bytes of each declared split to use; for `synthetic`, how many to generate. None: all."""

    @field_validator("corpus")
    @classmethod
    def _known_corpus(cls, value: str) -> str:
        return check_corpus_name(value)

    @model_validator(mode="after")
    def _consistent(self) -> LanguageConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"val_fraction={self.val_fraction} and test_fraction={self.test_fraction} must add up to "
                "less than 1: the rest is trained on"
            )
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
        """Return the fields that change the result.

        The place of a file is not one of them: its content is, and that is in the data hash.
        """
        fields: dict[str, Any] = self.model_dump(mode="json")
        fields["stride"] = self.stride or self.context_length
        if self.tokenizer != "bpe":
            del fields["bpe_vocab_size"]
        if self.corpus in DECLARED_SPLITS:
            del fields["val_fraction"], fields["test_fraction"]
        if self.corpus.startswith("file:"):
            fields["corpus"] = "file"
        elif self.corpus.startswith("hub:") and is_local_repository(self.corpus.removeprefix("hub:")):
            fields["corpus"] = "hub"
        return fields

    def with_absolute_paths(self, data_dir: Path | None) -> LanguageConfig:
        """Return the configuration with the path of a `file:` or a local `hub:` corpus made absolute."""
        prefix, _, rest = self.corpus.partition(":")
        if prefix == "file":
            return self.model_copy(update={"corpus": f"file:{find_file(rest, data_dir)}"})
        if prefix == "hub" and is_local_repository(rest):
            folder, colon, configuration = rest.partition(":")
            absolute = Path(folder).expanduser().resolve()
            return self.model_copy(update={"corpus": f"hub:{absolute}{colon}{configuration}"})
        return self

    def build(self, data_dir: Path | None) -> LanguageTask:
        """Load the corpus, cut and tokenize it."""
        return LanguageTask(self, load_corpus(self.corpus, data_dir=data_dir, max_bytes=self.max_bytes))


def split_text(corpus: Corpus, *, val_fraction: float, test_fraction: float) -> dict[str, str]:
    """Return the text of `train`, `val` and, if there is one, `test`; see the module's conventions."""
    text, texts = corpus.train, {}
    val_fraction = val_fraction if corpus.val is None else 0.0
    test_fraction = test_fraction if corpus.test is None else 0.0
    # Rounded, because 1 - .05 - .05 is .8999999999999999 and would move the cut by one character.
    train_end = int(len(text) * round(1 - val_fraction - test_fraction, 12))
    test_start = len(text) - int(len(text) * test_fraction)
    texts["train"] = text[:train_end]
    texts["val"] = text[train_end:test_start] if corpus.val is None else corpus.val
    if corpus.test is not None:
        texts["test"] = corpus.test
    elif test_fraction > 0:
        texts["test"] = text[test_start:]
    return texts


@dataclass
class _Total:
    """Sums over scored tokens."""

    nats: Tensor
    tokens: int = 0
    chars: int = 0
    num_bytes: int = 0

    def metrics(self, prefix: str) -> dict[str, float]:
        nats = float(self.nats)
        bits = nats / math.log(2)
        per_token = nats / self.tokens
        return {
            f"{prefix}/nats_per_token": per_token,
            f"{prefix}/bits_per_char": bits / self.chars,
            f"{prefix}/bits_per_byte": bits / self.num_bytes,
            f"{prefix}/perplexity": math.exp(per_token) if per_token < 709 else per_token * math.inf,
        }


class LanguageTask(Task):
    """A tokenized corpus; its conventions are the module's."""

    def __init__(self, config: LanguageConfig, corpus: Corpus) -> None:
        self.config = config
        self.corpus = corpus
        self.texts = split_text(corpus, val_fraction=config.val_fraction, test_fraction=config.test_fraction)
        self.tokenizer = build_tokenizer(
            config.tokenizer,
            corpus_text=tuple(self.texts.values()),
            training_text=self.texts["train"],
            bpe_vocab_size=config.bpe_vocab_size,
        )
        self.vocab_size = self.tokenizer.vocab_size
        self.context_length = config.context_length
        self.stride = config.stride or config.context_length
        self.data_hash = _hash_splits(self.texts)
        self.tokens = {split: _compact(self.tokenizer, text) for split, text in self.texts.items()}
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

    @property
    def splits(self) -> tuple[Split, ...]:
        """The held-out splits that exist; validation always does."""
        return ("val", "test") if "test" in self.tokens else ("val",)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Four units of one total for each held-out split and its evenly spaced subset.

        Chance is a uniform guess over the vocabulary; that of a subset is taken over the whole split.
        """
        declared = []
        for split in self.splits:
            chance = self._chance(split)
            for suffix, part in (("", "all of it"), ("_subset", "evenly spaced windows of it")):
                declared += [
                    Metric(
                        name=f"{split}{suffix}/{name}",
                        unit=unit,
                        direction="minimise",
                        meaning=f"{meaning}; {split} split, {part}",
                        chance=chance[f"{split}/{name}"],
                    )
                    for name, unit, meaning in _UNITS
                ]
        return tuple(declared)

    def _chance(self, split: Split) -> dict[str, float]:
        scored = self.tokens[split][1:]
        total = _Total(torch.tensor(len(scored) * math.log(self.vocab_size), dtype=torch.float64))
        self._count(total, scored)
        return total.metrics(split)

    @property
    def primary_metric(self) -> str:
        """Bits per character where tokens are characters, else bits per byte."""
        return "val/bits_per_char" if self.config.tokenizer == "char" else "val/bits_per_byte"

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences from uniformly distributed starts, with replacement, as nanoGPT does."""
        starts = torch.randint(len(self._sequences), (size,), generator=generator)
        sequences = self._sequences[starts].long()
        return Batch(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous())

    def held_out(self, num_sequences: int) -> Batch:
        """Return up to `num_sequences` evenly spaced validation windows of full length."""
        return next(self._windows("val", num_sequences, num_sequences))

    def loss(self, logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats over the targets that are not -100."""
        return nn.functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED)

    @torch.no_grad()
    def evaluate(
        self,
        model: LanguageModel,
        *,
        split: Split,
        device: torch.device,
        max_sequences: int | None = None,
        batch_size: int = 64,
    ) -> dict[str, float]:
        """Score every token of `split` but its first, or those that evenly spaced windows score.

        Raises:
            ValueError: If the model is in training mode, the split does not exist, or a size is below 1.
        """
        if model.training:
            raise ValueError("evaluate needs a model in evaluation mode; call model.eval() first")
        if split not in self.splits:
            raise ValueError(f"there is no {split} split; set test_fraction above 0")
        if batch_size < 1 or (max_sequences is not None and max_sequences < 1):
            raise ValueError(f"need batch_size and max_sequences >= 1: {batch_size}, {max_sequences}")
        total = _Total(torch.zeros((), dtype=torch.float64, device=device))
        for inputs_BT, targets_BT in self._windows(split, max_sequences, batch_size):
            logits_BTV = model(inputs_BT.to(device)).logits_BTV
            wide = torch.promote_types(logits_BTV.dtype, torch.float32)
            nats_BT = nn.functional.cross_entropy(
                logits_BTV.flatten(0, 1).to(wide),
                targets_BT.flatten().to(device),
                ignore_index=IGNORED,
                reduction="none",
            )
            total.nats += nats_BT.double().sum()
            self._count(total, targets_BT[targets_BT != IGNORED])
        return total.metrics(split if max_sequences is None else f"{split}_subset")

    def _windows(self, split: Split, max_sequences: int | None, batch_size: int) -> Iterator[Batch]:
        """Yield the evaluation windows in batches; a last, shorter window is a batch of its own."""
        tokens, length, stride = self.tokens[split], self.context_length, self.stride
        num_targets = len(tokens) - 1
        num_windows = 1 + max(0, math.ceil((num_targets - length) / stride))
        chosen = np.arange(num_windows)
        if max_sequences is not None and max_sequences < num_windows:
            chosen = np.arange(max_sequences) * num_windows // max_sequences
        is_short = chosen * stride + length > num_targets
        groups = [group for group in (chosen[~is_short], chosen[is_short]) if group.size]
        for group in groups:
            for first in range(0, len(group), batch_size):
                starts = torch.from_numpy(group[first : first + batch_size] * stride)
                size = min(length, num_targets - int(starts[-1]))
                sequences = tokens[starts[:, None] + torch.arange(size + 1)].long()
                targets_BT = sequences[:, 1:].clone()
                targets_BT[starts > 0, : length - stride] = IGNORED  # scored by the window before
                yield Batch(sequences[:, :-1], targets_BT)

    def _count(self, total: _Total, scored: Tensor) -> None:
        tokens = scored.numpy()
        total.tokens += tokens.size
        total.chars += int(self.tokenizer.chars_per_token_V[tokens].sum())
        total.num_bytes += int(self.tokenizer.bytes_per_token_V[tokens].sum())

    def references(self) -> dict[str, dict[str, float]]:
        """Return the scores of n-gram models, and of the source itself where its law is known.

        They model characters for a `char` tokenizer and bytes for the others; see `ngrams`.
        """
        return reference_scores(
            self.texts,
            tokenizer=self.tokenizer if self.config.tokenizer == "char" else ByteTokenizer(),
            per_token=self.config.tokenizer != "bpe",
            source=self.corpus.source,
        )


def _compact(tokenizer: Tokenizer, text: str) -> Tensor:
    """Tokenize into the smallest integers that hold the vocabulary: a corpus may have 10^8 tokens."""
    tokens = tokenizer.encode(text)
    small = np.uint8 if tokenizer.vocab_size <= 256 else np.int32
    return torch.from_numpy(tokens.astype(small))


def _hash_splits(texts: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for split, text in texts.items():
        content = text.encode("utf-8")
        digest.update(f"{split} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
