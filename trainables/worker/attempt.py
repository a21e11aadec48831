"""One attempt at a replicate: the loop, with its folder, its checkpoints and every end turned into a result."""

from __future__ import annotations

import functools
import gc
import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from trainables.config.trial import TrialConfig
from trainables.data.errors import DataError
from trainables.tasks.base import Task, TaskConfig
from trainables.training.checkpoints import CheckpointError, OtherCodeError
from trainables.training.initial_weights import WeightSource
from trainables.training.loop import Report, Trainer
from trainables.training.numerics import Numerics
from trainables.training.parallel.ranks import SOLO, Ranks
from trainables.worker.assignment import Assignment
from trainables.worker.memory_limit import (
    TOLERANCE_MIB,
    MemoryCap,
    is_enforced,
    is_out_of_memory,
    return_free_memory,
    worker_memory,
)
from trainables.worker.peak_memory import PeakMemory
from trainables.worker.replicate_folder import FollowerFolder, ReplicateFolder
from trainables.worker.watchdog import watched

CHECKPOINT_EVERY_SECONDS = 20.0


@functools.lru_cache(maxsize=2)
def _load_task(task: TaskConfig, data_dir: Path | None) -> Task:
    """Load a task once a process: a reused actor runs many replicates on the same data."""
    return task.build(data_dir)


@functools.cache
def _set_libraries_aside() -> None:
    """Leave what is loaded before the first trial out of later collections: each took .2 s to look through it."""
    gc.freeze()


