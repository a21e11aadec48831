"""What is left for a driver among others: claimed once, taken over from the dead, never taken back from others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.records.replicates import Key
from sweeps.plan.selection import Rerun
from sweeps.plan.units import PlannedReplicate
from sweeps.run import queue as module
from sweeps.run.queue import QueueStatus, WorkQueue
from sweeps.search.fixed import FixedProposer
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import JournalReader
from tests.support.machine.heartbeats import dead_driver
from tests.support.sweeps.journals import EPOCH, config_id, replicate_events, sweep_event, write_journal

ARMS = ("baseline", "treatment")
SEEDS = (0, 1)
KEYS = [(config_id(arm), seed) for seed in SEEDS for arm in ARMS]


def planned(arm: str, seed: int, *needed: str) -> PlannedReplicate:
    """Return a replicate that starts with the weights of others, of the same seed."""
    depends_on: Callable[[int], list[Key]] = lambda seed: [(config_id(other), seed) for other in needed]  # noqa: E731
    return PlannedReplicate(SimpleNamespace(config_id=config_id(arm), depends_on=depends_on), seed)  # type: ignore[arg-type]


ALL = [planned(arm, seed) for seed in SEEDS for arm in ARMS]
CHAIN = [planned("treatment", 0, "baseline"), planned("last", 0, "treatment"), planned("baseline", 0)]
"""Each of the first two waits for the one that is named in it."""


def ROOM(size_class: int) -> bool:
    return True


class Scene:
    """A results folder with a journal, this driver and a living other one."""

    def __init__(self, folder: Path, leases: ReplicateLeases, other: ReplicateLeases) -> None:
        self.folder, self.leases, self.other = folder, leases, other
        self.reader = JournalReader(folder / "journal")

    def write(self, *events: dict[str, Any]) -> None:
        write_journal(self.folder / "journal" / "other.jsonl", [sweep_event(ARMS, seeds=SEEDS), *events])

    def queue(
        self,
        reruns: dict[Key, Rerun] | None = None,
        replicates: Sequence[PlannedReplicate] = ALL,
        size_of: Callable[[Key], int] = lambda key: 0,
    ) -> WorkQueue:
        plan: Any = SimpleNamespace(keys=[replicate.key for replicate in replicates])
        return WorkQueue(plan, FixedProposer(replicates), self.reader, self.leases, reruns or {}, size_of)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(module, "REFRESH_EVERY_SECONDS", 0.0)
    folder = tmp_path / "leases"
    with ReplicateLeases(folder, "me") as leases, ReplicateLeases(folder, "other") as other:
        made = Scene(tmp_path, leases, other)
        made.write()
        yield made


def claim_all(queue: WorkQueue) -> list[Key]:
    found = []
    while (claimed := queue.lease_next(ROOM)) is not None:
        found.append(claimed.planned.key)
    return found


def test_it_hands_out_each_missing_replicate_once_in_order(scene: Scene) -> None:
    scene.write(*replicate_events("baseline", 0, 2.5), *replicate_events("treatment", 1, 2.5, status="diverged"))
    queue = scene.queue()
    assert queue.refresh() == QueueStatus(has_free=True, held=0)
    assert claim_all(queue) == [KEYS[1], KEYS[2]]
    assert all(not scene.other.acquire(*key) for key in (KEYS[1], KEYS[2]))
    assert queue.left() == {KEYS[1], KEYS[2]}, "begun, and not ended"


def test_it_tells_when_the_newest_event_of_a_replicate_was(scene: Scene) -> None:
    begun = replicate_events("baseline", 0, 2.5, status=None)
    scene.write(*begun)
    queue = scene.queue()
    first, second = queue.lease_next(ROOM), queue.lease_next(ROOM)
    assert first is not None and second is not None
    assert (first.last_event_at, second.last_event_at) == (begun[-1]["time"], 0.0)


def test_what_another_has_ended_after_the_look_is_not_run_again(scene: Scene) -> None:
    queue = scene.queue()
    queue.refresh()
    scene.write(*replicate_events("baseline", 0, 2.5))
    assert claim_all(queue) == KEYS[1:]
    assert scene.other.acquire(*KEYS[0]), "the lease was given back"


def test_it_waits_for_a_living_driver_and_takes_over_from_a_dead_one(scene: Scene) -> None:
    for key in KEYS:
        assert scene.other.acquire(*key)
    queue = scene.queue()
    assert claim_all(queue) == []
    assert queue.status == QueueStatus(has_free=False, held=4)
    dead_driver(scene.folder / "leases", "other")
    assert claim_all(queue) == KEYS


def test_a_driver_does_not_repeat_in_one_run_what_crashed(scene: Scene) -> None:
    queue = scene.queue()
    assert claim_all(queue) == KEYS
    scene.write(*replicate_events("baseline", 0, None, status="crashed"))
    for key in KEYS:
        scene.leases.release(*key)
    assert claim_all(queue) == []
    assert queue.left() == set(KEYS[1:]), "a crash is an end"


def test_what_was_preempted_is_tried_again_but_not_for_ever(scene: Scene) -> None:
    queue = scene.queue()
    num_starts, lost = 0, []
    while (claimed := queue.lease_next(ROOM)) is not None:
        if claimed.planned.key == KEYS[0]:
            num_starts += 1
            lost += replicate_events("baseline", 0, None, status="preempted", start=EPOCH + 1 + 100 * num_starts)
            scene.write(*lost)
            scene.leases.release(*KEYS[0])
    assert num_starts == module.MAX_STARTS
    assert KEYS[0] in queue.left()


def test_an_end_is_taken_back_once_and_only_the_one_that_was_meant(scene: Scene) -> None:
    scene.write(
        *(e for arm, seed in ((a, s) for s in SEEDS for a in ARMS) for e in replicate_events(arm, seed, 2.5))
    )
    scene.reader.poll()
    replicates = scene.reader.view.state.replicates
    meant = Rerun("changed", "torch 1 -> 2", replicates[KEYS[0]].ended_at or 0.0)
    missed = Rerun("changed", "torch 1 -> 2", EPOCH - 1.0)  # another driver has run it since
    queue = scene.queue({KEYS[0]: meant, KEYS[1]: missed})
    assert queue.refresh() == QueueStatus(has_free=True, held=0)
    assert queue.left() == {KEYS[0]}
    claimed = queue.lease_next(ROOM)
    assert claimed is not None and claimed.rerun is meant
    assert queue.lease_next(ROOM) is None


def test_an_agenda_reads_the_journal_only_where_it_has_grown(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver among busy others must not read everything again for each replicate it starts."""
    queue = scene.queue()
    queue.refresh()
    lines = []
    monkeypatch.setattr(
        "sweeps.store.reader.parse_line", lambda line, *, where: lines.append(line) or json.loads(line)
    )
    scene.write(*replicate_events("baseline", 0, 2.5))
    claim_all(queue)
    assert len(lines) == len(replicate_events("baseline", 0, 2.5))


