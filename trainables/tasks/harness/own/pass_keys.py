"""Pass keys in noise, as a task of lm-evaluation-harness: it needs no data, and tests in seconds that all works.

A prompt has as many characters as `max_seq_lengths` says, not tokens: the harness loads tasks without a tokenizer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

NUM_ITEMS = 100
_NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
_NEEDLE = "The pass key is {key}. Remember it. {key} is the pass key. "
_QUESTION = "What is the pass key? The pass key is"


def items(max_seq_lengths: Sequence[int] = (512,), **_: Any) -> dict[str, Any]:
    """Return the items of each length, drawn from Python's global generator, which is seeded before loading."""
    from datasets import Dataset

    return {"test": Dataset.from_list([_item(length) for length in max_seq_lengths for _ in range(NUM_ITEMS)])}


def _item(length: int) -> dict[str, Any]:
    key = f"{random.randrange(10**5):05}"
    needle = _NEEDLE.format(key=key)
    num_lines = max(0, length - len(needle) - len(_QUESTION)) // len(_NOISE)
    before = random.randint(0, num_lines)
    prompt = _NOISE * before + needle + _NOISE * (num_lines - before) + _QUESTION
    return {"prompt": prompt, "answer": key, "max_length": length}


def score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Return whether the first digits of an answer are the key."""
    found = re.search("[0-9]+", results[0])
    return {"exact_match": float(found is not None and found[0] == doc["answer"])}
