"""What is left for a driver among others: claimed once, taken over from the dead, never taken back from others."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps import agenda as module
from sweeps.agenda import Agenda, Outlook
from sweeps.journal import ClaimBook
from sweeps.journal_tail import JournalTail
from sweeps.missing import Reopening
from tests.journals import EPOCH, config_id, replicate_events, sweep_event, write_journal

ARMS = ("baseline", "treatment")
SEEDS = (0, 1)
KEYS = [(config_id(arm), seed) for seed in SEEDS for arm in ARMS]


def planned(arm: str, *needed: str) -> Any:
    """Return an arm that starts with the weights of others, of the same seed."""
    return SimpleNamespace(
        config_id=config_id(arm), waits_for=lambda seed: [(config_id(other), seed) for other in needed]
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

    def __init__(self, folder: Path, claims: ClaimBook, other: ClaimBook) -> None:
        self.folder, self.claims, self.other = folder, claims, other
        self.tail = JournalTail(folder / "journal")

    def write(self, *events: dict[str, Any]) -> None:
        write_journal(self.folder / "journal" / "other.jsonl", [sweep_event(ARMS, seeds=SEEDS), *events])

    def agenda(self, reopenings: dict[tuple[str, int], Reopening] | None = None, plan: Any = PLAN) -> Agenda:
        return Agenda(plan, self.tail, self.claims, reopenings or {})


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.0)
    folder = tmp_path / "claims"
    with ClaimBook(folder, "me") as claims, ClaimBook(folder, "other") as other:
        made = Scene(tmp_path, claims, other)
        made.write()
        yield made


def claim_all(agenda: Agenda) -> list[tuple[str, int]]:
    found = []
    while (claimed := agenda.claim_next(ROOM)) is not None:
        found.append((claimed.planned.config_id, claimed.seed))
    return found


def test_it_hands_out_each_missing_replicate_once_in_order(scene: Scene) -> None:
    scene.write(*replicate_events("baseline", 0, 2.5), *replicate_events("treatment", 1, 2.5, status="diverged"))
    agenda = scene.agenda()
    assert agenda.look() == Outlook(free=2, held=0)
    assert claim_all(agenda) == [KEYS[1], KEYS[2]]
    assert all(not scene.other.claim(*key) for key in (KEYS[1], KEYS[2]))
    assert agenda.left() == {KEYS[1], KEYS[2]}, "begun, and not ended"


def test_it_tells_when_the_newest_event_of_a_replicate_was(scene: Scene) -> None:
    begun = replicate_events("baseline", 0, 2.5, status=None)
    scene.write(*begun)
    agenda = scene.agenda()
    first, second = agenda.claim_next(ROOM), agenda.claim_next(ROOM)
    assert first is not None and second is not None
    assert (first.last_event_at, second.last_event_at) == (begun[-1]["time"], 0.0)


def test_what_another_has_ended_after_the_look_is_not_run_again(scene: Scene) -> None:
    agenda = scene.agenda()
    agenda.look()
    scene.write(*replicate_events("baseline", 0, 2.5))
    assert claim_all(agenda) == KEYS[1:]
    assert scene.other.claim(*KEYS[0]), "the claim was given back"


def test_it_waits_for_a_living_driver_and_takes_over_from_a_dead_one(scene: Scene) -> None:
    for key in KEYS:
        assert scene.other.claim(*key)
    agenda = scene.agenda()
    assert claim_all(agenda) == []
    assert agenda.outlook == Outlook(free=0, held=4)
    gone = {"host": socket.gethostname(), "pid": 2**22 + 1, "process_started": 0.0}
    (scene.folder / "claims" / "other.driver").write_text(json.dumps(gone), encoding="utf-8")
    assert claim_all(agenda) == KEYS


def test_a_driver_does_not_repeat_in_one_sitting_what_crashed(scene: Scene) -> None:
    agenda = scene.agenda()
    assert claim_all(agenda) == KEYS
    scene.write(*replicate_events("baseline", 0, None, status="crashed"))
    for key in KEYS:
        scene.claims.release(*key)
    assert claim_all(agenda) == []
    assert agenda.left() == set(KEYS[1:]), "a crash is an end"


def test_what_was_preempted_is_tried_again_but_not_for_ever(scene: Scene) -> None:
    agenda = scene.agenda()
    tries = 0
    while (claimed := agenda.claim_next(ROOM)) is not None:
        if (claimed.planned.config_id, claimed.seed) == KEYS[0]:
            tries += 1
            scene.write(*replicate_events("baseline", 0, None, status="preempted", start=EPOCH + 1 + 100 * tries))
            scene.claims.release(*KEYS[0])
    assert tries == module.MAX_TRIES
    assert KEYS[0] in agenda.left()


def test_an_end_is_taken_back_once_and_only_the_one_that_was_meant(scene: Scene) -> None:
    scene.write(
        *(e for arm, seed in ((a, s) for s in SEEDS for a in ARMS) for e in replicate_events(arm, seed, 2.5))
    )
    scene.tail.poll()
    replicates = scene.tail.following.state.replicates
    meant = Reopening("changed", "torch 1 -> 2", replicates[KEYS[0]].ended_at or 0.0)
    missed = Reopening("changed", "torch 1 -> 2", EPOCH - 1.0)  # another driver has run it since
    agenda = scene.agenda({KEYS[0]: meant, KEYS[1]: missed})
    assert agenda.look() == Outlook(free=1, held=0)
    assert agenda.left() == {KEYS[0]}
    claimed = agenda.claim_next(ROOM)
    assert claimed is not None and claimed.reopening is meant
    assert agenda.claim_next(ROOM) is None


def test_an_agenda_reads_the_journal_only_where_it_has_grown(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver among busy others must not read everything again for each replicate it starts."""
    agenda = scene.agenda()
    agenda.look()
    lines = []
    monkeypatch.setattr(
        "sweeps.journal_tail.parse_line", lambda line, *, where: lines.append(line) or json.loads(line)
    )
    scene.write(*replicate_events("baseline", 0, 2.5))
    claim_all(agenda)
    assert len(lines) == len(replicate_events("baseline", 0, 2.5))