def test_what_starts_with_the_weights_of_another_waits_until_that_has_finished(scene: Scene) -> None:
    queue = scene.queue(replicates=CHAIN)
    assert queue.refresh() == QueueStatus(has_free=True, held=0, waiting=2)
    assert claim_all(queue) == [(config_id("baseline"), 0)]
    assert queue.refresh() == QueueStatus(has_free=False, held=0, waiting=2), "the first one runs"
    assert queue.has_more
    scene.write(*replicate_events("baseline", 0, 2.5))
    assert claim_all(queue) == [(config_id("treatment"), 0)]
    scene.write(*replicate_events("baseline", 0, 2.5), *replicate_events("treatment", 0, 2.5, start=EPOCH + 500))
    assert claim_all(queue) == [(config_id("last"), 0)]


@pytest.mark.parametrize("status", ["crashed", "diverged"])
def test_what_can_never_start_is_left_with_the_reason(scene: Scene, status: str) -> None:
    queue = scene.queue(replicates=CHAIN)
    assert claim_all(queue) == [(config_id("baseline"), 0)]
    scene.write(*replicate_events("baseline", 0, None, status=status))
    left = queue.refresh()
    assert (left.has_free, left.held, left.waiting) == (False, 0, 0)
    (why,) = left.blocked
    assert why.startswith(f"{config_id('baseline')} seed 0, which others start with, ended as {status}")
    assert not queue.has_more
    assert queue.left() == {(config_id(arm), 0) for arm in ("treatment", "last")}


def test_what_is_trained_anew_is_waited_for_although_it_has_finished(scene: Scene) -> None:
    scene.write(*replicate_events("baseline", 0, 2.5))
    scene.reader.poll()
    ended_at = scene.reader.view.state.replicates[config_id("baseline"), 0].ended_at or 0.0
    anew = {(config_id("baseline"), 0): Rerun("changed", "its weights are gone", ended_at)}
    queue = scene.queue(anew, CHAIN)
    assert queue.refresh() == QueueStatus(has_free=True, held=0, waiting=2)
    assert claim_all(queue) == [(config_id("baseline"), 0)]


