"""The memory of one worker of a trial with a study's resources; equal needs are estimated once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from cluster.memory.allocators import Device
from cluster.memory.cache import EstimateCache
from cluster.memory.estimate import PROCESS_MIB, MemoryEstimate, estimate, size_key
from cluster.memory.task_data import held_out_sequences, task_mib
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig
from trainables.tasks.base.task import Task


@dataclass(frozen=True)
class _TaskFacts:
    """The facts of a task that sizes depend on, and the task itself, so that its id is not reused."""

    task: Task
    held_out_sequences: int
    task_mib: float


class Estimates:
    """Estimates of workers' memory, cached by what decides them.

    Args:
        process_mib: What a worker process needs before it has a model; on a GPU, its context.
        cache: Estimates of earlier processes.
    """

    def __init__(self, process_mib: float = PROCESS_MIB, cache: EstimateCache | None = None) -> None:
        self._process_mib = process_mib
        self._cache = cache or EstimateCache()
        self._found: dict[str, MemoryEstimate] = {}
        self._facts: dict[int, _TaskFacts] = {}

    def of_worker(self, config: TrialConfig, task: Task, resources: ResourceConfig) -> MemoryEstimate:
        """Return what each worker of a trial needs.

        Args:
            config: The configuration.
            task: Of the configuration, with its data loaded.
            resources: Resources that the study sets for a trial.

        Raises:
            EstimateError: If the model's forward pass reads the values of tensors.
            ValueError: If the model cannot be built.
        """
        sizes = self._sizes(config, task, resources)
        key = size_key(config, **sizes)
        bare = self._find(key)
        if bare is None:
            bare = self._found[key] = estimate(config, **sizes, process_mib=0.0)
            self._cache.keep(key, bare)
        libraries_mib = config.architecture.libraries_mib + config.task.libraries_mib
        data_mib = self._of(task).task_mib
        if resources.gpus_per_trial:  # both are in the host's memory
            libraries_mib = data_mib = 0.0
        context_mib = self._process_mib + libraries_mib
        whole = replace(bare, context_mib=context_mib, workspace_mib=bare.workspace_mib + data_mib)
        return of_one_worker(whole, resources)

    def num_missing(self, trials: Iterable[tuple[TrialConfig, Task]], resources: ResourceConfig) -> int:
        """Return how many estimates of these trials are not known yet; making one takes seconds.

        Args:
            trials: Configurations, each with its task.
            resources: Resources that the study sets for a trial.
        """
        keys = {size_key(config, **self._sizes(config, task, resources)) for config, task in trials}
        return sum(self._find(key) is None for key in keys)

    def _find(self, key: str) -> MemoryEstimate | None:
        """Return the estimate of this or an earlier process; None if there is none."""
        if key not in self._found and (cached := self._cache.find(key)) is not None:
            self._found[key] = cached
        return self._found.get(key)

    def _sizes(self, config: TrialConfig, task: Task, resources: ResourceConfig) -> dict[str, Any]:
        """Return everything beside the configuration that decides an estimate."""
        device: Device = "cuda" if resources.gpus_per_trial else "cpu"
        return {
            "vocab_size": task.vocab_size,
            "context_length": task.context_length,
            "max_length": task.max_length,
            "answer_length": task.answer_length,
            "reads_ahead": task.reads_ahead,
            "micro_batch_size": resources.micro_batch_of(config.budget.batch_size),
            "held_out_sequences": self._of(task).held_out_sequences,
            "device": device,
        }

    def _of(self, task: Task) -> _TaskFacts:
        if id(task) not in self._facts:
            self._facts[id(task)] = _TaskFacts(task, held_out_sequences(task), task_mib(task))
        return self._facts[id(task)]


def of_one_worker(estimate: MemoryEstimate, resources: ResourceConfig) -> MemoryEstimate:
    """Return what each worker needs, from the estimate for a model in a single process.

    Args:
        estimate: For a forward pass on one worker's shard of the batch.
        resources: Has the number of workers, and how they hold the model.
    """
    if resources.workers == 1:
        return estimate
    if resources.sharding == "replicated":
        # From the first step on each worker keeps the gradients, and the all-reduce copies some of them.
        return replace(estimate, workspace_mib=estimate.workspace_mib + estimate.parameters_mib)
    share = 1 / resources.workers
    return replace(
        estimate,
        parameters_mib=estimate.parameters_mib * (1 + share),  # the final probes gather the whole model
        gradients_mib=estimate.gradients_mib * share,
        optimizer_mib=estimate.optimizer_mib * share,
    )