def test_what_starts_with_the_weights_of_another_waits_until_that_has_finished(scene: Scene) -> None:
    agenda = scene.agenda(plan=CHAIN)
    assert agenda.look() == Outlook(free=1, held=0, waiting=2)
    assert claim_all(agenda) == [(config_id("baseline"), 0)]
    assert agenda.look() == Outlook(free=0, held=0, waiting=2), "the first one runs"
    assert agenda.has_more
    scene.write(*replicate_events("baseline", 0, 2.5))
    assert claim_all(agenda) == [(config_id("treatment"), 0)]
    scene.write(*replicate_events("baseline", 0, 2.5), *replicate_events("treatment", 0, 2.5, start=EPOCH + 500))
    assert claim_all(agenda) == [(config_id("last"), 0)]


@pytest.mark.parametrize("status", ["crashed", "diverged"])
def test_what_can_never_start_is_left_with_the_reason(scene: Scene, status: str) -> None:
    agenda = scene.agenda(plan=CHAIN)
    assert claim_all(agenda) == [(config_id("baseline"), 0)]
    scene.write(*replicate_events("baseline", 0, None, status=status))
    outlook = agenda.look()
    assert (outlook.free, outlook.held, outlook.waiting) == (0, 0, 0)
    (why,) = outlook.blocked
    assert why.startswith(f"{config_id('baseline')} seed 0, which others start with, ended as {status}")
    assert not agenda.has_more
    assert agenda.left() == {(config_id(arm), 0) for arm in ("treatment", "last")}


def test_what_is_trained_anew_is_waited_for_although_it_has_finished(scene: Scene) -> None:
    scene.write(*replicate_events("baseline", 0, 2.5))
    scene.tail.poll()
    ended_at = scene.tail.following.state.replicates[config_id("baseline"), 0].ended_at or 0.0
    anew = {(config_id("baseline"), 0): Reopening("changed", "its weights are gone", ended_at)}
    agenda = scene.agenda(anew, CHAIN)
    assert agenda.look() == Outlook(free=1, held=0, waiting=2)
    assert claim_all(agenda) == [(config_id("baseline"), 0)]
