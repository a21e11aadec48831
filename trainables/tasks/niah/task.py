"""The task `niah`: a needle in a haystack of text, at every depth of every length.

- *Prompt.* Instruction, haystack with the needle between two sentences, question, and the beginning of the answer.
  The haystack has as many whole sentences as fit, so that prompt and answer have at most `length` tokens.
- *Depth.* The needle stands at the end of the last sentence before `depth` times the haystack's tokens. The depth
  that this gives is kept with each item; it differs most in short haystacks.
- *Answer.* Random digits, other ones for each item, from a named stream. A guess of the digits is right with a
  probability of 10^-digits; a constant answer, as the published test has, would be right from memory.
- *Score.* The model generates as many tokens as the answer has. `exact_match`: all of them are right.
  `digit_accuracy`: digits that are right in their place. `auc`: the area under the exact match over depth, as a
  fraction of what is possible.

Source:
    Kamradt (2023), "Needle in a haystack", github.com/gkamradt/LLMTest_NeedleInAHaystack (depths, and the
    sentence's end before them). Mohtashami & Jaggi (2023), "Landmark attention", arXiv:2305.16300 (pass keys in
    repeated noise). π-spiral experiments (grid and tables).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.data.corpora import load_corpus
from trainables.data.errors import DataError
from trainables.data.tokenizers.build import build_tokenizer
from trainables.data.tokenizers.chat import chat_frame
from trainables.metric import Split
from trainables.tasks.niah.config import NOISE, PERCENT, NiahConfig, check_fits
from trainables.tasks.niah.haystack import Haystack
from trainables.tasks.niah.wording import Wording, answer_text, sentences_of
from trainables.tasks.retrieval.groups import Groups, length_of
from trainables.tasks.retrieval.items import Item, as_tokens, chance_of, decoded
from trainables.tasks.retrieval.records import Answered, f1
from trainables.tasks.retrieval.task import RetrievalTask, tie_weight
from trainables.tasks.synthetic.task import MetricSpec


def _percent(depth: float) -> str:
    return str(round(depth * PERCENT))


def _depth_of(item: Item) -> str:
    return f"_depth_{_percent(item.labels['depth'])}"


GROUPS = Groups("exact_match", length_of, _depth_of)


class NiahTask(RetrievalTask):
    """The items of a grid of lengths and depths."""

    stream_name = "niah"
    accuracy = "digit_accuracy"
    config: NiahConfig

    def __init__(self, config: NiahConfig, data_dir: Path | None) -> None:
        text = config.noise
        if config.haystack != NOISE:
            text = load_corpus(config.haystack, data_dir=data_dir).train
        self._sentences = sentences_of(text)
        if not self._sentences:
            raise DataError(f"haystack '{config.haystack}' has no sentence")
        self.wording = _framed(config)
        alphabet = self.wording.prompt("0123456789", [*self._sentences, answer_text("")], 0)
        tokenizer = build_tokenizer(
            config.tokenizer, corpus_text=(alphabet,), training_text=alphabet, bpe_vocab_size=0
        )
        self._haystack = lru_cache(maxsize=64)(
            lambda start: Haystack(tokenizer, self.wording, self._sentences, start, self.max_length)
        )
        super().__init__(config, tokenizer)

    @property
    def max_length(self) -> int:
        """The longest of the grid's lengths and that of training."""
        return max(self.config.lengths[-1], self.config.context_length)

    @property
    def primary_metric(self) -> str:
        """Rate of answers with all digits right."""
        return "val/niah_exact_match"

    def _held_out(self, split: Split) -> list[Item]:
        config = self.config
        count = config.val_items if split == "val" else config.test_items
        return [
            self._item(length, depth, split, number)
            for length in config.lengths
            for depth in config.depths
            for number in range(count)
        ]

    def _item(self, length: int, depth: float, split: Split, number: int) -> Item:
        """Return an item of the grid; its haystack is that of the same number at every depth and length."""
        haystack = self._haystack(self._draw_start(self._stream(split, "haystack", str(number))))
        answer = self._draw_answer(self._stream(split, "answer", str(length), _percent(depth), str(number)))
        count = self._fit(haystack, "lengths", length, answer)
        place = haystack.place(count, depth)
        labels: dict[str, Any] = {"length": length, "depth": depth, "item": number, "realised_depth": place.depth}
        return self._made(haystack, answer, count, place.before, labels)

    def _training_item(self, generator: torch.Generator) -> Item:
        """Draw an item with any number of sentences that fits, and the needle anywhere between them."""
        haystack, answer = self._haystack(self._draw_start(generator)), self._draw_answer(generator)
        most = self._fit(haystack, "context_length", self.config.context_length, answer)
        count = 1 + int(torch.randint(most, (), generator=generator))
        before = int(torch.randint(count + 1, (), generator=generator))
        return self._made(haystack, answer, count, before, {})

    def _draw_start(self, generator: torch.Generator) -> int:
        """Return the first sentence of a haystack: of noise always the same."""
        if self.config.haystack == NOISE:
            return 0
        return int(torch.randint(len(self._sentences), (), generator=generator))

    def _draw_answer(self, generator: torch.Generator) -> str:
        return "".join(map(str, torch.randint(10, (self.config.digits,), generator=generator).tolist()))

    def _fit(self, haystack: Haystack, field: str, length: int, answer: str) -> int:
        count = haystack.fit(length, answer)
        if count == 0:
            try:
                check_fits(field, length, haystack.smallest(answer), self.config.tokenizer)
            except ValueError as error:
                raise DataError(str(error)) from None
        return count

    def _made(self, haystack: Haystack, answer: str, count: int, before: int, labels: dict[str, Any]) -> Item:
        prompt = self.wording.prompt(answer, haystack.sentences(count), before)
        prompt_T, answer_L = as_tokens(self.tokenizer, prompt, answer_text(answer))
        labels = {**labels, "tokens": len(prompt_T) + len(answer_L)}
        size = len(answer_L)
        return Item(prompt_T=prompt_T, answer_L=answer_L, references=(answer,), num_generated=size, labels=labels)

    def _score(self, item: Item, text: str, tokens_N: Tensor, hits_L: Tensor) -> dict[str, float]:
        return {
            "exact_match": float(hits_L.prod()),
            "digit_accuracy": self._digit_accuracy(item, tokens_N, hits_L),
            "f1": f1(text, item.references[0]) * tie_weight(hits_L),
        }

    def _digit_accuracy(self, item: Item, tokens_N: Tensor, hits_L: Tensor) -> float:
        """Return the share of digits that are right in their token's place; a token may hold several."""
        right = 0.0
        given = [*tokens_N.split(1), *[tokens_N[:0]] * (len(hits_L) - len(tokens_N))]
        for wanted_1, given_1, hit in zip(item.answer_L.split(1), given, hits_L.tolist(), strict=True):
            digits, found = (decoded(self.tokenizer, token_1).strip() for token_1 in (wanted_1, given_1))
            right += hit * len(digits) if hit > 0 else sum(map(str.__eq__, digits, found))
        return right / self.config.digits

    def _specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        digits = self.config.digits
        exact = chance_of(items, self.vocab_size)
        of_digits = f"a guess of the digits is right in {0.1**digits:.0e} of them"
        return [
            MetricSpec("exact_match", f"answers generated with all {digits} digits right; {of_digits}", exact),
            MetricSpec("digit_accuracy", "digits right in their place; a guess: a tenth", 1 / self.vocab_size),
            MetricSpec("f1", "F1 of the words generated and the answer's", exact),
        ]

    def _whole_specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        meaning = "area under exact match over depth, as a fraction of what is possible"
        areas = [MetricSpec(name, meaning, None, "area", in_subset=False) for name in self._areas()]
        return GROUPS.specs(items, lambda group: chance_of(group, self.vocab_size), _range_of_depths) + areas

    def _areas(self) -> dict[str, int | None]:
        """Return the names of the areas under a curve over depth, each with its length; none for a single depth."""
        if len(self.config.depths) == 1:
            return {}
        return {"auc": None} | {f"auc_length_{length}": length for length in self.config.lengths}

    def _whole_scores(self, answered: Sequence[Answered]) -> dict[str, float]:
        found = GROUPS.means(answered)
        depths = self.config.depths
        for name, length in self._areas().items():
            middle = "" if length is None else f"_length_{length}"
            curve = [found[f"exact_match{middle}_depth_{_percent(depth)}"] for depth in depths]
            found[name] = float(np.trapezoid(curve, depths)) / (depths[-1] - depths[0])
        return found

    def references(self) -> dict[str, dict[str, float]]:
        """Return the expected scores of a guess of digits."""
        exact = 0.1**self.config.digits
        guess = {"exact_match": exact, "digit_accuracy": 0.1}
        guess |= {spec.name: exact for spec in self._whole_specs(self.items["val"]) if spec.unit == "share"}
        return {
            "guess the digits": {
                f"{split}/niah_{name}": value for split in self.splits for name, value in guess.items()
            }
        }


def _range_of_depths(items: Sequence[Item]) -> str:
    found = [item.labels["realised_depth"] for item in items]
    return f"; needles at {min(found):.3f} to {max(found):.3f}"


def _framed(config: NiahConfig) -> Wording:
    """Return the text of a prompt, in a chat template if there is one."""
    if not config.chat:
        return config.wording
    before, after = chat_frame(config.tokenizer)
    return replace(config.wording, before=before, after=after)
