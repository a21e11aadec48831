"""The copy task: reproduce what was read.

`as_published` is the copy task of the TPI notes: the target is the input *at the same position*. The identity
solves it, so it shows that there is a residual stream, not that anything is remembered. `corrected` requires a
memory: some symbols, a delay, a marker, and then the symbols again, each to be predicted from those before it.

    as published:  s1 s2 … sn                      targets  s1 s2 … sn
    corrected:     s1 s2 … sn . . . | s1 … sn-1    targets  - … - s1 s2 … sn, from the marker on

Corrected, neighbouring symbols differ, so that a model that repeats what it reads is never right. As published a
batch holds sequences of many lengths, padded with blanks that are read and not scored.

Source:
    Hochreiter & Schmidhuber (1997) and Arjovsky et al. (2016), arXiv:1511.06464, section 5.1, for the delay.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED, Batch
from trainables.metric import Split
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.copying.config import FIRST_SYMBOL, RATES, CopyConfig, other_metric
from trainables.tasks.synthetic.task import Examples, MetricSpec, SyntheticTask, answer_scores, as_batch, at_targets

BLANK = 0
MARKER = 1


class CopyTask(SyntheticTask[Examples]):
    """Sequences of symbols to copy."""

    stream_name = "CopyTask"
    config: CopyConfig

    def __init__(self, config: CopyConfig) -> None:
        self._num_different = config.vocab_size - FIRST_SYMBOL
        super().__init__(config, vocab_size=config.vocab_size, context_length=config.length(config.num_symbols))

    @property
    def max_length(self) -> int:
        """Tokens of the longest example that is scored."""
        return max(map(self.config.length, (self.config.num_symbols, *self.config.scored_symbols)))

    @cached_property
    def _others(self) -> dict[Split, dict[int, Examples]]:
        """Held-out examples with other numbers of symbols."""
        return {
            split: {
                number: self._sequences(self._num_others(split, number), number, self._stream(split, f"{number}"))
                for number in self.config.scored_symbols
            }
            for split in self.examples
        }

    def _num_others(self, split: Split, num_symbols: int) -> int:
        size = len(self.examples[split])
        return max(1, min(size, size * self.config.num_symbols // num_symbols))

    def _draw(self, size: int, generator: torch.Generator) -> Examples:
        return self._sequences(size, self.config.num_symbols, generator)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """Draw examples to train on, all of one length or padded to the longest."""
        fewest, most = self.config.min_symbols, self.config.num_symbols
        if fewest is None or fewest == most:
            return super().batch(size, generator)
        if self.config.lengths == "equal":
            number = int(torch.randint(fewest, most + 1, (), generator=generator))
            return as_batch(self._sequences(size, number, generator))
        numbers: list[int] = torch.randint(fewest, most + 1, (size,), generator=generator).tolist()
        rows = [self._sequences(1, number, generator) for number in numbers]
        return Batch(
            pad_sequence([row.tokens_NT[0] for row in rows], batch_first=True, padding_value=BLANK),
            pad_sequence([row.targets_NT[0] for row in rows], batch_first=True, padding_value=IGNORED),
        )

    def _sequences(self, size: int, num_symbols: int, generator: torch.Generator) -> Examples:
        different = self._num_different
        if self.config.fidelity == "as_published":
            symbols_NS = FIRST_SYMBOL + torch.randint(different, (size, num_symbols), generator=generator)
            return Examples(tokens_NT=symbols_NS, targets_NT=symbols_NS.clone())
        # The first symbol is arbitrary; each other is 1 to different - 1 steps after its predecessor, cyclically.
        step_NS = torch.randint(1, different, (size, num_symbols), generator=generator)
        step_NS[:, 0] = torch.randint(different, (size,), generator=generator)
        symbols_NS = FIRST_SYMBOL + step_NS.cumsum(1) % different
        blank_ND = torch.full((size, self.config.delay), BLANK)
        marker_N1 = torch.full((size, 1), MARKER)
        unscored_ND = torch.full((size, num_symbols + self.config.delay), IGNORED)
        return Examples(
            tokens_NT=torch.cat([symbols_NS, blank_ND, marker_N1, symbols_NS[:, :-1]], dim=1),
            targets_NT=torch.cat([unscored_ND, symbols_NS], dim=1),
        )

    @property
    def primary_metric(self) -> str:
        """Accuracy of the copied symbols; as published, whole sequences that are right."""
        return "val/copy_exact_match" if self.config.fidelity == "as_published" else "val/copy_accuracy"

    def _kinds(self, split: Split) -> list[MetricSpec]:
        guess, num_symbols = 1 / self.vocab_size, self.config.num_symbols
        where = "at the place where they are read" if self.config.fidelity == "as_published" else "after the delay"
        return [
            MetricSpec("copy_accuracy", f"symbols that are predicted {where}", guess, per_example=num_symbols),
            MetricSpec("copy_exact_match", f"sequences with all {num_symbols} symbols right", guess**num_symbols),
            MetricSpec(
                "copy_nats_per_token",
                "mean negative log-likelihood of a symbol",
                math.log(self.vocab_size),
                "nats/token",
                "minimise",
            ),
            *(
                MetricSpec(
                    other_metric(name, number),
                    f"{name} of other examples, with {number} symbols",
                    chance,
                    examples=self._num_others(split, number),
                    per_example=answers,
                    in_subset=False,
                )
                for number in self.config.scored_symbols
                for name, chance, answers in (
                    ("copy_accuracy", guess, number),
                    ("copy_exact_match", guess**number, 1),
                )
            ),
        ]

    def _scores(self, model: LanguageModel, examples: Examples) -> dict[str, Tensor]:
        return answer_scores("copy", *at_targets(model, examples))

    def _whole_scores(
        self, model: LanguageModel, request: EvaluationRequest, scores: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return both rates with other numbers of symbols."""
        found: dict[str, Tensor] = {}
        for number, examples in self._others[request.split].items():
            # As many tokens in one pass as in ordinary examples, for which memory was estimated.
            at_once = max(1, request.batch_size * self.context_length // self.config.length(number))
            part = replace(request, batch_size=min(request.batch_size, at_once))
            other = self._score_all(model, examples, part)
            found |= {other_metric(name, number): other[name] for name in RATES}
        return found

    def references(self) -> dict[str, dict[str, float]]:
        """Return the scores of a guess among the symbols, and of a model that repeats its input."""
        symbol, echo = 1 / self._num_different, float(self.config.fidelity == "as_published")
        guessed = {"copy_accuracy": symbol, "copy_exact_match": symbol**self.config.num_symbols}
        for number in self.config.scored_symbols:
            guessed[other_metric("copy_accuracy", number)] = symbol
            guessed[other_metric("copy_exact_match", number)] = symbol**number
        scores = {
            "guess among symbols": {**guessed, "copy_nats_per_token": math.log(self._num_different)},
            "echo": dict.fromkeys(guessed, echo),
        }
        return {
            model: {f"{split}/{name}": value for split in self.splits for name, value in metrics.items()}
            for model, metrics in scores.items()
        }
