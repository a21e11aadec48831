from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.records.journal import read_journal
from analysis.results.arms import summarise
from sweeps.tracking import sync as tracking
from sweeps.tracking.mlflow_store import MlflowTracker
from sweeps.tracking.sync import TrackerSync, TrackingThread, sync_journal
from sweeps.tracking.uri import default_tracking_uri
from tests.support.machine.memory_tracker import MemoryTracker
from tests.support.machine.mlflow_contents import contents
from tests.support.machine.waiting import wait_for
from tests.support.sweeps.journals import EPOCH, METRIC, config_id, journal_events, replicate_events, sweep_event
from tests.support.sweeps.tracked import (
    ARMS,
    EVENTS,
    EXPERIMENT,
    STATUSES,
    SUBSET,
    give_database,
    in_memory,
    journal,
    key,
    projected,
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    give_database(tmp_path)
    return tmp_path


def test_layout_is_configurations_with_replicates_and_sweeps_beside_them(results: Path) -> None:
    runs = projected(results)
    levels = {run_key: run["tags"]["phasesweep.level"] for run_key, run in runs.items()}
    expected = {key(arm): "configuration" for arm in ARMS}
    expected |= {key(arm, seed): "replicate" for arm in ARMS for seed in range(3)}
    expected[f"{EXPERIMENT}/sweep/20261122-a"] = "sweep"
    assert levels == expected
    for arm in ARMS:
        assert runs[key(arm)]["name"] == arm
        assert runs[key(arm)]["parent"] is None
        assert all(runs[key(arm, seed)]["parent"] == key(arm) for seed in range(3))
    assert runs[key("coupling_2")]["params"] == {"architecture.variant": "coupling_2"}
    assert {run_key: runs[run_key]["status"] for run_key in (key("baseline"), key("coupling_2"))} == {
        key("baseline"): "FINISHED",
        key("coupling_2"): "FINISHED",  # a diverged replicate is a result
    }
    assert runs[key("coupling_0")]["status"] == "RUNNING"


def test_a_configuration_carries_the_statistics_as_plain_metrics(tmp_path: Path) -> None:
    runs = in_memory(tmp_path)
    state = read_journal(tmp_path / "study" / "laptop" / "journal")
    for row in summarise(state, METRIC).rows:
        metrics = {name: value for name, (value, _, _) in runs[key(row.arm)]["latest"].items()}
        assert metrics["n_seeds"] == row.n
        assert metrics["n_failed"] == row.n_failed
        statistics = {"": row.mean, ".std": row.std, ".ci_low": row.ci_low, ".ci_high": row.ci_high}
        for suffix, value in statistics.items():
            assert metrics.get(f"{METRIC}{suffix}") == value  # None: no metric, such as no interval at n = 1
    assert f"{METRIC}.ci_high" not in runs[key("coupling_0")]["latest"]


def test_a_configuration_carries_probes_too_named_so_that_scores_come_first(tmp_path: Path) -> None:
    runs = in_memory(tmp_path, journal_events({"baseline": 2.48, "kuramoto_32": 2.45}, seeds=range(3)))
    state = read_journal(tmp_path / "study" / "laptop" / "journal")
    for probe in ("probe/leak", "probe/order_positions", "probe/coupling"):
        row = summarise(state, probe).rows[1]
        found = runs[key("kuramoto_32")]["latest"]
        statistics = {"": row.mean, ".std": row.std, ".ci_low": row.ci_low, ".ci_high": row.ci_high}
        assert {suffix: found[f"with/{probe}{suffix}"][0] for suffix in statistics} == statistics
    names = {arm: sorted(runs[key(arm)]["latest"]) for arm in ("baseline", "kuramoto_32")}
    assert "with/probe/leak.ci_high" in names["baseline"]
    assert not any("order" in name or "coupling" in name for name in names["baseline"])  # it has no phases
    for listed in names.values():  # in MLflow's own order: by name
        assert listed[:2] == ["n_failed", "n_seeds"]
        assert all(name.startswith("val/") for name in listed[2:18])
        assert not any(name.startswith(("probe/", "train/")) for name in listed)


def test_search_finds_configurations_by_the_end_of_an_interval(results: Path) -> None:
    from mlflow.tracking import MlflowClient

    projected(results)
    client = MlflowClient(default_tracking_uri(results))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    query = f"metrics.\"{METRIC}.ci_high\" < 2.6 and tags.phasesweep.level = 'configuration'"
    found = client.search_runs([experiment.experiment_id], query)
    assert [run.info.run_name for run in found] == ["baseline"]


def test_a_replicate_carries_curves_numerics_and_resources(tmp_path: Path) -> None:
    run = in_memory(tmp_path)[key("coupling_2", 1)]
    replicate = read_journal(tmp_path / "study" / "laptop" / "journal").replicate(config_id("coupling_2"), 1)
    curve = [(step, at, value) for name, step, at, value in run["points"] if name == SUBSET]
    assert curve == [(p.step, round(p.time * 1000), p.metrics[SUBSET]) for p in replicate.reports]
    assert run["latest"]["peak_memory_mib"][0] == replicate.peak_memory_mib
    assert run["latest"]["seconds"][0] == replicate.seconds
    assert run["params"]["seed"] == "1"
    tags = run["tags"]
    assert tags["phasesweep.status"] == "finished"
    assert tags["phasesweep.config_id"] == config_id("coupling_2")
    assert (tags["numerics.device"], tags["numerics.threads"]) == ("cpu", "1")
    assert tags["mlflow.source.git.commit"] == "0123456789abcdef"
    assert (run["start"], run["end"]) == (
        round(replicate.started_at * 1000),
        round(replicate.ended_at * 1000),
    )


def test_statuses_of_replicates(tmp_path: Path) -> None:
    runs = in_memory(tmp_path)
    found = {
        (arm, seed): (runs[key(arm, seed)]["status"], runs[key(arm, seed)]["tags"]["phasesweep.status"])
        for arm, seed in [("baseline", 0), *STATUSES]
    }
    assert found == {
        ("baseline", 0): ("FINISHED", "finished"),
        ("coupling_2", 0): ("FINISHED", "diverged"),
        ("coupling_0", 1): ("FAILED", "crashed"),
        ("coupling_0", 2): ("RUNNING", "running"),
    }
    stopped = in_memory(
        tmp_path, [*EVENTS, {"time": EPOCH + 9e3, "sweep_id": "20261122-a", "event": "interrupted"}]
    )
    run = stopped[key("coupling_0", 2)]
    assert (run["status"], run["tags"]["phasesweep.status"]) == ("KILLED", "interrupted")
    assert stopped[f"{EXPERIMENT}/sweep/20261122-a"]["status"] == "KILLED"


def test_resolved_fields_are_parameters_as_far_as_mlflow_takes_them(results: Path) -> None:
    folder = results / "study" / "laptop" / "replicates" / config_id("coupling_2") / "seed=0"
    folder.mkdir(parents=True)
    config = {"architecture": {f"field_{i}": i for i in range(150)}, "long": "x" * 6001, "taps": [1, 2]}
    text = yaml.safe_dump({"config_id": config_id("coupling_2"), "seed": 0, **config})
    (folder / "config.yaml").write_text(text)
    params = projected(results)[key("coupling_2")]["params"]
    assert params["architecture.field_149"] == "149"
    assert params["taps"] == "[1, 2]"
    assert params["architecture.variant"] == "coupling_2"
    assert len(params) == 152


def replicates_and_latest(runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return runs without the history of those that sum up others: when they were looked at is part of it."""
    return {
        key: {name: value for name, value in run.items() if name != "points" or "seed" in run["params"]}
        for key, run in runs.items()
    }


@pytest.mark.parametrize("num_events", [1, 24, len(EVENTS) - 1])
def test_a_part_and_then_the_whole_equals_the_whole_at_once(tmp_path: Path, num_events: int) -> None:
    tracker = MemoryTracker()
    in_memory(tmp_path, EVENTS[:num_events], tracker)
    in_two = replicates_and_latest(in_memory(tmp_path, tracker=tracker))
    assert in_two == replicates_and_latest(in_memory(tmp_path))


def test_a_continued_replicate_leaves_no_trace_of_what_it_repeated(results: Path) -> None:
    lost = [sweep_event(("baseline",), seeds=(0,))]
    lost += replicate_events("baseline", 0, 2.4, status=None)  # its driver died after step 200
    whole = [*lost, sweep_event(("baseline",), seeds=(0,), sweep_id="b", time=EPOCH + 100)]
    continued = replicate_events("baseline", 0, 2.5, sweep_id="b", start=EPOCH + 101, steps=(200, 300, 400, 500))
    whole += continued
    projected(results, lost)
    in_two = projected(results, whole)[key("baseline", 0)]
    curve = [step for name, step, *_ in in_two["points"] if name == SUBSET]
    assert curve == [0, 100, 200, 300, 400, 500]
    give_database(results)
    assert in_two == projected(results, whole)[key("baseline", 0)]


def test_a_reopened_replicate_leaves_no_trace_of_its_first_run(results: Path) -> None:
    """Seen before, between and after: with `--changed` a finished replicate starts from its first step."""
    first = [sweep_event(("baseline",), seeds=(0,)), *replicate_events("baseline", 0, 2.4)]
    reopened = [*first, sweep_event(("baseline",), seeds=(0,), sweep_id="b", time=EPOCH + 500)]
    which = {"sweep_id": "b", "config_id": config_id("baseline"), "seed": 0}
    reopened += [{"time": EPOCH + 501, "event": "reopened", "reason": "changed", "anew": True, **which}]
    again = [*reopened, *replicate_events("baseline", 0, 2.5, sweep_id="b", start=EPOCH + 502)]
    assert projected(results, first)[key("baseline", 0)]["status"] == "FINISHED"
    between = projected(results, reopened)
    assert between[key("baseline", 0)]["status"] == "SCHEDULED"
    assert between[key("baseline", 0)]["tags"]["phasesweep.status"] == "reopened"
    assert between[key("baseline", 0)]["points"] == []
    assert between[key("baseline")]["status"] == "RUNNING"
    after = projected(results, again)
    assert after[key("baseline", 0)]["latest"][METRIC][0] == pytest.approx(2.5, abs=0.05)
    give_database(results)
    at_once = projected(results, again)
    assert after[key("baseline", 0)] == at_once[key("baseline", 0)]
    assert after[key("baseline")]["latest"] == at_once[key("baseline")]["latest"]


def test_a_repeated_batch_changes_nothing_in_this_mlflow(results: Path) -> None:
    """The assumption under a tracker that keeps no notes in MLflow: measured, as MLflow does not promise it."""
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

    client = MlflowClient(default_tracking_uri(results))
    run = client.create_run(client.create_experiment("repeat")).info.run_id
    batch = [Metric(name, step / 3, 1000 + step, step) for step in range(10) for name in ("m", "n")]
    again = [batch[:12], batch, batch, batch[5:7], [*batch[15:], Metric("m", 7.0, 2000, 10)]]
    for some in again:
        client.log_batch(run, some)
    with sqlite3.connect(results / "mlflow.db") as connection:
        assert connection.execute("select count(*) from metrics").fetchone() == (21,)
        latest = connection.execute("select key, step, timestamp, value from latest_metrics order by key")
        assert latest.fetchall() == [("m", 10, 2000, 7.0), ("n", 9, 1009, 3.0)]


def test_a_second_writer_sends_nothing_that_mlflow_has(results: Path) -> None:
    """It has no notes of the first one: what MLflow holds is all that it goes by."""
    odd = [dict(event) for event in EVENTS]
    odd[2]["metrics"] = {**odd[2]["metrics"], "R² (%)": 0.5}  # MLflow knows it by another name
    projected(results, odd)
    second = sync_journal(journal(results, odd), MlflowTracker(default_tracking_uri(results)), EXPERIMENT)
    assert (second.num_runs, second.num_metrics) == (0, 0)


def test_a_run_made_just_before_its_tracker_died_is_filled(results: Path) -> None:
    """It was made as one that holds all that there is, and what there is never came."""
    once = projected(results)
    with sqlite3.connect(results / "mlflow.db") as connection:
        query = "select run_uuid from tags where key = 'phasesweep.key' and value = ?"
        run = connection.execute(query, (key("baseline", 0),)).fetchone()
        for table in ("metrics", "latest_metrics", "params"):
            connection.execute(f"delete from {table} where run_uuid = ?", run)
        connection.execute("update runs set status = 'RUNNING', end_time = null where run_uuid = ?", run)
    assert projected(results) == once


def test_what_has_ended_before_it_is_seen_takes_three_requests(results: Path) -> None:
    """One to make the run, one for all that it holds, one for how it ended."""
    uri = default_tracking_uri(results)
    few = journal_events(ARMS, seeds=range(2))
    first = TrackerSync(journal(results, few), MlflowTracker(uri), "few")
    assert first.step(final=True), first.error
    second = TrackerSync(journal(results, journal_events(ARMS, seeds=range(4))), MlflowTracker(uri), "more")
    assert second.step(final=True), second.error
    more = second.tracker.written.num_requests - first.tracker.written.num_requests
    assert more == 3 * 2 * len(ARMS)


def test_a_replicate_that_has_just_begun_is_left_for_later(tmp_path: Path) -> None:
    """A second of it at most is worth no runs of its own that are rewritten at once."""
    now = time.time()
    begun = [sweep_event(("baseline",), seeds=(0, 1), time=now - 100)]
    begun += replicate_events("baseline", 0, 2.4, start=now - 99, status=None)
    recent = [*begun, *replicate_events("baseline", 1, 2.4, start=now - 2, status=None)[:1]]
    tracker = MemoryTracker()
    sync = TrackerSync(journal(tmp_path, recent), tracker, EXPERIMENT)
    assert sync.step(), sync.error
    assert tracker.has(key("baseline", 0))
    assert not tracker.has(key("baseline", 1))
    assert sync.summary().num_missing == 1
    assert sync.step(final=True), sync.error
    assert tracker.runs[key("baseline", 1)].record.status == "RUNNING"
    assert sync.summary().num_missing == 0


@pytest.mark.slow
def test_two_writers_make_no_run_twice(results: Path) -> None:
    folder = journal(results)
    code = (
        "import sys; from pathlib import Path; from sweeps.tracking.mlflow_store import MlflowTracker;"
        "from sweeps.tracking.sync import sync_journal;"
        "print(sync_journal(Path(sys.argv[1]), MlflowTracker(sys.argv[2]), sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, str(folder), default_tracking_uri(results), EXPERIMENT]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert all(not line or "which sees this sweep too" in line for line in said)
    assert projected(results) == contents(results / "mlflow.db")


def test_the_lease_holder_writes_the_journals_of_both_drivers(results: Path) -> None:
    folder = journal(results, EVENTS[:10])
    first = TrackingThread(folder, MlflowTracker(default_tracking_uri(results)), EXPERIMENT)
    first.start()
    wait_for(lambda: contents(results / "mlflow.db"), "a database")
    other = [sweep_event(("baseline", "late"), seeds=(7,), sweep_id="b", time=EPOCH + 2000)]
    other += replicate_events("late", 7, 2.2, sweep_id="b", start=EPOCH + 2001)
    journal(results, other, name="b")
    second = sync_journal(folder, MlflowTracker(default_tracking_uri(results)), EXPERIMENT)
    assert second.delegated_to == f"process {os.getpid()} on {os.uname().nodename}"
    summary = first.close()
    assert not summary.needs_attention, str(summary)
    assert summary.num_events == 10 + len(other)
    assert contents(results / "mlflow.db")[key("late", 7)]["status"] == "FINISHED"


def test_a_tracker_follows_a_growing_journal(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "LONGEST_PAUSE_SECONDS", 1.0)
    folder = journal(results, EVENTS[:1])
    tracker = TrackingThread(folder, MlflowTracker(default_tracking_uri(results)), EXPERIMENT)
    tracker.start()
    wait_for_status(results, key("coupling_0"), "SCHEDULED")
    seed_dir = folder.parent / "replicates" / config_id("coupling_2") / "seed=0"
    seed_dir.mkdir(parents=True)
    (seed_dir / "config.yaml").write_text("config_id: x\nseed: 0\noptimizer: {learning_rate: 0.001}\n")
    journal(results, EVENTS[:40])
    wait_for_status(results, key("coupling_2", 0), "FINISHED")
    journal(results)
    assert not tracker.close().needs_attention
    followed = contents(results / "mlflow.db")
    assert followed[key("coupling_2")]["params"]["optimizer.learning_rate"] == "0.001"
    give_database(results)
    at_once = projected(results)
    for run_key, run in at_once.items():
        assert followed[run_key]["latest"] == run["latest"]
        assert followed[run_key]["tags"] == run["tags"]


@pytest.mark.parametrize(("num_requests", "seconds"), [(0, 1.0), (1, 1.0), (4, 4.0), (300, 10.0)])
def test_a_tracker_pauses_to_a_request_a_second_but_not_for_long(num_requests: int, seconds: float) -> None:
    assert tracking.pause_after(num_requests) == seconds


def wait_for_status(results: Path, run_key: str, status: str) -> None:
    wait_for(
        lambda: contents(results / "mlflow.db").get(run_key, {}).get("status") == status,
        f"{run_key} to be {status}",
    )
