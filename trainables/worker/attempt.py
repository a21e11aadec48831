"""One attempt at a replicate: the training loop with folder, checkpoints and memory limit; every end is a
result."""

from __future__ import annotations

import functools
import gc
import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch

from trainables.config.trial import TrialConfig
from trainables.data.errors import DataError
from trainables.full_disk import full_disk
from trainables.tasks.base import TaskConfig
from trainables.tasks.base.task import Task
from trainables.training.checkpoints import CheckpointError, OtherCodeError, UnreadableCheckpointError, set_aside
from trainables.training.initial_weights import WeightSource
from trainables.training.loop import Report, Trainer
from trainables.training.numerics import Numerics
from trainables.training.parallel.ranks import SOLO, Ranks
from trainables.worker.assignment import Assignment
from trainables.worker.checkpointing import Checkpoints, Spent
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

_MOST_TASKS = 2
_tasks: dict[tuple[type[TaskConfig], str, Path | None], Task] = {}
"""Tasks that this process has loaded, the last used last: a reused actor runs many replicates on the same data."""


def _load_task(config: TaskConfig, data_dir: Path | None) -> Task:
    """Load a task once per process. Its fields may hold lists, so the key is its JSON."""
    key = (type(config), config.model_dump_json(), data_dir)
    task = _tasks.pop(key, None)
    if task is None:
        while len(_tasks) >= _MOST_TASKS:
            del _tasks[next(iter(_tasks))]
        task = config.build(data_dir)
    _tasks[key] = task
    return task


@functools.cache
def _set_libraries_aside() -> None:
    """Exclude what is loaded before the first trial from later collections: scanning it took .2 s each time."""
    gc.freeze()


