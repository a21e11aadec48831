"""The engine: runs what a plan is missing on Ray Tune and writes everything that happens to the journal."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ray import tune

from analysis.records import RESULTS
from cluster.session import Offer, ray_session
from sweeps.journal import ClaimBook, JournalWriter
from sweeps.missing import is_missing, missing_replicates
from sweeps.plan import Plan, PlannedArm
from sweeps.results_folder import ResultsFolder
from sweeps.search import DriverOnly, ReplicateSearcher
from trainables.assignment import Assignment
from trainables.replicate_folder import ReplicateFolder
from trainables.tune_trainable import ReplicateTrainable

_TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our journal replaces Tune's loggers
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own state is disposable
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours also gives claims back
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class Listener(Protocol):
    """What wants to know how a sweep goes, such as the progress display."""

    def started(self, assignment: Assignment) -> None:
        """A replicate has started."""

    def reported(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """A replicate has reported; `event["outcome"]` is set if it has ended."""


def new_sweep_id() -> str:
    """Return a name for a driver's journal that sorts by time and never repeats."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def run_plan(plan: Plan, folder: ResultsFolder, *, sweep_id: str, address: str | None, listener: Listener) -> None:
    """Run everything that the plan misses; return when it is done or interrupted. The journal says how it went.

    Args:
        plan: What to run.
        folder: Where; prepared.
        sweep_id: Name of this driver's journal.
        address: Ray cluster to use, or None for a session of our own.
        listener: Told about every start and report.
    """
    writer = JournalWriter(folder.journal, sweep_id)
    try:
        writer.write_sweep(plan.sweep)
        with ClaimBook(folder.claims, sweep_id) as claims:
            _Engine(plan, folder, writer, claims, listener).run(address)
    finally:
        writer.close()


