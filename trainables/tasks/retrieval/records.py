"""What is kept of every answer, and tables of answers in the schema of the long-context experiments.

Source:
    π-spiral experiments: metrics.jsonl with {task, length, depth, mode, accuracy, em, f1, seed, runtime}.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.tasks.retrieval.items import Item

_CELL = ("task", "length", "depth")
"""Labels by which tables group items."""
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Answered:
    """An item with the model's answer."""

    item: Item
    output: str
    """What was generated."""
    scores: dict[str, float]
    """By name, as in `RetrievalTask.metrics` without the task's."""
    seconds: float
    """Wall time; of items that are read together, an equal share."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where answers come from."""

    task: str
    mode: str
    """See `LanguageModel.mode`."""
    seed: int | None
    """Of the replicate; None outside of one."""


def f1(output: str, answer: str) -> float:
    """Return the F1 score of the words of an output: harmonic mean of the shares that both have in common.

    Case, punctuation and articles do not count.

    Source:
        Rajpurkar et al. (2016), "SQuAD", arXiv:1606.05250, section 6.1.
    """
    given, wanted = _words(output), _words(answer)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted)) if common else 0.0


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def item_lines(answered: Iterable[Answered], origin: Origin) -> str:
    """Return a line of JSON for each answer."""
    return jsonl(
        {
            "task": origin.task,
            **one.item.labels,
            "mode": origin.mode,
            "seed": origin.seed,
            "answer": list(one.item.references),
            "output": one.output,
            **one.scores,
            "seconds": one.seconds,
        }
        for one in answered
    )


def cell_lines(answered: Iterable[Answered], origin: Origin, accuracy: str) -> str:
    """Return a line of JSON for each kind of item: the means of its scores, and the seconds it took.

    Args:
        answered: Items with their answers.
        origin: Where they come from.
        accuracy: The score that is the accuracy.
    """
    cells: dict[tuple[Any, ...], list[Answered]] = defaultdict(list)
    for one in answered:
        cells[tuple(one.item.labels.get(name) for name in _CELL)].append(one)
    return jsonl(
        {
            "task": task or origin.task,
            "length": length,
            "depth": depth,
            "mode": origin.mode,
            "accuracy": _mean(found, accuracy),
            "em": _mean(found, "exact_match"),
            "f1": _mean(found, "f1"),
            "seed": origin.seed,
            "runtime": sum(one.seconds for one in found),
            "items": len(found),
        }
        for (task, length, depth), found in cells.items()
    )


def _mean(answered: Sequence[Answered], score: str) -> float:
    return sum(one.scores[score] for one in answered) / len(answered)


def jsonl(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a line of JSON for each row."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
