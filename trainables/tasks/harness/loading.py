"""Tasks of lm-evaluation-harness: found, loaded and run, without what it prints and does to global state."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from search_spaces.suggestions import nearest
from trainables.data.errors import DataError
from trainables.tasks.harness.config import require_harness

_OWN = Path(__file__).parent / "own"
_LOADING_ERRORS = (OSError, ValueError, KeyError, AssertionError, ImportError, RuntimeError)
"""What the harness raises for a task that it cannot load: no network, no data set, no package, no tokenizer."""


class Loaded(NamedTuple):
    """Tasks of the harness that are ready to be asked."""

    tasks: dict[str, Any]
    """By name; groups are resolved."""
    chosen: dict[str, list[int]]
    """Which of its items each task asks."""


class Found(NamedTuple):
    """What the harness says of a model."""

    metrics: dict[str, float]
    """By task and metric, as `niah_single_1_512`."""
    higher_is_better: dict[str, bool | None]
    samples: dict[str, list[dict[str, Any]]]
    """Every answer, by task, as the harness logs it."""


def load(
    names: Sequence[str],
    *,
    metadata: dict[str, Any],
    seed: int,
    limit: int | None,
    num_fewshot: int | None,
    include_path: str | None,
) -> Loaded:
    """Load tasks of the harness.

    Args:
        names: Of tasks and groups.
        metadata: What tasks that make their items are told: `tokenizer`, `max_seq_lengths`.
        seed: Of what they draw.
        limit: Leading items of each task, and of each length of a task that has several; None: all.
        num_fewshot: Worked examples; None: as the task has it.
        include_path: A folder of task files.

    Raises:
        DataError: If the harness is not installed, knows no such task, or cannot load it.
    """
    require_harness()
    with _undisturbed(seed):
        manager = _manager(names, metadata, include_path)
        try:
            tasks = manager.load(list(names))["tasks"]
        except _LOADING_ERRORS as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(
                f"lm-evaluation-harness cannot load {', '.join(names)}: {reason}. Its data has to be on this "
                "machine, and RULER's tasks need the tokenizer of a pretrained model (trained_on.tokenizer)"
            ) from error
        for task in tasks.values():
            task.set_fewshot_seed(seed)
            if num_fewshot is not None:
                task.set_config(key="num_fewshot", value=num_fewshot)
        return Loaded(tasks, {name: _leading(task, limit) for name, task in tasks.items()})


def _manager(names: Sequence[str], metadata: dict[str, Any], include_path: str | None) -> Any:
    """Return the harness's index of tasks, small if these are in it: the whole takes 20 seconds.

    Raises:
        DataError: If a name is in none.
    """
    import lm_eval.tasks

    own = [str(_OWN), *([include_path] if include_path else [])]
    ruler = str(Path(lm_eval.tasks.__file__).parent / "ruler")
    for paths, with_all in ((own, False), ([*own, ruler], False), (own, True)):
        manager = lm_eval.tasks.TaskManager(include_path=paths, include_defaults=with_all, metadata=metadata)
        unknown = [name for name in names if name not in manager.all_tasks]
        if not unknown:
            return manager
    raise DataError(f"lm-evaluation-harness has no task '{unknown[0]}'; {nearest(unknown[0], manager.all_tasks)}")


def _leading(task: Any, limit: int | None) -> list[int]:
    """Return the places of the items that are asked."""
    by_length: dict[Any, list[int]] = defaultdict(list)
    for place, item in enumerate(task.eval_docs):
        by_length[item.get("max_length") if isinstance(item, dict) else None].append(place)
    return [place for places in by_length.values() for place in places[:limit]]


def run(loaded: Loaded, model: Any, *, chat: bool) -> Found:
    """Ask a model.

    Args:
        loaded: The tasks.
        model: An `LM` of the harness.
        chat: Whether prompts are put into its chat template.
    """
    import lm_eval

    task_dict = {"tasks": loaded.tasks, "groups": {}, "group_map": {}}
    with _undisturbed(0):
        results: Any = lm_eval.evaluate(
            lm=model,
            task_dict=task_dict,
            samples=dict(loaded.chosen),
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=chat,
        )
    metrics: dict[str, float] = {}
    better: dict[str, bool | None] = {}
    for task, found in results["results"].items():
        for key, value in found.items():
            metric, comma, kept = key.partition(",")
            if not comma or metric.endswith("_stderr") or (metric.isdigit() and value == -1):
                continue  # RULER's tasks have a metric for each length, and -1 for those that were not asked
            name = f"{task}_{metric}" if kept == "none" else f"{task}_{metric}_{kept}"
            metrics[name] = float(value)
            better[name] = results["higher_is_better"].get(task, {}).get(metric, True if metric.isdigit() else None)
    return Found(metrics, better, results["samples"])


@contextlib.contextmanager
def _undisturbed(seed: int) -> Iterator[None]:
    """Seed the global generators, which tasks draw from, and restore them; keep the harness from printing."""
    states = random.getstate(), np.random.get_state()
    level = logging.getLogger("lm_eval").level
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            random.seed(seed)
            np.random.seed(seed)
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        logging.getLogger("lm_eval").setLevel(level)
        random.setstate(states[0])
        np.random.set_state(states[1])