def release_memory() -> None:
    """Free what the previous trial held, so that a peak is that of one trial only."""
    gc.collect()
    _set_libraries_aside()
    return_free_memory()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _forget_frames(error: BaseException) -> None:
    """Drop the frames in the traceback of `error`, which hold references to the model."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__


class Attempt:
    """Runs one replicate to its end; `events` yields plain dictionaries for the driver.

    An exception inside the trial is one of its results (`crashed`, `oom`), recorded with its traceback in
    log.txt: raised through Ray it would cost the worker process, and the replicate would have no record. A full
    disk is no fault of the trial: it is `preempted`, and continues from its last checkpoint.

    If several processes train the replicate together, each runs an attempt, and all yield the same events except
    for `pid`, `host` and failures: a rank that fails does not notify the others, which keep waiting for it.
    """

    def __init__(self, assignment: Assignment, ranks: Ranks = SOLO) -> None:
        self.assignment, self.ranks = assignment, ranks
        path = Path(assignment.replicate_dir)
        self.folder = ReplicateFolder(path) if ranks.is_first else FollowerFolder(path, ranks.rank)
        self.started_at = time.monotonic()
        self.started_cpu = time.process_time()
        self.checkpoints = Checkpoints(self.folder.checkpoint, ranks, self._spent)
        self.peak: PeakMemory | None = None
        self.cap: MemoryCap | None = None
        self.error: BaseException | None = None
        """The exception that ended it, if it failed; without its traceback, which is in log.txt."""
        self._ran_out_of_memory = False
        self._spent_before = Spent()
        self._trainer: Trainer | None = None

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield `started`, then a `report` at each report, the last one with its outcome.

        A hang raises no exception: the process ends, and the driver finds the stacks in the replicate's folder.
        """
        try:
            self.folder.create()
            work = self.checkpoints.stoppable(self._work())
            limit_seconds = self.assignment.report_timeout_seconds
            yield from watched(work, seconds=limit_seconds, stacks=self.folder.stacks)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # every failure of a trial is recorded, sys.exit included
            if self.checkpoints.is_told_to_stop and not isinstance(error, Exception):
                raise
            yield self._failed(error)

    def stop(self) -> None:
        """Save a checkpoint, because no further event will be requested; must not be called during one."""
        if self._trainer is None:
            return
        try:
            self.checkpoints.save(self._trainer)
            self.folder.log(f"stopped at step {self._trainer.step}, which is saved")
        except Exception as error:  # noqa: BLE001  the previous checkpoint is still there
            with suppress(OSError):  # a full disk takes no log either
                self.folder.log(f"stopped at step {self._trainer.step}, which could not be saved: {error}")

    def recycle_reason(self) -> str:
        """Return why no other trial may run in this process; empty if one may. To be called after the last event.

        A process that ran out of memory may never free some of it, in caches or half-built objects; one that did
        not free what its trial used would make the next one run out.
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
            self._trainer = trainer = self._prepare(config, numerics)
            try:
                yield self._started(trainer)
                for report in trainer.reports(self.checkpoints.between_steps):
                    yield self._reported(trainer, report)
            finally:
                self._trainer = None

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
        weight_sources = {role: WeightSource(**source) for role, source in given.weight_sources.items()}
        trainer = Trainer(config, given.seed, task, numerics, self.ranks, weight_sources)
        if self.ranks.is_first:
            self.folder.write_config({"config_id": given.config_id, "seed": given.seed, **given.config})
        is_damaged = False
        if self.folder.checkpoint.exists():
            is_damaged = not self._continue(trainer)
        elif self.ranks.size == 1:  # several might not see the same checkpoint, which its owner may just replace
            self._adopt(trainer)
        steps = self.ranks.gather(trainer.step)  # every rank has read the checkpoint by now
        if is_damaged and self.ranks.is_first:
            self.folder.log(f"set aside as {set_aside(self.folder.checkpoint)}")
        if len(set(steps)) > 1:
            raise CheckpointError(
                f"the workers of this trial would start at different steps, {steps}: they do not see the same "
                f"{self.folder.checkpoint}; keep results in a folder that all machines share"
            )
        if self.ranks.is_first:
            self.folder.continue_from(trainer.step)
        self._spent_before = Spent(**trainer.spent)
        self.checkpoints.started(trainer.step)
        return trainer

    def _continue(self, trainer: Trainer) -> bool:
        """Resume from the checkpoint, unless other code has computed it: results of two versions must not be mixed.

        Returns:
            Whether it could be read.
        """
        try:
            trainer.load(self.folder.checkpoint)
        except OtherCodeError as error:
            self.folder.log(f"{error}: starting from the first step")
        except UnreadableCheckpointError as error:
            self.folder.log(f"{error}; starting from the first step")
            return False
        else:
            self.folder.log(f"continuing from step {trainer.step}")
        return True

    def _adopt(self, trainer: Trainer) -> None:
        """Continue from what an equal replicate has saved before this one's changes, rather than do it again."""
        for place, (earlier, until_step) in zip(
            self.assignment.earlier_dirs, trainer.config.earlier(), strict=False
        ):
            path = ReplicateFolder(Path(place)).checkpoint
            try:
                if path.exists() and trainer.adopt(path, earlier, until_step):
                    self.folder.log(
                        f"continuing from step {trainer.step} of {place}, which is equal until {until_step}"
                    )
                    return
            except (CheckpointError, FileNotFoundError) as error:
                self.folder.log(f"not continued from {place}: {error}")

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
        peak_mib, (seconds, cpu_seconds) = self._highest_peak_mib(), self._spent()
        if self.ranks.is_first:
            self._write(report)
        for note in report.notes:
            self.folder.log(note)
        if report.outcome is not None:
            self.folder.log(f"{report.outcome} at step {report.step} after {seconds:.1f} s")
            if report.outcome == "finished" and self.assignment.keep_weights:
                trainer.save_weights(self.folder.weights)
        else:
            self.checkpoints.save_if_due(trainer)
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

    def _write(self, report: Report) -> None:
        self.folder.add_report(report.step, report.metrics)
        if report.outcome is not None:
            self.folder.summarise(report.metrics)
            for name, text in report.artifacts.items():
                self.folder.keep(name, text)

    def _highest_peak_mib(self) -> float | None:
        """Return the highest peak of all workers, each of which requested the same memory; collective."""
        return max((peak for peak in self.ranks.gather(self._peak_mib()) if peak is not None), default=None)

    def _spent(self) -> Spent:
        """Return what all workers have spent, including the work that this attempt continues; collective."""
        own = self._spent_here()
        return own._replace(cpu_seconds=sum(self.ranks.gather(own.cpu_seconds)) + self._spent_before.cpu_seconds)

    def _spent_here(self) -> Spent:
        """Return the same with the CPU time of this process only, in this attempt."""
        seconds = self._spent_before.seconds + time.monotonic() - self.started_at
        return Spent(seconds, time.process_time() - self.started_cpu)

    def _spent_until_failure(self) -> Spent:
        """Return the work of all attempts, with this process's CPU time only: other ranks may answer no more."""
        own = self._spent_here()
        return own._replace(cpu_seconds=own.cpu_seconds + self._spent_before.cpu_seconds)

    def _peak_mib(self) -> float | None:
        """Return the peak so far; None if the trial failed before it could be measured."""
        return None if self.peak is None else self.peak.mib()

    def _failed(self, error: BaseException) -> dict[str, Any]:
        self.error = error
        peak_mib = self._peak_mib()
        full = full_disk(error, self.folder.path)
        recognised = "preempted" if full else "oom" if is_out_of_memory(error) else "crashed"
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
            **self._spent_until_failure()._asdict(),
            "peak_memory_mib": peak_mib,
            "message": full or message,
            "suspected": suspected,
            "disk_is_full": full is not None,
        }

    def _memory_was_short(self, peak_mib: float | None) -> bool:
        """Return whether the trial ended so close to its limit that any failure may be an out-of-memory."""
        if self.cap is None or self.peak is None:
            return False
        return self.cap.is_close(peak_mib if self.peak.is_of_trial else None)

    def _shortage(self, reason: str, peak_mib: float | None, *, suspected: bool) -> str:
        """Return the message for a trial that ran out of memory: how much it had, and what to do."""
        reserved = self.assignment.memory_mib
        may_use = f"may use {reserved} MiB" if reserved is not None else "had no limit"
        used = f" and used {peak_mib:.0f} MiB at its peak" if peak_mib is not None else ""
        maybe = "maybe for lack of memory: " if suspected else ""
        return (
            f"{maybe}{reason}; the trial {may_use}{used}; set resources.micro_batch_size lower or choose a "
            "smaller --scale"
        )
