"""Means over kinds of items: by each of two labels, and by both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from trainables.tasks.retrieval.items import Item
from trainables.tasks.retrieval.records import Answered
from trainables.tasks.synthetic.task import MetricSpec


@dataclass(frozen=True)
class Groups:
    """How items are grouped for a score."""

    score: str
    first: Callable[[Item], str]
    """What the first label adds to a metric's name, such as `_vt`."""
    second: Callable[[Item], str]

    def of(self, items: Sequence[Item]) -> dict[str, list[Item]]:
        """Return the items of each group, by the metric of their mean score."""
        groups: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            first, second = self.first(item), self.second(item)
            for name in (first, second, first + second):
                groups[self.score + name].append(item)
        return groups

    def specs(
        self, items: Sequence[Item], chance: Callable[[Sequence[Item]], float | None], note: Callable[..., str]
    ) -> list[MetricSpec]:
        """Return the metrics of the groups.

        Args:
            items: Of a split.
            chance: What a group's items score at chance.
            note: What to add to a group's meaning.
        """
        specs = []
        for name, group in self.of(items).items():
            meaning = f"{self.score},{name.removeprefix(self.score).replace('_', ' ')}{note(group)}"
            specs.append(MetricSpec(name, meaning, chance(group), examples=len(group), in_subset=False))
        return specs

    def means(self, answered: Sequence[Answered]) -> dict[str, float]:
        """Return those metrics."""
        by_item = {id(one.item): one.scores[self.score] for one in answered}
        groups = self.of([one.item for one in answered])
        return {name: float(np.mean([by_item[id(item)] for item in group])) for name, group in groups.items()}


def task_of(item: Item) -> str:
    """Return the label of a benchmark's task."""
    return f"_{item.labels['task']}"


def length_of(item: Item) -> str:
    """Return the label of a length in tokens."""
    return f"_length_{item.labels['length']}"
