"""Language modelling line by line, each line padded to one length: the published "language" task, analysed.

Every non-blank line is a sequence; it is cut or padded to `context_length` tokens.
As published, padding is trained on and scored, and the score compares the prediction at a token with that same
token, not with the next one: a model that repeats its input has perplexity 1, and padding alone pulls it toward 1.
`corrected` predicts the next token and ignores the padding. Both report all four perplexities, of the next token
or the one just read, without padding or with it, so that published numbers can be explained.

A line is scored from its second token on; a line with fewer than two tokens is left out.

Source:
    attention-free-phase-blocks, src/train.py, `--task language`: the first 5,000 and 500 lines of WikiText-2,
    padded to 256 tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.batch import IGNORED, Batch
from trainables.data.corpora import Corpus
from trainables.data.errors import DataError
from trainables.data.tokenizers.simple import ByteTokenizer
from trainables.metric import Split
from trainables.tasks.scoring import evenly_spaced, perplexity, token_nats
from trainables.tasks.text.base import TextTask, TextTotal
from trainables.tasks.text.config import MIN_TOKENS, LinesConfig
from trainables.tasks.text.metrics import LINE_UNITS, UNITS
from trainables.tasks.text.ngrams import reference_scores
from trainables.tasks.text.splits import split_text


@dataclass
class _Mean:
    """Running sum and number of tokens' nats."""

    nats: Tensor
    num: int = 0

    def add(self, nats_N: Tensor) -> None:
        self.nats += nats_N.double().sum()
        self.num += nats_N.numel()

    @property
    def perplexity(self) -> float:
        return perplexity(float(self.nats) / self.num)


@dataclass
class _LinesTotal(TextTotal):
    """Sums over scored tokens, and the means behind the published perplexities, by name."""

    published: dict[str, _Mean] = field(default_factory=dict)

    def metrics(self, prefix: str) -> dict[str, float]:
        """Return the total in every unit, and each published perplexity."""
        found = {f"{prefix}/{name}": mean.perplexity for name, mean in self.published.items()}
        return super().metrics(prefix) | found


