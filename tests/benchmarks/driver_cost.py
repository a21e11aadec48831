"""What the driver costs: processor and wall time a trial and a report, requests to MLflow, and its memory.

Every sweep is a real one, of the smallest models there are, in a process of its own: Ray, the journal, claims,
progress and MLflow on SQLite work as they do under `phasesweep run`. Start-up and the end of Ray's session are left
out; what MLflow still writes after the last trial is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from cluster.inventory import Inventory, local_inventory
from sweeps.plan.builder import build_plan
from sweeps.plan.plan import Plan
from sweeps.run.engine import new_sweep_id, run_plan
from sweeps.run.limits import RunLimits
from sweeps.run.progress import Progress
from sweeps.search.fixed import FixedProposer
from sweeps.store.folder import ResultsFolder
from sweeps.store.reader import JournalReader
from sweeps.studies.resolve import load_study
from sweeps.tracking import mlflow_store
from sweeps.tracking.mlflow_store import MlflowTracker
from sweeps.tracking.sync import TrackingThread
from sweeps.tracking.uri import default_tracking_uri
from trainables.worker.assignment import Assignment

NUM_TRIALS = 1000
WARM_UP = 50
"""Trials left out at the beginning: imports, the first actor, MLflow's first connection."""
EARLY = 200
"""Trials after which memory is read first, and the size of the sweep with more reports."""
MORE_REPORTS = 11
NUM_ARMS = 4
AIM_TRIAL_MS = 40.0
AIM_REPORT_MS = 2.0
AIM_REQUESTS_PER_SECOND = 2.0
"""`About one`: rounded, one or two."""
AIM_KIB_PER_TRIAL = 10.0
"""`Flat`: a hundred thousand trials in a gigabyte."""
TRACKER_THREAD = "mlflow-tracker"
TUNE_THREAD = "ray-work"

STUDY = """\
format_version: 1
study: driver_cost
title: The smallest trials there are
seeds: {seeds}
base:
  architecture: {{name: transformer, d_model: 8, num_layers: 1, num_heads: 1}}
  task: {{name: language, corpus: synthetic, context_length: 8, max_bytes: 2000}}
  budget: {{steps: {reports}, batch_size: 1, report_every: 1, eval_sequences: 1}}
arms:
  rate_1: {{role: baseline, optimizer: {{learning_rate: 1e-3}}}}
  rate_2: {{optimizer: {{learning_rate: 2e-3}}}}
  rate_3: {{optimizer: {{learning_rate: 3e-3}}}}
  rate_4: {{optimizer: {{learning_rate: 4e-3}}}}
scales: {{laptop: {{}}}}
"""


@dataclass(frozen=True)
class Mark:
    """What the driver's process has used up to a moment; times in seconds."""

    num_trials: int
    wall: float
    cpu: float
    """Of all threads."""
    main: float
    """Of the main thread and that of Ray Tune: the searcher, journal, claims and progress."""
    tracker: float
    """Of the thread that writes MLflow."""
    worker: float
    """Wall time of the trials ended so far, as the workers measured it."""
    rss_mib: float
    requests: int
    """Calls of MLflow's client."""
    load: float
    """The machine's load average over the last minute."""


class Meter:
    """Reads what this process has used, and counts what passes between the tracker and MLflow."""

    def __init__(self) -> None:
        self.worker_seconds = 0.0
        self.num_requests = 0
        self._seconds = dict.fromkeys((TRACKER_THREAD, TUNE_THREAD), 0.0)
        """Processor time of our threads; of one that has ended, as it was last seen."""
        self._process = psutil.Process()
        self._count_requests()

    def read(self, num_trials: int) -> Mark:
        """Return the mark of this moment."""
        times = self._process.cpu_times()
        threads = {t.id: t.user_time + t.system_time for t in self._process.threads()}
        for thread in threading.enumerate():
            if thread.name in self._seconds:
                self._seconds[thread.name] = threads.get(thread.native_id, self._seconds[thread.name])
        return Mark(
            num_trials=num_trials,
            wall=time.monotonic(),
            cpu=times.user + times.system,
            main=threads[self._process.pid] + self._seconds[TUNE_THREAD],
            tracker=self._seconds[TRACKER_THREAD],
            worker=self.worker_seconds,
            rss_mib=self._process.memory_info().rss / 2**20,
            requests=self.num_requests,
            load=os.getloadavg()[0],
        )

    def _count_requests(self) -> None:
        open_client = mlflow_store.open_client

        def counted_client(tracking_uri: str) -> Any:
            client, notice = open_client(tracking_uri)
            return _CountedClient(client, self), notice

        mlflow_store.open_client = counted_client