def test_what_waited_takes_its_own_place_once_its_prerequisite_has_ended(scene: Scene) -> None:
    """All arms of a seed together: a run that is cut short then leaves complete pairs."""
    replicates = [planned("backbone", 0)] + [
        replicate for seed in (0, 1, 2) for replicate in (waits_for_backbone(seed), planned("plain", seed))
    ]
    queue = scene.queue(replicates=replicates)
    claimed = [queue.lease_next(ROOM), queue.lease_next(ROOM)]
    assert [one and one.planned.key for one in claimed] == [(config_id("backbone"), 0), (config_id("plain"), 0)]
    scene.write(*replicate_events("backbone", 0, 2.5))
    rest = [(config_id("probe"), 0), (config_id("probe"), 1), (config_id("plain"), 1)]
    assert claim_all(queue)[:3] == rest


def waits_for_backbone(seed: int) -> PlannedReplicate:
    """Return a replicate that starts with the one backbone of all seeds."""
    arm: Any = SimpleNamespace(config_id=config_id("probe"), depends_on=lambda seed: [(config_id("backbone"), 0)])
    return PlannedReplicate(arm, seed)


def test_an_end_of_our_own_is_seen_at_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when it is time to look at what others do."""
    monkeypatch.setattr(module, "REFRESH_EVERY_SECONDS", 1e9)
    queue = scene.queue(replicates=CHAIN)
    queue.refresh()
    assert claim_all(queue) == [(config_id("baseline"), 0)]
    scene.write(*replicate_events("baseline", 0, 2.5))
    assert claim_all(queue) == []
    queue.note_end()
    assert claim_all(queue) == [(config_id("treatment"), 0)]


def test_what_has_no_room_keeps_its_place_and_nothing_waits_behind_it(scene: Scene) -> None:
    sizes = {KEYS[0]: 0, KEYS[1]: 0, KEYS[2]: 1, KEYS[3]: 0}
    queue = scene.queue(size_of=sizes.__getitem__)
    small = queue.lease_next(lambda size_class: size_class == 1)
    assert small is not None and small.planned.key == KEYS[2] and small.size_class == 1
    assert claim_all(queue) == [KEYS[0], KEYS[1], KEYS[3]]


def test_a_second_start_is_a_retry_and_comes_first(scene: Scene) -> None:
    queue = scene.queue()
    first = queue.lease_next(ROOM)
    assert first is not None and not first.is_retry
    scene.write(*replicate_events("baseline", 0, None, status="oom"))
    scene.leases.release(*KEYS[0])
    assert queue.lease_next(ROOM, retries_only=True) is None
    queue.try_again(KEYS[0])
    assert queue.has_retries
    again = queue.lease_next(ROOM, retries_only=True)
    assert again is not None and again.is_retry and again.planned.key == KEYS[0]
    assert not queue.has_retries
    assert queue.lease_next(ROOM, retries_only=True) is None


def test_a_prerequisite_that_another_driver_repairs_releases_what_it_blocked(scene: Scene) -> None:
    queue = scene.queue(replicates=CHAIN)
    assert claim_all(queue) == [(config_id("baseline"), 0)]
    scene.write(*replicate_events("baseline", 0, None, status="crashed"))
    assert queue.refresh().blocked
    scene.write(
        *replicate_events("baseline", 0, None, status="crashed"),
        *replicate_events("baseline", 0, 2.5, start=EPOCH + 900),
    )
    assert queue.refresh().blocked == ()
    assert claim_all(queue) == [(config_id("treatment"), 0)]


class Promoting(FixedProposer):
    """Proposes the first replicate of its list once more, after it was pruned."""

    def __init__(self, replicates: Sequence[PlannedReplicate]) -> None:
        super().__init__(replicates)
        self.promoted: PlannedReplicate | None = None

    def ask(self) -> PlannedReplicate | None:
        promoted, self.promoted = self.promoted, None
        return promoted or super().ask()


def test_what_was_pruned_continues_when_it_is_proposed_again(scene: Scene) -> None:
    proposer = Promoting(ALL)
    plan: Any = SimpleNamespace(keys=KEYS)
    queue = WorkQueue(plan, proposer, scene.reader, scene.leases, {}, lambda key: 0)
    first = queue.lease_next(ROOM)
    assert first is not None and first.rerun is None
    scene.write(*replicate_events("baseline", 0, 2.0, status="pruned"))
    scene.leases.release(*first.planned.key)
    queue.note_end()
    assert claim_all(queue) == KEYS[1:], "a pruned replicate is not pending"
    proposer.promoted = replace(first.planned, continues="promoted: it trains on to step 40")
    again = queue.lease_next(ROOM)
    assert again is not None and again.planned.key == first.planned.key
    assert again.rerun is not None and again.rerun.reason == "promoted" and not again.rerun.from_scratch
    assert queue.lease_next(ROOM) is None
