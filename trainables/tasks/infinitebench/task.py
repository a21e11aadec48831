"""The task `infinitebench`: ∞Bench's pass keys and number strings at any length, and its other tasks from files.

- *Pass keys and number strings* are constructed as published: lines of noise, a line with the key at evenly spaced
  places, and the question. Keys are random digits from a named stream. `lengths` decides the lines of noise.
- *Files.* Their items are those of the published data; a prompt that is too long loses its middle, as published.
- *Score.* `accuracy` is that of the published scorer of each task. Greedy, with the published numbers of tokens, or
  as many as the answer has; it ends at the tokenizer's end of text.

Left out are the tasks in Chinese, those that are scored by ROUGE, and that of 30,000 generated tokens.

Source:
    Zhang et al. (2024), "∞Bench: extending long context evaluation beyond 100K tokens", arXiv:2402.13718.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.data.errors import DataError
from trainables.data.tokenizers.build import build_tokenizer
from trainables.data.tokenizers.chat import chat_frame
from trainables.metric import Split
from trainables.tasks.infinitebench.config import DRAWN, DrawnName, FileName, InfiniteBenchConfig
from trainables.tasks.infinitebench.prompts import (
    DRAWN_TASKS,
    FILE_TASKS,
    draw_key,
    drawn_prompt,
    file_answers,
    file_prompt,
)
from trainables.tasks.infinitebench.scorers import first_number
from trainables.tasks.retrieval.groups import Groups, length_of, task_of
from trainables.tasks.retrieval.items import Item, chance_of, encoded
from trainables.tasks.retrieval.records import Answered, f1
from trainables.tasks.retrieval.task import RetrievalTask, tie_weight
from trainables.tasks.synthetic.task import MetricSpec

GROUPS = Groups("accuracy", task_of, length_of)


class InfiniteBenchTask(RetrievalTask):
    """Items of several tasks at several lengths."""

    stream_name = "infinitebench"
    accuracy = "accuracy"
    config: InfiniteBenchConfig

    def __init__(self, config: InfiniteBenchConfig, data_dir: Path | None) -> None:
        tokenizer = build_tokenizer(config.tokenizer, corpus_text=(), training_text=" ", bpe_vocab_size=0)
        self._before, self._after = chat_frame(config.tokenizer) if config.chat else ("", "")
        self._lines = {task: _read(task, Path(path), config.file_items) for task, path in config.files.items()}
        self._num_lines: dict[tuple[DrawnName, int], int] = {}
        super().__init__(config, tokenizer)

    @property
    def max_length(self) -> int:
        """The longest of the lengths and that of training."""
        return max(self.config.lengths[-1], self.config.context_length)

    @property
    def primary_metric(self) -> str:
        """Mean of the tasks' own scores over items."""
        return "val/infinitebench_accuracy"

    def _held_out(self, split: Split) -> list[Item]:
        config = self.config
        count = config.val_items if split == "val" else config.test_items
        drawn = [
            self._placed(task, length, place, split, number)
            for task in config.tasks
            for length in config.lengths
            for place in range(config.num_positions)
            for number in range(count)
        ]
        if split == "test":
            return drawn
        return drawn + [
            self._read_item(task, line, length, number)
            for task, lines in self._lines.items()
            for length in config.lengths
            for number, line in enumerate(lines)
        ]

    def _placed(self, task: DrawnName, length: int, place: int, split: Split, number: int) -> Item:
        """Return an item with its needle at one of the evenly spaced places."""
        num_lines = self._fit(task, "lengths", length)
        last = max(self.config.num_positions - 1, 1)
        before = round(num_lines * place / last)
        key = draw_key(task, self._stream(split, task, str(length), str(place), str(number)))
        labels = {"task": task, "length": length, "depth": place / last, "item": number}
        return self._drawn(task, key, num_lines, before, {**labels, "realised_depth": before / num_lines})

    def _training_item(self, generator: torch.Generator) -> Item:
        """Draw a pass key or a number string, with any number of lines that fits, at any place."""
        tasks = self.config.tasks or DRAWN
        task = tasks[int(torch.randint(len(tasks), (), generator=generator))]
        most = self._fit(task, "context_length", self.config.context_length)
        num_lines = 1 + int(torch.randint(most, (), generator=generator))
        before = int(torch.randint(num_lines + 1, (), generator=generator))
        return self._drawn(task, draw_key(task, generator), num_lines, before, {})

    def _fit(self, task: DrawnName, field: str, length: int) -> int:
        """Return the lines of noise with which a prompt and what is generated have at most `length` tokens."""
        known = self._num_lines.get((task, length))
        if known is not None:
            return known
        key = "0" * DRAWN_TASKS[task].digits

        def size(num_lines: int) -> int:
            item = self._drawn(task, key, num_lines, 0, {})
            return len(item.prompt_T) + item.num_generated

        per_line = size(2) - size(1)
        found = (length - size(0)) // per_line
        if found < 1:
            raise DataError(
                f"the needle does not fit: {field}={length} tokens, but {task} with one line of noise takes "
                f"{size(1)} with tokenizer={self.config.tokenizer}; give it {size(1)} or more"
            )
        while size(found) > length:
            found -= 1
        return self._num_lines.setdefault((task, length), found)

    def _drawn(self, task: DrawnName, key: str, num_lines: int, before: int, labels: dict[str, Any]) -> Item:
        prompt = drawn_prompt(task, key, num_lines, before)
        return self._item(prompt, (key,), DRAWN_TASKS[task].num_generated, labels)

    def _read_item(self, task: FileName, line: dict[str, Any], length: int, number: int) -> Item:
        form, where = FILE_TASKS[task], f"{self.config.files[task]}, line {number + 1}"
        try:
            prompt, answers = file_prompt(task, line), file_answers(task, line)
        except KeyError as error:
            raise DataError(f"{where}: task {task} needs the field {error}; it has {', '.join(line)}") from None
        except ValueError as error:
            raise DataError(f"{where}: task {task}: {error}") from None
        labels = {"task": task, "length": length, "item": number}
        item = self._item(
            prompt, answers, form.num_generated, labels, wanted=answers[-1 if form.has_options else 0]
        )
        room = length - item.num_generated
        if len(item.prompt_T) <= room:
            return item
        kept_T = torch.cat((item.prompt_T[: room // 2], item.prompt_T[-(room - room // 2) :]))
        return replace(item, prompt_T=kept_T, labels={**labels, "tokens": len(kept_T), "cut": True})

    def _item(
        self, prompt: str, answers: tuple[str, ...], most: int, labels: dict[str, Any], wanted: str = ""
    ) -> Item:
        text = f"{self._before}{prompt}{self._after}"
        space = "" if text[-1:].isspace() else " "
        prompt_T, answer_L = encoded(self.tokenizer, text), encoded(self.tokenizer, space + (wanted or answers[0]))
        return Item(
            prompt_T=prompt_T,
            answer_L=answer_L,
            references=answers,
            num_generated=max(most, len(answer_L)),
            labels={**labels, "tokens": len(prompt_T)},
        )

    def _score(self, item: Item, text: str, tokens_N: Tensor, hits_L: Tensor) -> dict[str, float]:
        ties, task = tie_weight(hits_L), item.labels["task"]
        score = FILE_TASKS[task].score if task in FILE_TASKS else first_number
        return {
            "accuracy": score(text, item.references) * ties,
            "exact_match": float(text.strip() in item.references) * ties,
            "f1": max(f1(text, answer) for answer in item.references) * ties,
        }

    def _specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        return [
            MetricSpec("accuracy", "the tasks' own scores, the mean over items", self._chance(items)),
            MetricSpec("exact_match", "answers that are the right one and nothing else", None),
            MetricSpec("f1", "F1 of the words generated and the answer's", None),
        ]

    def _chance(self, items: Sequence[Item]) -> float | None:
        """Return the chance level of drawn items; that of a file's depends on its options, and is not known."""
        if any(item.labels["task"] in FILE_TASKS for item in items):
            return None
        return chance_of(items, self.vocab_size)

    def _whole_specs(self, items: Sequence[Item]) -> list[MetricSpec]:
        return GROUPS.specs(items, self._chance, lambda _: "")

    def _whole_scores(self, answered: Sequence[Answered]) -> dict[str, float]:
        return GROUPS.means(answered)

    def references(self) -> dict[str, dict[str, float]]:
        """Return the expected scores of a guess of digits, if all items are drawn."""
        if self.config.files:
            return {}
        exact = float(np.mean([0.1 ** len(item.references[0]) for item in self.items["val"]]))
        return {"guess the digits": {f"{split}/infinitebench_accuracy": exact for split in self.splits}}


def _read(task: FileName, path: Path, most: int | None) -> list[dict[str, Any]]:
    """Return the leading items of a file.

    Raises:
        DataError: If it is missing or empty, or a line is no JSON object.
    """
    if not path.is_file():
        raise DataError(f"files: {task}: there is no file {path}; give the published {task}.jsonl")
    items = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(islice(file, most), start=1):
            try:
                item = json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path}, line {number}: no JSON ({error}); give the published {task}.jsonl"
                ) from None
            if not isinstance(item, dict):
                raise DataError(f"{path}, line {number}: not an object; give the published {task}.jsonl")
            items.append(item)
    if not items:
        raise DataError(f"files: {task}: {path} is empty; give the published {task}.jsonl")
    return items