class _Engine(DriverOnly, tune.Callback):
    """Feeds Tune, and turns what Tune reports into journal events."""

    def __init__(
        self, plan: Plan, folder: ResultsFolder, writer: JournalWriter, claims: ClaimBook, listener: Listener
    ) -> None:
        self.plan, self.folder, self.writer, self.claims, self.listener = plan, folder, writer, claims, listener
        self.searcher = ReplicateSearcher(self._assignments(), claims, self._still_missing)
        self._ended: set[tuple[str, int]] = set()
        self._seen_of_others: dict[str, int] = {}

    def _assignments(self) -> Iterator[Assignment]:
        """Yield what is missing, again and again while a driver that had claimed something may have died."""
        offered: set[tuple[str, int]] = set()
        while True:
            self._seen_of_others = self._journals_of_others()
            missing = missing_replicates(self.plan, self.folder.state())
            fresh = [(p, seed) for p, seed in missing if (p.config_id, seed) not in offered]
            if not fresh:
                return
            for planned, seed in fresh:
                if self.claims.is_claimed_by_another(planned.config_id, seed):
                    continue
                offered.add((planned.config_id, seed))
                yield self._assignment(planned, seed)
            if all((p.config_id, seed) not in offered for p, seed in fresh):
                return  # the rest is another living driver's

    def _still_missing(self, assignment: Assignment) -> bool:
        """Return whether a replicate that we hold has no result yet, whoever may have run it before."""
        if self._journals_of_others() == self._seen_of_others:
            return True
        return is_missing(self.folder.state().replicates.get((assignment.config_id, assignment.seed)))

    def _journals_of_others(self) -> dict[str, int]:
        """Return the size of every other driver's journal: what has grown has to be read again."""
        paths = self.folder.journal.glob("*.jsonl")
        return {path.name: path.stat().st_size for path in paths if path != self.writer.path}

    def _assignment(self, planned: PlannedArm, seed: int) -> Assignment:
        resources = self.plan.study.resources
        return Assignment(
            config_id=planned.config_id,
            seed=seed,
            config=planned.config.model_dump(mode="json"),
            data_hash=planned.data_hash,
            data_dir=str(self.plan.data_dir) if self.plan.data_dir else None,
            replicate_dir=str(self.folder.replicate(planned.config_id, seed)),
            device=self.plan.device,
            threads=resources.cpus_per_trial,
            micro_batch_size=resources.micro_batch_size,
            deterministic=resources.deterministic,
        )

    def run(self, address: str | None) -> None:
        os.environ.update(_TUNE_ENVIRONMENT)
        slots = self.plan.concurrency
        scratch = Path(tempfile.mkdtemp(prefix="phasesweep-tune-"))
        request = self.plan.request
        offer = Offer(
            cpus=slots * request.cpu,
            gpus=math.ceil(slots * request.gpu),
            memory_mib=slots * request.memory_mib,
        )
        try:
            # Ray installs its own signal handlers when it starts: ours must come after.
            with ray_session(offer, address=address), self._interruptible():
                self._fit(scratch, slots)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            if self.searcher.stopped:
                self.writer.write("interrupted")

    def _fit(self, scratch: Path, slots: int) -> None:
        request = self.plan.request
        bundle: dict[str, float] = {"CPU": float(request.cpu)}
        if request.gpu:
            bundle["GPU"] = request.gpu
        else:
            bundle["memory"] = request.memory_mib * 2.0**20
        trainable = tune.with_resources(ReplicateTrainable, tune.PlacementGroupFactory([bundle]))
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=self.searcher,
                num_samples=-1,
                reuse_actors=True,
                # Twice the slots: a trial waits, started, for the next free actor, and no core idles.
                max_concurrent_trials=2 * slots,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(scratch),
                callbacks=[self],
                stop=_StopOnInterrupt(self.searcher),
                verbose=0,
            ),
        )
        tuner.fit()

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Turn the first SIGINT or SIGTERM into an orderly stop; a second one acts as it always does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: Any) -> None:
            self.searcher.stopped = True
            os.write(sys.stderr.fileno(), b"\nstopping in order; once more to stop at once\n")
            for each, handler in previous.items():
                signal.signal(each, handler)

        for number in previous:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write a trainable's event to the journal."""
        assignment = self.searcher.suggested[trial.trial_id]
        event = result["replicate_event"]
        config_id, seed = assignment.config_id, assignment.seed
        if event["event"] == "started":
            fields = ("step", "numerics", "host", "pid")
            values = {name: event[name] for name in fields}
            self.writer.write("started", config_id=config_id, seed=seed, **values)
            self.listener.started(assignment)
            return
        if event["metrics"]:
            self.writer.write_report(config_id, seed, event["step"], event["metrics"])
        if event["outcome"]:
            self._end(assignment, event)
        self.listener.reported(assignment, event)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a worker process that died: killed by the system, or a segmentation fault."""
        assignment = self.searcher.suggested[trial.trial_id]
        if (assignment.config_id, assignment.seed) in self._ended or self.searcher.stopped:
            return
        event = {
            "outcome": "crashed",
            "step": 0,
            "metrics": {},
            "seconds": None,
            "cpu_seconds": None,
            "peak_memory_mib": None,
            "message": f"the worker process died, killed by the system or by itself: {_last_words(trial)}",
        }
        self._end(assignment, event)
        self.listener.reported(assignment, event)

    def _end(self, assignment: Assignment, event: dict[str, Any]) -> None:
        self.writer.write(
            event["outcome"],
            config_id=assignment.config_id,
            seed=assignment.seed,
            step=event["step"],
            seconds=event["seconds"],
            cpu_seconds=event["cpu_seconds"],
            peak_memory_mib=event["peak_memory_mib"],
            message=event["message"],
        )
        self._ended.add((assignment.config_id, assignment.seed))
        if event["outcome"] in RESULTS:
            # Only now is the result durable; until now the checkpoint was what a killed driver would need.
            ReplicateFolder(Path(assignment.replicate_dir)).checkpoint.unlink(missing_ok=True)
        self.claims.release(assignment.config_id, assignment.seed)


def _last_words(trial: Any) -> str:
    """Return the last line of what Tune knows of a dead worker."""
    lines = str(trial.get_error() or "").strip().splitlines()
    return lines[-1] if lines else "no message"


class _StopOnInterrupt(DriverOnly, tune.Stopper):
    """Ends the Tune run once the searcher has been stopped."""

    def __init__(self, searcher: ReplicateSearcher) -> None:
        self._searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Return whether the run has been interrupted."""
        return self._searcher.stopped