class LinesTask(TextTask):
    """Lines of one length; for the conventions see the module."""

    config: LinesConfig

    def __init__(self, config: LinesConfig, corpus: Corpus) -> None:
        whole = split_text(corpus, val_fraction=config.val_fraction, test_fraction=config.test_fraction)
        self.context_length = config.context_length
        super().__init__(
            config, corpus, {split: _first_lines(split, text, config) for split, text in whole.items()}
        )
        self.padding = self._padding_token()
        self.lengths: dict[str, Tensor] = {}
        """Tokens of each line without its padding, for each split."""
        self.lines: dict[str, Tensor] = {}
        """Padded lines of shape (N, T), for each split."""
        for split, text in self.texts.items():
            self.lines[split], self.lengths[split] = self._padded(split, text)

    def _padding_token(self) -> int:
        if self.tokenizer.padding is not None:
            return self.tokenizer.padding
        tokens = self.tokenizer.encode(self.config.break_character)
        if len(tokens) != 1:
            raise DataError(
                f"tokenizer '{self.config.tokenizer}' declares no padding, and writes a line break as "
                f"{len(tokens)} tokens; give it a pad_token in tokenizer_config.json"
            )
        return int(tokens[0])

    def _padded(self, split: str, text: str) -> tuple[Tensor, Tensor]:
        """Return the lines of a split, cut or padded, and their numbers of tokens without padding."""
        given = [self.tokenizer.encode(line) for line in text.split(self.config.break_character)[:-1]]
        kept = [torch.from_numpy(tokens[: self.context_length]) for tokens in given if len(tokens) >= MIN_TOKENS]
        if not kept:
            raise DataError(
                f"corpus '{self.config.corpus}': no line of the {split} split has {MIN_TOKENS} tokens; use another "
                "text, or set line_break"
            )
        lines_NT = torch.full((len(kept), self.context_length), self.padding)
        for line_T, tokens in zip(lines_NT, kept, strict=True):
            line_T[: len(tokens)] = tokens
        return lines_NT, torch.tensor([len(tokens) for tokens in kept])

    @property
    def provenance(self) -> dict[str, Any]:
        """Source of the text, its size and its hash."""
        return {
            **self.corpus.provenance,
            "sha256": self.corpus.sha256,
            "split_lines": {split: len(lines_NT) for split, lines_NT in self.lines.items()},
            "vocab_size": self.vocab_size,
        }

    @property
    def primary_metric(self) -> str:
        """Bits per character or byte; as published, the perplexity of the token just read, padding included."""
        if self.config.fidelity == "as_published":
            return "val/unshifted_perplexity_with_padding"
        return super().primary_metric

    def _batch(self, split: str, chosen_B: Tensor, *, padding: bool) -> Batch:
        """Return lines with their next tokens as targets, and with the tokens themselves as echoes.

        Args:
            split: Of the lines.
            chosen_B: Their indices.
            padding: Whether padding is a target too.
        """
        inputs_BT, lengths_B1 = self.lines[split][chosen_B], self.lengths[split][chosen_B, None]
        is_text_BT = torch.arange(self.context_length) < lengths_B1
        echo_BT = inputs_BT.masked_fill(~is_text_BT, IGNORED)
        targets_BT = torch.full_like(inputs_BT, IGNORED)
        targets_BT[:, :-1] = inputs_BT[:, 1:] if padding else echo_BT[:, 1:]
        return Batch(inputs_BT, targets_BT, echo_BT)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` lines with replacement."""
        chosen_B = torch.randint(len(self.lines["train"]), (size,), generator=generator)
        return self._batch("train", chosen_B, padding=self.config.fidelity == "as_published")._replace(echo_BT=None)

    def _windows(self, split: Split, max_sequences: int | None, batch_size: int) -> Iterator[Batch]:
        for chosen_B in evenly_spaced(len(self.lines[split]), max_sequences).split(batch_size):
            yield self._batch(split, chosen_B, padding=False)

    def _scored_tokens(self, split: Split) -> Tensor:
        targets_NT = self._batch(split, torch.arange(len(self.lines[split])), padding=False).targets_BT
        return targets_NT[targets_NT != IGNORED]

    def _total(self, device: torch.device) -> _LinesTotal:
        zero = torch.zeros((), dtype=torch.float64, device=device)
        published = {unit.name: _Mean(zero.clone()) for unit in LINE_UNITS[len(UNITS) :]}
        return _LinesTotal(zero.clone(), published=published)

    def _add(self, total: TextTotal, logits_BTV: Tensor, batch: Batch) -> None:
        super()._add(total, logits_BTV, batch)
        assert isinstance(total, _LinesTotal) and batch.echo_BT is not None
        inputs_BT = batch.inputs_BT.to(logits_BTV.device)
        next_BT = token_nats(logits_BTV[:, :-1], inputs_BT[:, 1:])
        read_BT = token_nats(logits_BTV, inputs_BT)
        is_text_BT = (batch.echo_BT != IGNORED).to(logits_BTV.device)
        counted = {
            "perplexity_with_padding": next_BT,
            "unshifted_perplexity": read_BT[is_text_BT],
            "unshifted_perplexity_with_padding": read_BT,
        }
        for name, nats in counted.items():
            total.published[name].add(nats)

    def references(self) -> dict[str, dict[str, float]]:
        """Return the scores of n-gram models, and of the source itself if its distribution is known.

        N-grams are over characters for a `char` tokenizer and over bytes for the others; see `ngrams`.
        """
        tokenizer = self.tokenizer if self.config.tokenizer == "char" else ByteTokenizer()
        end = self.config.break_character
        texts = {split: "".join(f"{line}{end}" for line in self._cut_lines(split)) for split in self.lines}
        return reference_scores(
            texts,
            tokenizer=tokenizer,
            per_token=self.config.tokenizer in {"char", "byte"},
            source=self.corpus.source,
            line_break=end,
        )

    def _cut_lines(self, split: str) -> Iterator[str]:
        """Yield the scored part of each line's text."""
        for line_T, length in zip(self.lines[split], self.lengths[split].tolist(), strict=True):
            yield self.tokenizer.decode(line_T[:length].numpy().astype(np.int32))


def _first_lines(split: str, text: str, config: LinesConfig) -> str:
    """Return the leading lines of a split that are not blank and have two characters, each with its line break.

    Raises:
        DataError: If there are none.
    """
    most = config.max_train_lines if split == "train" else config.max_held_out_lines
    end = config.break_character
    given = text.split(end) if end in text else []
    lines = list(islice((line for line in given if line.strip() and len(line) >= MIN_TOKENS), most))
    if not lines:
        raise DataError(
            f"corpus '{config.corpus}': the {split} split has no lines of {MIN_TOKENS} characters or more that end "
            f"with {end!r}; set line_break to a character that ends its lines, or use another text"
        )
    return "".join(f"{line}{end}" for line in lines)
