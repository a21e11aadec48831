"""Which replicates of a plan to run: what `run` takes, and what `resume` takes on demand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from analysis.records.journal import JournalState
from analysis.records.replicates import Key, Replicate
from sweeps.plan.plan import Plan, PlannedReplicate
from sweeps.plan.staleness import changes
from sweeps.store.folder import ResultsFolder
from sweeps.store.reader import JournalView
from trainables.code_hash import code_hash
from trainables.worker.replicate_folder import ReplicateFolder


def missing_replicates(plan: Plan, state: JournalState) -> list[PlannedReplicate]:
    """Return what `run` would run, in the plan's order."""
    return [replicate for replicate in plan.replicates if state.is_pending(replicate.key)]


@dataclass(frozen=True)
class Rerun:
    """A replicate that has ended and shall run again, because somebody asked."""

    reason: Literal["failed", "oom", "changed"]
    detail: str
    """What it was, or what has changed since."""
    ended_at: float
    """The end that is taken back; a later one, by another driver, stands."""

    @property
    def from_scratch(self) -> bool:
        """Whether it starts from the first step: what another code has computed is no beginning."""
        return self.reason == "changed"

    def applies_to(self, replicate: Replicate | None) -> bool:
        """Return whether `replicate` still has the end that is to be taken back."""
        return replicate is not None and replicate.status is not None and replicate.ended_at == self.ended_at


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What `resume` takes beside what `run` takes."""

    failed: bool = False
    """Crashed, however often, and timed out."""
    oom: bool = False
    """Out of memory."""
    changed: bool = False
    """Results, and failures, of another version of the code or of other numerics than now."""

    @property
    def flags(self) -> list[str]:
        """Return the options that say this on the command line."""
        return [f"--{name}" for name, chosen in vars(self).items() if chosen]

    def reruns(self, plan: Plan, view: JournalView) -> dict[Key, Rerun]:
        """Return what is to run again, of what has ended by now."""
        return dict(self._each(plan, view))

    def _each(self, plan: Plan, view: JournalView) -> Iterator[tuple[Key, Rerun]]:
        for key in plan.keys:
            replicate = view.state.replicates.get(key)
            if replicate is None or not replicate.has_ended or replicate.ended_at is None:
                continue
            differences = changes(plan, view, key) if self.changed else []
            if differences:
                yield key, Rerun("changed", ", ".join(differences), replicate.ended_at)
            elif self.failed and replicate.status in {"crashed", "timed_out"}:
                yield key, Rerun("failed", f"{replicate.status}: {replicate.message}", replicate.ended_at)
            elif self.oom and replicate.status == "oom":
                yield key, Rerun("oom", replicate.message, replicate.ended_at)


def without_weights(
    plan: Plan, folder: ResultsFolder, state: JournalState, reopened: Collection[Key] = ()
) -> dict[Key, Rerun]:
    """Return what has finished and has to run again, because others wait for weights that are no longer there.

    Args:
        plan: What is to run.
        folder: Where weights lie.
        state: What has ended.
        reopened: What shall run again although it has.
    """
    to_run = {*(replicate.key for replicate in missing_replicates(plan, state)), *reopened}
    waiting = {key for replicate in plan.replicates if replicate.key in to_run for key in replicate.depends_on}
    lost: dict[Key, Rerun] = {}
    for key in waiting.intersection(plan.keys):
        replicate = state.replicates.get(key)
        if replicate is None or replicate.status != "finished" or replicate.ended_at is None:
            continue
        learnt_by = replicate.numerics.get("code", "")
        if not ReplicateFolder(folder.replicate(*key)).weights.is_file():
            lost[key] = Rerun("changed", "its weights, which others start with, are gone", replicate.ended_at)
        elif learnt_by and learnt_by != code_hash():
            detail = f"its weights, which others start with, were learnt by other code, {learnt_by}"
            lost[key] = Rerun("changed", detail, replicate.ended_at)
    return lost


RUN = Selection()
"""What `run` takes, and nothing else."""
