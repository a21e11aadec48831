"""What `resume` takes beside what `run` takes, and how it tells that something has changed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sweeps.changed import changes
from sweeps.journal_tail import JournalTail
from sweeps.missing import RUN, Selection
from sweeps.plan import Plan
from tests.journals import EPOCH, config_id, replicate_events, sweep_event, write_journal
from trainables.code_hash import code_hash

STATUSES = ("finished", "diverged", "oom", "timed_out", "crashed", "preempted", None)
KEYS = {status: (config_id("baseline"), seed) for seed, status in enumerate(STATUSES)}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def provenance(**changed: Any) -> dict[str, Any]:
    versions = {"torch": "2.13.0", "numpy": "2.4.6", "mlflow": "3.17.2"} | changed.pop("versions", {})
    return {"python": "3.11.7", "git_commit": COMMIT, **changed, "versions": versions}


def plan(**changed: Any) -> Any:
    """A plan as far as it tells what would be recorded now."""
    resources = {"cpus_per_trial": 1, "micro_batch_size": None, "deterministic": True, "sharding": "replicated"}
    resources |= changed.pop("resources", {})
    return SimpleNamespace(
        keys=list(KEYS.values()),
        device=changed.pop("device", "cpu"),
        request=SimpleNamespace(workers=1),
        study=SimpleNamespace(resources=SimpleNamespace(**resources)),
        sweep=SimpleNamespace(provenance=provenance(**changed)),
    )


NUMERICS = {
    "device": "cpu",
    "threads": 1,
    "micro_batch_size": None,
    "deterministic": True,
    "torch": "2.13.0",
    "python": "3.11.7",
}


@pytest.fixture
def tail(tmp_path: Path) -> JournalTail:
    events = [sweep_event(("baseline",), seeds=range(len(STATUSES)), provenance=provenance())]
    for status, (_, seed) in KEYS.items():
        events += [
            event | ({"numerics": NUMERICS} if event["event"] == "started" else {})
            for event in replicate_events("baseline", seed, 2.5, status=status)
        ]
    made = JournalTail(write_journal(tmp_path / "a.jsonl", events))
    made.poll()
    return made


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (RUN, set()),
        (Selection(failed=True), {"crashed", "timed_out"}),
        (Selection(oom=True), {"oom"}),
        (Selection(failed=True, oom=True), {"crashed", "timed_out", "oom"}),
        (Selection(changed=True), set()),
    ],
)
def test_each_option_takes_its_statuses(selection: Selection, taken: set[str], tail: JournalTail) -> None:
    assert set(selection.reopenings(plan(), tail.following)) == {KEYS[status] for status in taken}


def test_what_has_changed_is_taken_whatever_it_was(tail: JournalTail) -> None:
    """But for what has no end: `run` takes that anyway."""
    found = Selection(changed=True, failed=True).reopenings(plan(versions={"torch": "2.14.0"}), tail.following)
    assert set(found) == {KEYS[s] for s in STATUSES if s not in {None, "preempted"}}
    for (_, seed), reopening in found.items():
        assert reopening.anew and reopening.reason == "changed"
        assert reopening.detail == "torch 2.13.0 -> 2.14.0"
        assert reopening.concerns(tail.following.state.replicate(config_id("baseline"), seed))


def test_a_failure_may_go_on_from_its_checkpoint(tail: JournalTail) -> None:
    found = Selection(failed=True).reopenings(plan(), tail.following)
    assert [reopening.anew for reopening in found.values()] == [False, False]
    assert found[KEYS["crashed"]].detail.startswith("crashed: crashed at step")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({}, []),
        ({"device": "cuda"}, ["device cpu -> cuda"]),
        ({"resources": {"cpus_per_trial": 4}}, ["threads 1 -> 4"]),
        ({"resources": {"micro_batch_size": 2}}, ["micro_batch_size None -> 2"]),
        ({"resources": {"deterministic": False}}, ["deterministic True -> False"]),
        ({"python": "3.12.1"}, ["python 3.11.7 -> 3.12.1"]),
        ({"git_commit": "f" * 40}, ["git_commit 0123456789 -> ffffffffff"]),
        ({"git_commit": None}, []),  # an installed copy knows no commit: nothing to compare
        ({"versions": {"numpy": "3.0"}}, ["numpy 2.4.6 -> 3.0"]),
        ({"versions": {"mlflow": "4.0"}}, []),  # it stores numbers and computes none
    ],
)
def test_what_counts_as_changed(now: dict[str, Any], said: list[str], tail: JournalTail) -> None:
    made: Plan = plan(**now)
    assert changes(made, tail.following, KEYS["finished"]) == said


def started_by(sweep_id: str, start: float, step: int, **numerics: Any) -> dict[str, Any]:
    key = {"config_id": config_id("baseline"), "seed": 0}
    return {
        "time": start,
        "sweep_id": sweep_id,
        "event": "started",
        "step": step,
        "numerics": {**NUMERICS, **numerics},
        **key,
    }


@pytest.mark.parametrize(
    ("continued_at", "said"),
    [
        (100, ["torch 2.12.0 -> 2.13.0", "git_commit ffffffffff -> 0123456789"]),
        (0, ["git_commit ffffffffff -> 0123456789"]),  # the older attempt left nothing behind
    ],
)
def test_every_attempt_counts_whose_steps_are_in_the_result(
    continued_at: int, said: list[str], tmp_path: Path
) -> None:
    older = sweep_event(("baseline",), seeds=(0,), sweep_id="a", provenance=provenance(git_commit="e" * 40))
    newer = sweep_event(
        ("baseline",), seeds=(0,), sweep_id="b", time=EPOCH + 50, provenance=provenance(git_commit="f" * 40)
    )
    ended = replicate_events("baseline", 0, 2.5, sweep_id="b", start=EPOCH + 60)[1:]
    begun = started_by("a", EPOCH + 1, 0, torch="2.12.0", code=code_hash())
    tail = JournalTail(
        write_journal(
            tmp_path / "a.jsonl", [older, begun, newer, started_by("b", EPOCH + 60, continued_at), *ended]
        )
    )
    tail.poll()
    assert changes(plan(), tail.following, KEYS["finished"]) == said


def test_the_sources_tell_more_than_the_commit(tmp_path: Path) -> None:
    sweep = sweep_event(("baseline",), seeds=(0,), provenance=provenance())
    ended = replicate_events("baseline", 0, 2.5)[1:]
    for code, said in ((code_hash(), []), ("0123456789ab", [f"code 0123456789ab -> {code_hash()}"])):
        begun = started_by("20261122-a", EPOCH + 1, 0, code=code)
        tail = JournalTail(write_journal(tmp_path / f"{code}.jsonl", [sweep, begun, *ended]))
        tail.poll()
        assert changes(plan(git_commit="f" * 40), tail.following, KEYS["finished"]) == said


def test_what_ended_before_it_started_has_nothing_to_compare(tmp_path: Path) -> None:
    crashed = [e for e in replicate_events("baseline", 0, None, status="crashed") if e["event"] == "crashed"]
    tail = JournalTail(write_journal(tmp_path / "a.jsonl", [sweep_event(("baseline",), seeds=(0,)), *crashed]))
    tail.poll()
    assert changes(plan(device="cuda"), tail.following, (config_id("baseline"), 0)) == []


def test_the_options_are_told_as_they_are_typed() -> None:
    assert Selection(failed=True, changed=True).flags == ["--failed", "--changed"]
    assert RUN.flags == []
