"""The task `ruler`: samples of NVIDIA's RULER, scored as published.

- *Prompts* are equal to those of the published scripts with the same tokenizer, length and seed, as hashes in the
  tests show; the first samples of a seed are its validation split, the next ones its test split. In a chat, what
  the scripts give as the beginning of the answer follows the template.
- *Score.* `string_match_all`: the share of the answers that stand in what is generated, whatever the case, the mean
  over samples. Greedy; it ends at the tokenizer's end of text, or when all answers are there, since no later token
  can change the score then.

Source:
    Hsieh et al. (2024), arXiv:2404.06654; github.com/NVIDIA/RULER (Apache-2.0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.data.tokenizers.build import build_tokenizer
from trainables.data.tokenizers.chat import chat_frame
from trainables.metric import Split
from trainables.tasks.retrieval.groups import Groups, length_of, task_of
from trainables.tasks.retrieval.items import Item, chance_of, encoded
from trainables.tasks.retrieval.records import Answered, f1
from trainables.tasks.retrieval.task import RetrievalTask, tie_weight
from trainables.tasks.ruler.config import RulerConfig
from trainables.tasks.ruler.generators import GENERATORS, TaskName
from trainables.tasks.ruler.samples import Generator, Sample
from trainables.tasks.synthetic.task import MetricSpec

_SEED_BITS = 31


GROUPS = Groups("string_match_all", task_of, length_of)


class RulerTask(RetrievalTask):
    """Samples of several tasks at several lengths."""

    stream_name = "ruler"
    accuracy = "string_match_all"
    config: RulerConfig

    def __init__(self, config: RulerConfig, data_dir: Path | None) -> None:
        tokenizer = build_tokenizer(config.tokenizer, corpus_text=(), training_text=" ", bpe_vocab_size=0)
        self._before, self._after = chat_frame(config.tokenizer) if config.chat else ("", "")
        self._count = lambda text: len(tokenizer.encode(text))
        self._training = lru_cache(maxsize=None)(self._training_generator)
        super().__init__(config, tokenizer)

    @property
    def max_length(self) -> int:
        """The longest of the lengths and that of training."""
        return max(self.config.lengths[-1], self.config.context_length)

    @property
    def primary_metric(self) -> str:
        """Share of the answers that are generated."""
        return "val/ruler_string_match_all"

    def _held_out(self, split: Split) -> list[Item]:
        config = self.config
        skipped = 0 if split == "val" else config.val_items
        count = config.val_items if split == "val" else config.test_items
        return [
            item
            for name in config.tasks
            for length in config.lengths
            for item in self._items(name, length, skipped + count if count else 0)[skipped:]
        ]

    def _items(self, name: TaskName, length: int, count: int) -> list[Item]:
        """Return the first samples of a task at a length."""
        if not count:
            return []
        seed = self._seed if self._seed is not None and self._has_own_items else self.config.data_seed
        generator = GENERATORS[name](length, seed, self._count)
        size = generator.size()
        return [
            self._item(generator, generator.draw(size), {"task": name, "length": length, "item": number})
            for number in range(count)
        ]

    def _item(self, generator: Generator, sample: Sample, labels: dict[str, Any]) -> Item:
        prompt = sample.prompt
        if self._after:
            prompt = f"{self._before}{sample.text}{self._after}{sample.answer_prefix.lstrip()}"
        most = min(self.config.generated_tokens or math.inf, generator.tokens_to_generate)
        prompt_T, answer_L = (encoded(self.tokenizer, text) for text in (prompt, generator.answer(sample)))
        return Item(
            prompt_T=prompt_T,
            answer_L=answer_L,
            references=sample.outputs,
            num_generated=max(int(most), len(answer_L)),
            labels={**labels, "tokens": len(prompt_T)},
        )

    def _training_item(self, generator: torch.Generator) -> Item:
        """Draw a sample of any of the tasks at the length of training."""
        chosen, seed = torch.randint(2**_SEED_BITS, (2,), generator=generator).tolist()
        source, size = self._training(self.config.tasks[chosen % len(self.config.tasks)])
        source.reseed(seed)
        return self._item(source, source.draw(size), {})

    def _training_generator(self, name: TaskName) -> tuple[Generator, int]:
        """Return the generator of a task at the length of training, and the size of its contexts."""
        source = GENERATORS[name](self.config.context_length, self.config.data_seed, self._count)
        return source, source.size()

    def _score(self, item: Item, text: str, tokens_N: Tensor, hits_L: Tensor) -> dict[str, float]:
        ties, found = tie_weight(hits_L), string_match_all(text, item.references)
        return {
            "string_match_all": found * ties,
            "exact_match": float(found == 1) * ties,
            "f1": f1(text, " ".join(item.references)) * ties,
        }

    def _is_complete(self, item: Item, text: str) -> bool:
        return string_match_all(text, item.references) == 1

    def _specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        chance = chance_of(items, self.vocab_size)
        return [
            MetricSpec(
                "string_match_all", "answers that stand in what is generated, the mean over samples", chance
            ),
            MetricSpec("exact_match", "samples all of whose answers are generated", chance),
            MetricSpec("f1", "F1 of the words generated and the answers", chance),
        ]

    def _whole_specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        averages = [
            MetricSpec(name, what, None, "score", in_subset=False) for name, what in self._averages().items()
        ]
        return GROUPS.specs(items, lambda group: chance_of(group, self.vocab_size), lambda _: "") + averages

    def _averages(self) -> dict[str, str]:
        """Return the published averages over lengths, by name; none for a single length."""
        if len(self.config.lengths) == 1:
            return {}
        meaning = "mean of string_match_all over lengths, with weights that {} linearly with their rank"
        return {"wavg_inc": meaning.format("rise"), "wavg_dec": meaning.format("fall")}

    def _whole_scores(self, answered: Sequence[Answered]) -> dict[str, float]:
        found = GROUPS.means(answered)
        by_length = [found[f"string_match_all_length_{length}"] for length in self.config.lengths]
        rank = np.arange(1, len(by_length) + 1)
        weights = {"wavg_inc": rank, "wavg_dec": rank[::-1]}
        return found | {name: float(np.average(by_length, weights=weights[name])) for name in self._averages()}

    def references(self) -> dict[str, dict[str, float]]:
        """Return none: what a guess scores depends on the task, and is next to nothing."""
        return {}


def string_match_all(text: str, references: Sequence[str]) -> float:
    """Return the share of the references that stand in a text, whatever the case."""
    return sum(reference.lower() in text.lower() for reference in references) / len(references)
