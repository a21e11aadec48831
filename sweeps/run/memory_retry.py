"""The memory allocation of each replicate, and the next one after an out-of-memory."""

from __future__ import annotations

from typing import Any

from analysis.records.replicates import Key
from cluster.placement.oom import Allocation, Fail, OutOfMemory, Retry, decide
from sweeps.plan.plan import Plan
from sweeps.plan.units import PlannedArm
from trainables.worker.assignment import Assignment


class MemoryRetries:
    """Keeps the allocation of every replicate during one run.

    Args:
        plan: The plan, with its size classes.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._grants: dict[Key, Allocation] = {}
        self._suspected: set[Key] = set()

    def size_class(self, key: Key) -> int:
        """Return the present size class of a replicate."""
        return self.allocation(key).size_class

    def allocation(self, key: Key) -> Allocation:
        """Return the present allocation of a replicate."""
        if key in self._grants:
            return self._grants[key]
        planned = self._plan.unit(key[0])
        size_class = self._plan.sizes.class_of(planned.sized_as or planned.config_id)
        return Allocation(
            size_class=size_class.index,
            memory_mib=size_class.memory_mib,
            micro_batch_size=self.micro_batch_size(planned),
        )

    def micro_batch_size(self, planned: PlannedArm) -> int:
        """Return how many sequences one forward pass has by the study's settings."""
        share = self._share(planned)
        return min(self._plan.study.resources.micro_batch_size or share, share)

    def _share(self, planned: PlannedArm) -> int:
        return planned.config.budget.batch_size // self._plan.study.resources.workers

    def consider(self, assignment: Assignment, event: dict[str, Any]) -> Retry | Fail | None:
        """Decide whether a replicate that ended is retried; None if it did not run out of memory.

        The allocation of a `Retry` is used for the replicate from now on.
        """
        if event["outcome"] != "oom":
            return None
        key = assignment.key
        planned = self._plan.unit(assignment.config_id)
        config = planned.config
        out_of_memory = OutOfMemory(
            had=self.allocation(key), peak_mib=event["peak_memory_mib"], suspected=event.get("suspected", False)
        )
        decision = decide(
            out_of_memory,
            batch_size=self._share(planned),
            splits=config.architecture.microbatch_invariant and config.task.microbatch_invariant,
            sizes_mib=[one.memory_mib for one in self._plan.sizes.classes],
            place="worker" if assignment.workers > 1 else "gpu" if assignment.device == "cuda" else "machine",
            was_suspected=key in self._suspected,
        )
        if out_of_memory.suspected:
            self._suspected.add(key)
        if isinstance(decision, Retry):
            self._grants[key] = decision.allocation
        return decision
