"""The copy task: say again what was read.

`as_published` is the copy task of the TPI notes: the target is the input *at the same position*. The identity
solves it, so it shows that a residual stream is there, not that anything is remembered. `corrected` asks for a
memory: some symbols, a delay, a marker, and then the symbols again, each to be predicted from those before it.

    as published:  s1 s2 … sn                      targets  s1 s2 … sn
    corrected:     s1 s2 … sn . . . | s1 … sn-1    targets  - … - s1 s2 … sn, from the marker on

Corrected, neighbouring symbols differ, so that a model that repeats what it reads is never right.

Source:
    Hochreiter & Schmidhuber (1997) and Arjovsky et al. (2016), arXiv:1511.06464, section 5.1, for the delay.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from trainables.architectures.base import LanguageModel
from trainables.registry import register_task
from trainables.tasks.base import Split
from trainables.tasks.drawn import DrawnConfig, DrawnTask, Examples, Kind, answer_scores, at_targets
from trainables.tasks.scoring import IGNORED

BLANK = 0
MARKER = 1
FIRST_SYMBOL = 3
"""As published: symbols are tokens 3 to 19 of 20."""


@register_task("copy", version=1)
class CopyConfig(DrawnConfig):
    """Copying: at once as published, after a delay as corrected. Published lengths are 100 to 5,000."""

    name: Literal["copy"] = "copy"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    vocab_size: int = Field(20, ge=FIRST_SYMBOL + 2)
    """The symbols are the tokens from 3 on."""
    num_symbols: int = Field(16, ge=1)
    """Symbols of a sequence."""
    delay: int = Field(16, ge=0)
    """Blanks between the symbols and the marker that asks for them; as published there is no delay to have."""

    @property
    def violates(self) -> frozenset[str]:
        """As published, the target is what is being read."""
        return frozenset({"batches", "echo"} if self.fidelity == "as_published" else ())

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task of each fidelity."""
        small = {"num_symbols": 6, "delay": 4, "num_val": 40, "num_test": 20}
        return [cls.model_validate({**small, "fidelity": name}) for name in ("corrected", "as_published")]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result."""
        fields = super().canonical()
        if self.fidelity == "as_published":
            del fields["delay"]
        return fields

    def build(self, data_dir: object) -> CopyTask:
        """Draw the held-out examples, and those to train on if they are fixed."""
        return CopyTask(self)


class CopyTask(DrawnTask[Examples]):
    """Sequences of symbols to copy."""

    config: CopyConfig

    def __init__(self, config: CopyConfig) -> None:
        self._num_different = config.vocab_size - FIRST_SYMBOL
        read_again = config.delay + config.num_symbols if config.fidelity == "corrected" else 0
        super().__init__(config, vocab_size=config.vocab_size, context_length=config.num_symbols + read_again)

    def _draw(self, size: int, generator: torch.Generator) -> Examples:
        num_symbols, different = self.config.num_symbols, self._num_different
        if self.config.fidelity == "as_published":
            symbols_NS = FIRST_SYMBOL + torch.randint(different, (size, num_symbols), generator=generator)
            return Examples(tokens_NT=symbols_NS, targets_NT=symbols_NS.clone())
        # The first symbol is any; the others are 1 to different - 1 further round than the one before.
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
        """Symbols that are copied."""
        return "val/copy_accuracy"

    def _kinds(self, split: Split) -> list[Kind]:
        guess, num_symbols = 1 / self.vocab_size, self.config.num_symbols
        where = "at the place where they are read" if self.config.fidelity == "as_published" else "after the delay"
        return [
            Kind("copy_accuracy", f"symbols that are predicted {where}", guess),
            Kind("copy_exact_match", f"sequences with all {num_symbols} symbols right", guess**num_symbols),
            Kind(
                "copy_nats_per_token",
                "mean negative log-likelihood of a symbol",
                math.log(self.vocab_size),
                "nats/token",
                "minimise",
            ),
        ]

    def _scores(self, model: LanguageModel, examples: Examples) -> dict[str, Tensor]:
        return answer_scores("copy", *at_targets(model, examples))

    def references(self) -> dict[str, dict[str, float]]:
        """Return what is scored by a guess among the symbols, and by a model that repeats what it reads."""
        symbol, echo = 1 / self._num_different, float(self.config.fidelity == "as_published")
        scores = {
            "guess among symbols": {
                "copy_accuracy": symbol,
                "copy_exact_match": symbol**self.config.num_symbols,
                "copy_nats_per_token": math.log(self._num_different),
            },
            "echo": {"copy_accuracy": echo, "copy_exact_match": echo},
        }
        return {
            model: {f"{split}/{name}": value for split in self.splits for name, value in metrics.items()}
            for model, metrics in scores.items()
        }
