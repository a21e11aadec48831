"""Language modelling: predict the next character, byte or BPE token.

Conventions that determine the numbers (those shared by all text tasks are in `base`):

- *Scored tokens.* Every token of a split is scored exactly once, except the first, which has no context.
- *Windows.* Window k reads `context_length` tokens from token k * stride on and predicts the one after each.
  The first window scores all its predictions, a later one only its last `stride`; so with
  stride = context_length no token has context from another window (nanoGPT's convention), and a smaller
  stride gives tokens more context, a lower score and a higher cost. The last window may be shorter.
- *Beyond the training length.* With `evaluation_length`, each split is also read in disjoint windows of that many
  tokens, and scored by position: band 1 has the positions of training, band 2 as many after them, and so
  on. The rest of the split after the last whole window is left out, so that all bands cover the same windows. The
  *period share* is the strongest period, of at most `context_length` positions, in the loss by position beyond the
  training length: its share of the power at such periods, after a linear trend. Text itself has some, which is the
  same for all models: a share means something beside that of another model.
- *Passages.* With `passage_tokens`, each held-out split is cut into passages of that many predictions. They are
  dealt out to the seeds in a random order that is always the same: no two seeds below their number share one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED, Batch
from trainables.data.corpora import Corpus
from trainables.data.tokenizers.simple import ByteTokenizer
from trainables.diagnostics.periods import share_of_noise, strongest_period
from trainables.metric import Metric, Split
from trainables.randomness import generator
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.scoring import evenly_spaced, token_nats
from trainables.tasks.text.base import TextTask, TextTotal
from trainables.tasks.text.config import LanguageConfig
from trainables.tasks.text.long_stream import LongStream
from trainables.tasks.text.metrics import band_metric, drift_metric, period_share_metric, shows_periods
from trainables.tasks.text.ngrams import reference_scores
from trainables.tasks.text.samples import FILE_NAME, Sampler
from trainables.tasks.text.splits import split_text


class LanguageTask(TextTask):
    """A tokenized corpus; for the conventions see the module."""

    config: LanguageConfig

    def __init__(self, config: LanguageConfig, corpus: Corpus) -> None:
        texts = split_text(corpus, val_fraction=config.val_fraction, test_fraction=config.test_fraction)
        super().__init__(config, corpus, texts)
        self.context_length = config.context_length
        self.stride = config.stride or config.context_length
        self.tokens = {split: self._compact(text) for split, text in self.texts.items()}
        config.check_lengths({split: len(tokens) for split, tokens in self.tokens.items()})
        self._sampler = None
        if config.samples is not None:
            self._sampler = Sampler(config.samples, self.tokens["val"], self.tokenizer, self.max_length)
        self._stream = None if config.stream is None else LongStream(config.stream, self.tokens["val"])
        # A view of every training sequence and its next token: a batch is one gather.
        self._sequences = self.tokens["train"].unfold(0, self.context_length + 1, 1)

    def for_seed(self, seed: int) -> LanguageTask:
        """Return the task with the passages of this seed, if it has any."""
        size = self.config.passage_tokens
        if size is None:
            return self
        own = copy.copy(self)
        own.tokens = dict(self.tokens)
        for split in self.splits:
            count = (len(self.tokens[split]) - 1) // size
            order = torch.randperm(count, generator=generator(0, "passages", split))
            start = size * int(order[seed % count])
            own.tokens[split] = self.tokens[split][start : start + size + 1]
        return own

    @property
    def max_length(self) -> int:
        """Tokens of the longest window that is scored."""
        return self.config.evaluation_length or self.context_length

    @property
    def scored_tokens(self) -> int:
        """The windows of each split, or of a passage of it, again as longer windows, and the stream."""
        config = self.config
        held_out = sum(config.passage_tokens or len(self.tokens[split]) - 1 for split in self.splits)
        windows = held_out * self.context_length // self.stride
        longer = 0 if config.evaluation_length is None else held_out
        return windows + longer + (0 if config.stream is None else config.stream.length)

    @property
    def provenance(self) -> dict[str, Any]:
        """Source of the text, its size and its hash."""
        return {
            **self.corpus.provenance,
            "sha256": self.corpus.sha256,
            "split_tokens": {split: len(tokens) for split, tokens in self.tokens.items()},
            "vocab_size": self.vocab_size,
        }

    def held_out(self, num_sequences: int) -> Batch:
        """Return up to `num_sequences` evenly spaced validation windows, and at most `probe_sequences`."""
        return super().held_out(min(num_sequences, self.config.probe_sequences))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` sequences from uniformly distributed starts, with replacement, as nanoGPT does."""
        starts = torch.randint(len(self._sequences), (size,), generator=generator)
        sequences = self._sequences[starts].long()
        return Batch(sequences[:, :-1].contiguous(), sequences[:, 1:].contiguous())

    def _scored_tokens(self, split: Split) -> Tensor:
        return self.tokens[split][1:]

    def _windows(self, split: Split, max_sequences: int | None, batch_size: int) -> Iterator[Batch]:
        """Yield the evaluation windows in batches; a shorter last window is a batch by itself."""
        tokens, length, stride = self.tokens[split], self.context_length, self.stride
        num_targets = len(tokens) - 1
        starts = stride * evenly_spaced(1 + max(0, math.ceil((num_targets - length) / stride)), max_sequences)
        is_short = starts + length > num_targets
        for group in (starts[~is_short], starts[is_short]):
            for chosen in group.split(batch_size) if len(group) else ():
                size = min(length, num_targets - int(chosen[-1]))
                sequences = tokens[chosen[:, None] + torch.arange(size + 1)].long()
                targets_BT = sequences[:, 1:].clone()
                targets_BT[chosen > 0, : length - stride] = IGNORED  # already scored by the window before
                yield Batch(sequences[:, :-1], targets_BT)

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """The units; with longer windows also by position, with samples their measures, with a stream its cost."""
        longer = [metric for split in self.splits for metric in self._band_metrics(split)]
        own = (*(self._sampler.metrics if self._sampler else ()), *(self._stream.metrics if self._stream else ()))
        return (*super().metrics, *longer, *own)

    @property
    def _bands(self) -> tuple[slice, ...]:
        """Positions of each band of the longer windows; empty if there are no such windows."""
        longest, length = self.config.evaluation_length, self.context_length
        starts = () if longest is None else range(0, longest, length)
        return tuple(slice(start, min(start + length, self.max_length)) for start in starts)

    def _band_metrics(self, split: Split) -> list[Metric]:
        """Declare the score of each band, the difference of the last to the first, and the strongest period."""
        if not self._bands:
            return []
        bits = math.log2(self.vocab_size)
        unit = "bits/character" if self.config.unit == "bits_per_char" else "bits/byte"
        windows_NT = self._long_windows(split)[:, 1:]
        where = f"{split} split, {len(windows_NT):,} windows of {self.max_length} tokens"
        declared = []
        for number, band in enumerate(self._bands, start=1):
            total = self._total(torch.device("cpu"))
            self._count(total, windows_NT[:, band].flatten())
            units = total.chars if self.config.unit == "bits_per_char" else total.num_bytes
            declared.append(
                Metric(
                    name=f"{split}/{band_metric(self.config.unit, number)}",
                    unit=unit,
                    direction="minimise",
                    meaning=f"{self.config.unit} at positions {band.start + 1} to {band.stop}; {where}",
                    chance=bits * total.tokens / units,
                )
            )
        unit_name = self.config.unit
        shapes = {drift_metric(unit_name): "in the last band minus that in the first"}
        for name, meaning in shapes.items():
            described = f"{unit_name} {meaning}; {where}"
            declared.append(Metric(name=f"{split}/{name}", unit=unit, direction="minimise", meaning=described))
        if shows_periods(self.context_length, self.max_length):
            declared.append(self._period_metric(split, where))
        return declared

    def _period_metric(self, split: Split, where: str) -> Metric:
        of_noise = share_of_noise(self.max_length - self.context_length, self.context_length)
        return Metric(
            name=f"{split}/{period_share_metric(self.config.unit)}",
            unit="share",
            direction="minimise",
            meaning=f"of the strongest period of at most {self.context_length} positions in {self.config.unit} by "
            f"position beyond the training length, {of_noise:.2g} for white noise; {where}",
            chance=0.0,  # a uniform guess is as bad at every position
        )

    def _long_windows(self, split: Split) -> Tensor:
        """Return every whole window, including the token after it, as a view."""
        return self.tokens[split].unfold(0, self.max_length + 1, self.max_length)

    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Score as `TextTask` does; on a whole split also longer windows by position, on validation samples and the
        cost of a long text, too."""
        request = replace(request, batch_size=min(request.batch_size, self.config.probe_sequences))
        found = super().evaluate(model, request)
        if not request.is_whole:
            return found
        if self._bands:
            found |= self._score_bands(model, request)
        if request.split == "val" and self._sampler is not None:
            found |= self._sampler.score(model, request.device)
        if request.split == "val" and self._stream is not None:
            found |= self._stream.score(model, request.device)
        return found

    @torch.no_grad()
    def _score_bands(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Return the score of each band, the difference of the last to the first, and the strongest period."""
        split, device = request.split, request.device
        totals: list[TextTotal] = [self._total(device) for _ in self._bands]
        by_position_T = torch.zeros(self.max_length, dtype=torch.float64, device=device)
        # As many tokens in one pass as in ordinary windows, for which memory was estimated.
        size = max(1, min(request.batch_size, model.sequences_at_once) * self.context_length // self.max_length)
        for windows_BT in self._long_windows(split).split(size):
            inputs_BT, targets_BT = windows_BT[:, :-1].long(), windows_BT[:, 1:].long()
            nats_BT = token_nats(model(inputs_BT.to(device)).logits_BTV, targets_BT.to(device)).double()
            by_position_T += nats_BT.sum(0)
            for total, band in zip(totals, self._bands, strict=True):
                total.nats += nats_BT[:, band].sum()
                self._count(total, targets_BT[:, band].flatten())
        unit = self.config.unit
        values = [total.metrics(split)[f"{split}/{unit}"] for total in totals]
        found = {f"{split}/{band_metric(unit, number)}": value for number, value in enumerate(values, start=1)}
        found[f"{split}/{drift_metric(unit)}"] = values[-1] - values[0]
        if shows_periods(self.context_length, self.max_length):
            beyond = by_position_T[self.context_length :].cpu().numpy()
            found[f"{split}/{period_share_metric(unit)}"] = strongest_period(beyond, self.context_length).share
        return found

    @torch.no_grad()
    def artifacts(self, model: LanguageModel, *, device: torch.device) -> dict[str, str]:
        """Return the samples, if they are configured."""
        if self._sampler is None:
            return {}
        return {FILE_NAME: self._sampler.text(self._sampler.draw(model, device))}

    def references(self) -> dict[str, dict[str, float]]:
        """Return the scores of n-gram models, of the source if its law is known, and of real continuations.

        N-grams are over characters for a `char` tokenizer and over bytes for the others; see `ngrams`.
        """
        own = {} if self._sampler is None else {"the text itself": self._sampler.references()}
        return own | reference_scores(
            self.texts,
            tokenizer=self.tokenizer if self.config.tokenizer == "char" else ByteTokenizer(),
            per_token=self.config.tokenizer in {"char", "byte"},
            source=self.corpus.source,
        )