class _CountedClient:
    """MLflow's own client, whose calls are counted on the way."""

    def __init__(self, client: Any, meter: Meter) -> None:
        self._client, self._meter = client, meter

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._meter.num_requests += 1
            return method(*args, **kwargs)

        return call


class _MeteredProgress(Progress):
    """The display of `phasesweep run`, which also takes a mark after some trials."""

    def __init__(
        self, plan: Plan, console: Console, machine: Inventory, meter: Meter, tracker: TrackingThread
    ) -> None:
        super().__init__(plan, len(plan.replicates), plan.forecast_seconds()[0], console, machine)
        self.meter, self.tracker = meter, tracker
        self.num_events = 1
        """In the journal; the first describes the sweep."""
        self.marks: list[Mark] = []

    def started(self, assignment: Assignment, step: int) -> None:
        """Show a start."""
        super().started(assignment, step)
        self.num_events += 1

    def reported(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """Show a report; note the end of a trial."""
        super().reported(assignment, event)
        self.num_events += bool(event["metrics"]) + bool(event["outcome"])
        if event["outcome"]:
            self.meter.worker_seconds += event["seconds"]
            num_ended = sum(self.ended.values())
            if num_ended == WARM_UP:
                self._await_tracker()
            # At the end too, while the thread of Ray Tune lives: its clock ends with it.
            if num_ended in {WARM_UP, EARLY, self.num_missing}:
                self.marks.append(self.meter.read(num_ended))

    def _await_tracker(self) -> None:
        """Stop until MLflow has caught up, so that what is counted from here on is written from here on."""
        while (summary := self.tracker.summary()).num_events - summary.num_missing < self.num_events:
            time.sleep(0.1)


def measure(num_trials: int, reports: int) -> list[Mark]:
    """Run a sweep with one slot in this process; return marks after `WARM_UP`, `EARLY` and all trials.

    What MLflow's thread still writes after the last trial is part of the last mark.
    """
    root = Path(tempfile.mkdtemp(prefix="phasesweep-bench-"))
    path = root / "driver_cost.yaml"
    path.write_text(STUDY.format(seeds=num_trials // NUM_ARMS, reports=reports), encoding="utf-8")
    study = load_study(str(path))
    machine = Inventory(cpus=1, memory_mib=local_inventory().memory_mib)
    plan = build_plan(study, machine, None)
    folder = ResultsFolder.of(root / "results", study.name, study.results_key)
    folder.prepare(study.resolved(), study.plugin_texts)
    meter = Meter()
    tracker = TrackingThread(
        folder.journal, MlflowTracker(default_tracking_uri(root / "results")), "driver_cost@laptop"
    )
    tracker.start()
    limits = RunLimits()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        progress = _MeteredProgress(plan, Console(file=nowhere), machine, meter, tracker)
        left = run_plan(
            plan,
            folder,
            FixedProposer(plan.replicates),
            reader=JournalReader(folder.journal),
            sweep_id=new_sweep_id(),
            address=None,
            listener=progress,
            limits=limits,
            reruns={},
        )
    ended = meter.read(num_trials)
    behind = tracker.close(600.0)
    if left or behind.needs_attention or progress.ended != {"finished": num_trials}:
        raise SystemExit(
            f"{len(left)} of {num_trials} trials left: {limits.stop_reason}; {dict(progress.ended)}; {behind}"
        )
    *early, last = progress.marks
    # The main thread only waits for the tracker, whose own clock has ended with its thread.
    written = ended.tracker - last.tracker + meter.read(num_trials).cpu - ended.cpu
    cpu, tracked = last.cpu + written, last.tracker + written
    return [*early, replace(last, cpu=cpu, tracker=tracked, requests=meter.num_requests)]


def measured_alone(num_trials: int, reports: int) -> list[Mark]:
    """Do the same in a fresh process, so that its memory and its threads are this sweep's only."""
    command = [sys.executable, "-m", "tests.benchmarks.driver_cost", "--one", str(num_trials), str(reports)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the sweep of {num_trials} trials with {reports} reports failed; see above")
    return [Mark(**fields) for fields in json.loads(done.stdout.splitlines()[-1])]


def _milliseconds_each(start: Mark, end: Mark, of: Callable[[Mark], float]) -> float:
    return 1e3 * (of(end) - of(start)) / (end.num_trials - start.num_trials)


PARTS: tuple[tuple[str, Callable[[Mark], float]], ...] = (
    ("processor time of the driver", lambda mark: mark.cpu),
    ("– Ray Tune, engine, journal, claims", lambda mark: mark.main),
    ("– MLflow's thread", lambda mark: mark.tracker),
    ("– Ray's own threads", lambda mark: mark.cpu - mark.main - mark.tracker),
    ("wall time", lambda mark: mark.wall),
    ("– of it in the worker", lambda mark: mark.worker),
)


def report() -> str:
    """Return the benchmark as Markdown."""
    start, early, end = measured_alone(NUM_TRIALS, 1)
    few_start, few_end = measured_alone(EARLY, 1)
    more_start, more_end = measured_alone(EARLY, MORE_REPORTS)
    a_trial = {name: _milliseconds_each(start, end, of) for name, of in PARTS}
    a_report = {
        name: (_milliseconds_each(more_start, more_end, of) - _milliseconds_each(few_start, few_end, of))
        / (MORE_REPORTS - 1)
        for name, of in PARTS
    }
    num_requests, seconds = end.requests - start.requests, end.wall - start.wall
    growth_kib = 1024 * (end.rss_mib - early.rss_mib) / (NUM_TRIALS - EARLY)
    whole, *_ = a_trial
    aims = (
        ("processor time a trial", a_trial[whole], AIM_TRIAL_MS, "ms"),
        ("processor time a further report", a_report[whole], AIM_REPORT_MS, "ms"),
        ("requests to MLflow", num_requests / seconds, AIM_REQUESTS_PER_SECOND, "a second"),
        ("memory of the driver", growth_kib, AIM_KIB_PER_TRIAL, "KiB a trial"),
    )
    return "\n".join(
        [
            f"**Cost of the driver** ({NUM_TRIALS} trials of 1 step and 1 report: {NUM_ARMS} arms × "
            f"{NUM_TRIALS // NUM_ARMS} seeds of a transformer of width 8 with 1 layer, 8 tokens; a report: "
            f"{EARLY} trials with {MORE_REPORTS} against {EARLY} with 1; 1 slot, 1 thread a trial, journal and "
            f"MLflow on SQLite included; load average {start.load:.1f} to {end.load:.1f}; "
            f"ray {version('ray')}, mlflow {version('mlflow')}, Python {platform.python_version()})",
            "",
            "| | a trial | a further report |",
            "|---|---:|---:|",
            *(f"| {name} | {a_trial[name]:.1f} ms | {a_report[name]:.2f} ms |" for name, _ in PARTS),
            "",
            "| aim | at most | measured | met |",
            "|---|---:|---:|---|",
            *(
                f"| {name} | {aim:g} {unit} | {measured:.1f} {unit} | {'yes' if measured <= aim else 'no'} |"
                for name, measured, aim, unit in aims
            ),
            "",
            f"MLflow got {num_requests / (end.num_trials - start.num_trials):.1f} requests a trial. Memory of the "
            f"driver: {early.rss_mib:.0f} MiB after {EARLY} trials, {end.rss_mib:.0f} MiB after {NUM_TRIALS}.",
        ]
    )


def main() -> None:
    """Print the benchmark, or the marks of one sweep as JSON for the process that asks for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, type=int, metavar=("TRIALS", "REPORTS"))
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps([asdict(mark) for mark in measure(*arguments.one)]))
    else:
        print(report())


if __name__ == "__main__":
    main()