def release_memory() -> None:
    """Give back what the trial before this one held, so that a peak is of one trial only."""
    gc.collect()
    _set_libraries_aside()
    return_free_memory()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _forget_frames(error: BaseException) -> None:
    """Let go of the frames that `error` has passed through: they hold the model."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__


class Attempt:
    """Runs one replicate to its end; `events` yields plain dictionaries for the driver.

    An exception inside the trial is one of its results (`crashed`, `oom`), recorded with its traceback in
    log.txt: raised through Ray it would cost the worker process, and the replicate would have no record.

    Where several processes train the replicate together, each runs an attempt, and all yield the same events but
    for `pid`, `host` and failures: a rank that fails does not tell the others, who would wait for it.
    """

    def __init__(self, assignment: Assignment, ranks: Ranks = SOLO) -> None:
        self.assignment, self.ranks = assignment, ranks
        path = Path(assignment.replicate_dir)
        self.folder = ReplicateFolder(path) if ranks.is_first else FollowerFolder(path, ranks.rank)
        self.started_at = time.monotonic()
        self.started_cpu = time.process_time()
        self.saved_at = self.started_at
        self.peak: PeakMemory | None = None
        self.cap: MemoryCap | None = None
        self.error: Exception | None = None
        """What ended it, if it failed; without its traceback, which is in log.txt."""
        self._ran_out_of_memory = False

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield `started`, then a `report` at each report, the last one with its outcome.

        A hang is no exception: the process ends, and the driver finds the stacks in the replicate's folder.
        """
        try:
            self.folder.create()
            limit_seconds = self.assignment.report_timeout_seconds
            yield from watched(self._work(), seconds=limit_seconds, stacks=self.folder.stacks)
        except Exception as error:  # noqa: BLE001  every failure of a trial is recorded, none is dropped
            yield self._failed(error)

    def recycle_reason(self) -> str:
        """Return why no other trial may run in this process; empty if one may. To be asked after the last event.

        A process that ran out of memory may hold some of it for ever, in caches or half-made objects; one that did
        not give back what its trial used would make the next one run out.
        """
        if self._ran_out_of_memory:
            return "its trial ran out of memory"
        if self.cap is None:
            return ""
        release_memory()
        left_mib = self.cap.worker.leaked_mib()
        return f"its trial left {left_mib:.0f} MiB behind" if left_mib > TOLERANCE_MIB else ""

    def _work(self) -> Iterator[dict[str, Any]]:
        given = self.assignment
        release_memory()
        self.peak = PeakMemory(given.device, given.context_mib)
        config = given.read_config()
        numerics = Numerics(
            device=given.device,
            threads=given.threads,
            workers=given.workers,
            sharding=given.sharding,
            micro_batch_size=given.micro_batch_size,
            deterministic=given.deterministic,
        )
        numerics.apply()
        with self._capped():
            trainer = self._prepare(config, numerics)
            yield self._started(trainer)
            for report in trainer.reports():
                yield self._reported(trainer, report)

    def _capped(self) -> AbstractContextManager[Any]:
        """Return the context in which the trial may use no more than its reservation."""
        given = self.assignment
        if given.memory_mib is None:
            return nullcontext()
        if not is_enforced(given.device):
            self.folder.log("not capped: this system cannot limit the memory of a process")
            return nullcontext()
        worker = worker_memory(given.device, given.threads)
        self.cap = MemoryCap(given.memory_mib, worker, context_mib=given.context_mib)
        for remark in self.cap.remarks():
            self.folder.log(remark)
        return self.cap

    def _prepare(self, config: TrialConfig, numerics: Numerics) -> Trainer:
        given = self.assignment
        with self.cap.worker.keeping() if self.cap else nullcontext():
            task = _load_task(config.task, given.data_path)
        if task.data_hash != given.data_hash:
            raise DataError(
                f"this worker's data hash {task.data_hash} is not the plan's {given.data_hash}: the corpus "
                f"differs between machines; give all of them the same PHASESWEEP_DATA"
            )
        origins = {role: WeightSource(**origin) for role, origin in given.origins.items()}
        trainer = Trainer(config, given.seed, task, numerics, self.ranks, origins)
        self.folder.write_config({"config_id": given.config_id, "seed": given.seed, **given.config})
        if self.folder.checkpoint.exists():
            self._continue(trainer)
        steps = self.ranks.gather(trainer.step)
        if len(set(steps)) > 1:
            raise CheckpointError(
                f"the workers of this trial would start at different steps, {steps}: they do not see the same "
                f"{self.folder.checkpoint}; keep results in a folder that all machines share"
            )
        self.folder.continue_from(trainer.step)
        return trainer

    def _continue(self, trainer: Trainer) -> None:
        """Go on from the checkpoint, unless other code has computed it: half of a result by each is of neither."""
        try:
            trainer.load(self.folder.checkpoint)
        except OtherCodeError as error:
            self.folder.log(f"{error}: starting from the first step")
        else:
            self.folder.log(f"continuing from step {trainer.step}")

    def _started(self, trainer: Trainer) -> dict[str, Any]:
        numerics = {
            **trainer.numerics.describe(),
            "precision": trainer.config.budget.precision,
            "peak_memory_method": self.peak.method if self.peak else "",
        }
        self.folder.log(f"started at step {trainer.step} with {trainer.num_parameters} parameters: {numerics}")
        return {
            "event": "started",
            "step": trainer.step,
            "numerics": numerics,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "cap_mib": self.cap.reservation_mib if self.cap else None,
        }

    def _reported(self, trainer: Trainer, report: Report) -> dict[str, Any]:
        now = time.monotonic()
        seconds, (peak_mib, cpu_seconds) = now - self.started_at, self._usage()
        self.folder.add_report(report.step, report.metrics, seconds, peak_mib)
        for note in report.notes:
            self.folder.log(note)
        if report.outcome is not None:
            self.folder.log(f"{report.outcome} at step {report.step} after {seconds:.1f} s")
            self.folder.summarise(report.metrics)
            for name, text in report.artifacts.items():
                self.folder.keep(name, text)
            if report.outcome == "finished" and self.assignment.keep_weights:
                trainer.save_weights(self.folder.weights)
        elif self.ranks.first(now - self.saved_at >= CHECKPOINT_EVERY_SECONDS):
            trainer.save(self.folder.checkpoint)
            self.saved_at = time.monotonic()
        return {
            "event": "report",
            "step": report.step,
            "metrics": report.metrics,
            "outcome": report.outcome,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "peak_memory_mib": peak_mib,
            "message": report.reason,
            "suspected": False,
        }

    def _usage(self) -> tuple[float | None, float]:
        """Return the peak memory of the worker with the highest, which is what each of them asked for, and the
        CPU time of all of them; collective.
        """
        peaks, cpu_seconds = zip(*self.ranks.gather((self._peak_mib(), self._cpu_seconds())), strict=True)
        measured = [peak for peak in peaks if peak is not None]
        return max(measured, default=None), sum(cpu_seconds)

    def _cpu_seconds(self) -> float:
        return time.process_time() - self.started_cpu

    def _peak_mib(self) -> float | None:
        """Return the peak so far; None if the trial failed before it could be measured."""
        return None if self.peak is None else self.peak.mib()

    def _failed(self, error: Exception) -> dict[str, Any]:
        self.error = error
        peak_mib = self._peak_mib()
        recognised = "oom" if is_out_of_memory(error) else "crashed"
        suspected = recognised == "crashed" and self._memory_was_short(peak_mib)
        self._ran_out_of_memory = suspected or recognised == "oom"
        message = f"{type(error).__name__}: {error}"
        if self._ran_out_of_memory:
            message = self._shortage(" ".join(message.split()), peak_mib, suspected=suspected)
        try:
            self.folder.log("".join(traceback.format_exception(error)))
        except OSError as unwritable:
            message += f" (and its traceback could not be written: {unwritable})"
        _forget_frames(error)
        return {
            "event": "report",
            "step": 0,
            "metrics": {},
            "outcome": "oom" if suspected else recognised,
            "seconds": time.monotonic() - self.started_at,
            "cpu_seconds": self._cpu_seconds(),
            "peak_memory_mib": peak_mib,
            "message": message,
            "suspected": suspected,
        }

    def _memory_was_short(self, peak_mib: float | None) -> bool:
        """Return whether the trial ended so close to its cap that any failure may be one of memory."""
        if self.cap is None or self.peak is None:
            return False
        return self.cap.is_close(peak_mib if self.peak.is_of_trial else None)

    def _shortage(self, reason: str, peak_mib: float | None, *, suspected: bool) -> str:
        """Return what is told of a trial that ran out of memory: how much it had, and what to do."""
        reserved = self.assignment.memory_mib
        may_use = f"may use {reserved} MiB" if reserved is not None else "had no limit"
        used = f" and used {peak_mib:.0f} MiB at its peak" if peak_mib is not None else ""
        maybe = "maybe for lack of memory: " if suspected else ""
        return (
            f"{maybe}{reason}; the trial {may_use}{used}; set resources.micro_batch_size lower or choose a "
            "smaller --scale"
        )
