"""Which replicates of a plan to run: the pending ones, one alone, and those that `resume` runs again on demand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from analysis.records.journal import JournalState
from analysis.records.replicates import Key, Replicate
from sweeps.errors import UserError, nearest
from sweeps.plan.plan import Plan
from sweeps.plan.staleness import changes
from sweeps.plan.units import PlannedReplicate
from sweeps.store.folder import ResultsFolder
from sweeps.store.reader import JournalView
from trainables.code_hash import code_hash
from trainables.worker.replicate_folder import ReplicateFolder


def missing_replicates(plan: Plan, state: JournalState) -> list[PlannedReplicate]:
    """Return the replicates that `run` would run, in the plan's order."""
    return [replicate for replicate in plan.replicates if state.is_pending(replicate.key)]


def one_replicate(plan: Plan, text: str) -> Plan:
    """Return the plan of a single replicate, and of those with whose weights it starts.

    Args:
        plan: The whole plan.
        text: The replicate, as `ARM@SEED`.

    Raises:
        UserError: If the plan has no such replicate, or searches for settings.
    """
    if plan.search is not None:
        raise UserError(
            f"--only {text}: '{plan.study.name}' searches for settings, so what it runs follows from it"
        )
    name, _, seed = text.rpartition("@")
    if not name or not seed.isascii() or not seed.isdigit():
        raise UserError(f"--only {text}: write it as ARM@SEED, such as {_example(plan)}")
    arms = {planned.arm.name: planned for planned in plan.arms}
    if name not in arms:
        raise UserError(f"--only {text}: no arm '{name}'; {nearest(name, arms)}")
    key = (arms[name].config_id, int(seed))
    by_key = {replicate.key: replicate for replicate in plan.replicates}
    if key not in by_key:
        seeds = ", ".join(str(one) for config_id, one in plan.keys if config_id == key[0])
        raise UserError(f"--only {text}: the study's seeds are {seeds}")
    chosen: set[Key] = set()
    to_add = [key]
    while to_add:
        one = to_add.pop()
        chosen.add(one)
        to_add += [need for need in by_key[one].depends_on if need in by_key and need not in chosen]
    return replace(plan, chosen=frozenset(chosen))


def _example(plan: Plan) -> str:
    return f"{plan.arms[0].arm.name}@{plan.study.compared_seeds[0]}"


@dataclass(frozen=True)
class Rerun:
    """A replicate that has ended and is to run again."""

    reason: Literal["failed", "oom", "changed", "promoted"]
    detail: str
    """How it ended, or what has changed since."""
    ended_at: float
    """The end that becomes invalid; a later one, by another driver, stays valid."""

    @property
    def from_scratch(self) -> bool:
        """Whether it starts from the first step: what other code has computed is not continued."""
        return self.reason == "changed"

    def applies_to(self, replicate: Replicate | None) -> bool:
        """Return whether the newest end of `replicate` is still the one that becomes invalid."""
        return replicate is not None and replicate.status is not None and replicate.ended_at == self.ended_at


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Kinds of ended replicates that run again, beside the pending ones."""

    failed: bool = False
    """Crashed, however often, and timed out."""
    oom: bool = False
    """Out of memory."""
    changed: bool = False
    """Stale: results and failures of other code or other numerics than the present."""

    @property
    def flags(self) -> list[str]:
        """Return its options on the command line."""
        return [f"--{name}" for name, chosen in vars(self).items() if chosen]

    def reruns(self, plan: Plan, view: JournalView) -> dict[Key, Rerun]:
        """Return the ended replicates that are to run again."""
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
    """Return the finished replicates that must run again because others need their lost or stale weights.

    Args:
        plan: The plan.
        folder: The results folder with the weights.
        state: The study's journal.
        reopened: Ended replicates that are to run again.
    """
    to_run = {*(replicate.key for replicate in missing_replicates(plan, state)), *reopened}
    waiting = {key for replicate in plan.replicates if replicate.key in to_run for key in replicate.depends_on}
    lost: dict[Key, Rerun] = {}
    for key in waiting.intersection(plan.keys):
        replicate = state.replicates.get(key)
        if replicate is None or replicate.status != "finished" or replicate.ended_at is None:
            continue
        trained_by = replicate.numerics.get("code", "")
        if not ReplicateFolder(folder.replicate(*key)).weights.is_file():
            lost[key] = Rerun("changed", "its weights, which others start with, are gone", replicate.ended_at)
        elif trained_by and trained_by != code_hash():
            detail = f"its weights, which others start with, were learnt by other code, {trained_by}"
            lost[key] = Rerun("changed", detail, replicate.ended_at)
    return lost


RUN = Selection()
"""Pending replicates only, as `run` takes them."""
