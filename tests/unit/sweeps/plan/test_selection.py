"""What `resume` takes beside what `run` takes, and how it tells that something has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analysis.records.journal import JournalState
from cluster.inventory import local_inventory
from sweeps.errors import UserError
from sweeps.plan.builder import build_plan
from sweeps.plan.plan import Plan
from sweeps.plan.selection import RUN, Selection, one_replicate
from sweeps.plan.staleness import changes
from sweeps.store.folder import ResultsFolder
from sweeps.store.reader import JournalReader
from sweeps.studies.resolve import load_study
from tests.support.sweeps.journals import EPOCH, config_id, replicate_events, sweep_event, write_journal
from tests.support.sweeps.studies import write_study
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
    "cpu": "a model that no machine has",  # the next attempt may run on any node: never a change
    "threads": 1,
    "micro_batch_size": None,
    "deterministic": True,
    "torch": "2.13.0",
    "python": "3.11.7",
}


@pytest.fixture
def reader(tmp_path: Path) -> JournalReader:
    events = [sweep_event(("baseline",), seeds=range(len(STATUSES)), provenance=provenance())]
    for status, (_, seed) in KEYS.items():
        events += [
            event | ({"numerics": NUMERICS} if event["event"] == "started" else {})
            for event in replicate_events("baseline", seed, 2.5, status=status)
        ]
    made = JournalReader(write_journal(tmp_path / "a.jsonl", events))
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
def test_each_option_takes_its_statuses(selection: Selection, taken: set[str], reader: JournalReader) -> None:
    assert set(selection.reruns(plan(), reader.view)) == {KEYS[status] for status in taken}


def test_what_has_changed_is_taken_whatever_it_was(reader: JournalReader) -> None:
    """But for what has no end: `run` takes that anyway."""
    found = Selection(changed=True, failed=True).reruns(plan(versions={"torch": "2.14.0"}), reader.view)
    assert set(found) == {KEYS[s] for s in STATUSES if s not in {None, "preempted"}}
    for (_, seed), rerun in found.items():
        assert rerun.from_scratch and rerun.reason == "changed"
        assert rerun.detail == "torch 2.13.0 -> 2.14.0"
        assert rerun.applies_to(reader.view.state.replicate(config_id("baseline"), seed))


def test_a_failure_may_go_on_from_its_checkpoint(reader: JournalReader) -> None:
    found = Selection(failed=True).reruns(plan(), reader.view)
    assert [rerun.from_scratch for rerun in found.values()] == [False, False]
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
def test_what_counts_as_changed(now: dict[str, Any], said: list[str], reader: JournalReader) -> None:
    made: Plan = plan(**now)
    assert changes(made, reader.view, KEYS["finished"]) == said


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
    reader = JournalReader(
        write_journal(
            tmp_path / "a.jsonl", [older, begun, newer, started_by("b", EPOCH + 60, continued_at), *ended]
        )
    )
    reader.poll()
    assert changes(plan(), reader.view, KEYS["finished"]) == said


def test_the_sources_tell_more_than_the_commit(tmp_path: Path) -> None:
    sweep = sweep_event(("baseline",), seeds=(0,), provenance=provenance())
    ended = replicate_events("baseline", 0, 2.5)[1:]
    for code, said in ((code_hash(), []), ("0123456789ab", [f"code 0123456789ab -> {code_hash()}"])):
        begun = started_by("20261122-a", EPOCH + 1, 0, code=code)
        reader = JournalReader(write_journal(tmp_path / f"{code}.jsonl", [sweep, begun, *ended]))
        reader.poll()
        assert changes(plan(git_commit="f" * 40), reader.view, KEYS["finished"]) == said


def test_what_ended_before_it_started_has_nothing_to_compare(tmp_path: Path) -> None:
    crashed = [e for e in replicate_events("baseline", 0, None, status="crashed") if e["event"] == "crashed"]
    reader = JournalReader(write_journal(tmp_path / "a.jsonl", [sweep_event(("baseline",), seeds=(0,)), *crashed]))
    reader.poll()
    assert changes(plan(device="cuda"), reader.view, (config_id("baseline"), 0)) == []


def test_the_options_are_told_as_they_are_typed() -> None:
    assert Selection(failed=True, changed=True).flags == ["--failed", "--changed"]
    assert RUN.flags == []


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Return the plan of two arms with two seeds."""
    folder = tmp_path_factory.mktemp("tiny")
    study = load_study(str(write_study(folder)), "smoke", ())
    return build_plan(study, local_inventory(), None, JournalState(), ResultsFolder(folder / "results"))


def test_one_replicate_alone_is_described_as_the_whole_study(tiny: Plan) -> None:
    one = one_replicate(tiny, "kuramoto@1")
    arm = next(planned for planned in tiny.arms if planned.arm.name == "kuramoto")
    assert one.keys == ((arm.config_id, 1),)
    assert one.sweep == tiny.sweep and len(tiny.keys) == 4


def test_what_it_starts_with_runs_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first, other, last = (SimpleNamespace(key=(name, 0), depends_on=[]) for name in ("first", "other", "last"))
    last.depends_on = [first.key, ("elsewhere", 0)]
    plan: Any = SimpleNamespace(
        search=None,
        study=SimpleNamespace(name="tiny", compared_seeds=(0,)),
        arms=[SimpleNamespace(arm=SimpleNamespace(name="last"), config_id="last")],
        replicates=[first, other, last],
        keys=[first.key, other.key, last.key],
    )
    monkeypatch.setattr("sweeps.plan.selection.replace", lambda plan, chosen: SimpleNamespace(chosen=chosen))
    assert one_replicate(plan, "last@0").chosen == {first.key, last.key}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kuramoto", "write it as ARM@SEED, such as transformer@0"),
        ("kuramoto@first", "write it as ARM@SEED"),
        ("kuramot@0", "no arm 'kuramot'; did you mean 'kuramoto'?"),
        ("kuramoto@7", "the study's seeds are 0, 1"),
    ],
)
def test_replicates_that_are_not_planned(tiny: Plan, text: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        one_replicate(tiny, text)
    assert str(raised.value).startswith(f"--only {text}: {message}")


def test_what_a_search_runs_follows_from_it(tiny: Plan) -> None:
    with pytest.raises(UserError, match="searches for settings"):
        one_replicate(replace(tiny, search=SimpleNamespace()), "kuramoto@0")  # type: ignore[arg-type]
