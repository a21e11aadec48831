"""What is left for a driver among others: claimed once, taken over from the dead, never taken back from others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps.plan.selection import Rerun
from sweeps.run import queue as module
from sweeps.run.queue import QueueStatus, WorkQueue
from sweeps.store.leases import ReplicateLeases
from sweeps.store.reader import JournalReader
from tests.heartbeats import dead_driver
from tests.journals import EPOCH, config_id, replicate_events, sweep_event, write_journal

ARMS = ("baseline", "treatment")
SEEDS = (0, 1)
KEYS = [(config_id(arm), seed) for seed in SEEDS for arm in ARMS]


def planned(arm: str, *needed: str) -> Any:
    """Return an arm that starts with the weights of others, of the same seed."""
    return SimpleNamespace(
        config_id=config_id(arm), depends_on=lambda seed: [(config_id(other), seed) for other in needed]
    )


PLAN: Any = SimpleNamespace(replicates=[(planned(arm), seed) for seed in SEEDS for arm in ARMS])
CHAIN: Any = SimpleNamespace(
    replicates=[(planned("treatment", "baseline"), 0), (planned("last", "treatment"), 0), (planned("baseline"), 0)]
)
"""Each of the first two waits for the one that is named in it."""


def ROOM(key: tuple[str, int]) -> bool:
    return True


class Scene:
    """A results folder with a journal, this driver and a living other one."""

    def __init__(self, folder: Path, leases: ReplicateLeases, other: ReplicateLeases) -> None:
        self.folder, self.leases, self.other = folder, leases, other
        self.reader = JournalReader(folder / "journal")

    def write(self, *events: dict[str, Any]) -> None:
        write_journal(self.folder / "journal" / "other.jsonl", [sweep_event(ARMS, seeds=SEEDS), *events])

    def queue(self, reruns: dict[tuple[str, int], Rerun] | None = None, plan: Any = PLAN) -> WorkQueue:
        return WorkQueue(plan, self.reader, self.leases, reruns or {})


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(module, "REFRESH_EVERY_SECONDS", 0.0)
    folder = tmp_path / "leases"
    with ReplicateLeases(folder, "me") as leases, ReplicateLeases(folder, "other") as other:
        made = Scene(tmp_path, leases, other)
        made.write()
        yield made


def claim_all(queue: WorkQueue) -> list[tuple[str, int]]:
    found = []
    while (claimed := queue.lease_next(ROOM)) is not None:
        found.append((claimed.planned.config_id, claimed.seed))
    return found


def test_it_hands_out_each_missing_replicate_once_in_order(scene: Scene) -> None:
    scene.write(*replicate_events("baseline", 0, 2.5), *replicate_events("treatment", 1, 2.5, status="diverged"))
    queue = scene.queue()
    assert queue.refresh() == QueueStatus(free=2, held=0)
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
    assert queue.status == QueueStatus(free=0, held=4)
    dead_driver(scene.folder / "leases", "other")
    assert claim_all(queue) == KEYS


def test_a_driver_does_not_repeat_in_one_sitting_what_crashed(scene: Scene) -> None:
    queue = scene.queue()
    assert claim_all(queue) == KEYS
    scene.write(*replicate_events("baseline", 0, None, status="crashed"))
    for key in KEYS:
        scene.leases.release(*key)
    assert claim_all(queue) == []
    assert queue.left() == set(KEYS[1:]), "a crash is an end"


def test_what_was_preempted_is_tried_again_but_not_for_ever(scene: Scene) -> None:
    queue = scene.queue()
    tries = 0
    while (claimed := queue.lease_next(ROOM)) is not None:
        if (claimed.planned.config_id, claimed.seed) == KEYS[0]:
            tries += 1
            scene.write(*replicate_events("baseline", 0, None, status="preempted", start=EPOCH + 1 + 100 * tries))
            scene.leases.release(*KEYS[0])
    assert tries == module.MAX_TRIES
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
    assert queue.refresh() == QueueStatus(free=1, held=0)
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
    queue = scene.queue(plan=CHAIN)
    assert queue.refresh() == QueueStatus(free=1, held=0, waiting=2)
    assert claim_all(queue) == [(config_id("baseline"), 0)]
    assert queue.refresh() == QueueStatus(free=0, held=0, waiting=2), "the first one runs"
    assert queue.has_more
    scene.write(*replicate_events("baseline", 0, 2.5))
    assert claim_all(queue) == [(config_id("treatment"), 0)]
    scene.write(*replicate_events("baseline", 0, 2.5), *replicate_events("treatment", 0, 2.5, start=EPOCH + 500))
    assert claim_all(queue) == [(config_id("last"), 0)]


@pytest.mark.parametrize("status", ["crashed", "diverged"])
def test_what_can_never_start_is_left_with_the_reason(scene: Scene, status: str) -> None:
    queue = scene.queue(plan=CHAIN)
    assert claim_all(queue) == [(config_id("baseline"), 0)]
    scene.write(*replicate_events("baseline", 0, None, status=status))
    status = queue.refresh()
    assert (status.free, status.held, status.waiting) == (0, 0, 0)
    (why,) = status.blocked
    assert why.startswith(f"{config_id('baseline')} seed 0, which others start with, ended as {status}")
    assert not queue.has_more
    assert queue.left() == {(config_id(arm), 0) for arm in ("treatment", "last")}


def test_what_is_trained_anew_is_waited_for_although_it_has_finished(scene: Scene) -> None:
    scene.write(*replicate_events("baseline", 0, 2.5))
    scene.reader.poll()
    ended_at = scene.reader.view.state.replicates[config_id("baseline"), 0].ended_at or 0.0
    anew = {(config_id("baseline"), 0): Rerun("changed", "its weights are gone", ended_at)}
    queue = scene.queue(anew, CHAIN)
    assert queue.refresh() == QueueStatus(free=1, held=0, waiting=2)
    assert claim_all(queue) == [(config_id("baseline"), 0)]
