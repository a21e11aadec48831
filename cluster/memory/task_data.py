"""What a trial's task adds to its memory: the size of its data, and how many sequences it scores at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor

from trainables.tasks.base.task import Task
from trainables.training.loop import PROBE_SEQUENCES
from trainables.units import MIB


def held_out_sequences(task: Task) -> int:
    """Return how many validation windows of full length a task has, at most as many as the probes use."""
    return task.held_out(PROBE_SEQUENCES).inputs_BT.shape[0]


def task_mib(task: Task) -> float:
    """Return the memory of a task's data in its process: tensors, arrays and text, each counted once."""
    sizes: dict[int, int] = {}
    kept: list[object] = []
    waiting: list[object] = [task]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            storage = item.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
        elif id(item) not in sizes and not isinstance(item, type):
            kept.append(item)  # kept alive, so that no other object gets its id
            sizes[id(item)] = sys.getsizeof(item)
            waiting += _parts(item)
    return sum(sizes.values()) / MIB


def _parts(item: object) -> Iterable[object]:
    """Return the contents of an object, one level deep."""
    if isinstance(item, Mapping):
        return [*item.keys(), *item.values()]
    if isinstance(item, list | tuple | set | frozenset):
        return item
    if isinstance(item, np.ndarray):
        return [] if item.base is None else [item.base]
    return vars(item).values() if hasattr(item, "__dict__") and not callable(item) else []
