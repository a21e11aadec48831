"""The cap of a trial: real limits in processes of their own, where a mistake costs nobody else; then of a trial."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.machine.trial_process import computed
from tests.support.models.configs import small_assignment
from trainables.training.loop import Trainer
from trainables.worker import attempt
from trainables.worker.attempt import Attempt
from trainables.worker.memory_limit import (
    ALLOCATOR_ENVIRONMENT,
    MIB,
    SLACK_MIB,
    TOLERANCE_MIB,
    MemoryCap,
    ReservationError,
    WorkerMemory,
    is_out_of_memory,
    return_free_memory,
    worker_memory,
)

BACKSTOP_MIB = 8192
"""Address space of a subprocess here, beside the tested cap: a cap that fails must not take the machine down."""

GREEDY = """
import gc, json, resource, sys, threading
import numpy, psutil, torch
from torch import nn
from trainables.worker.memory_limit import MIB, MemoryCap, is_out_of_memory, return_free_memory, worker_memory

resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) * MIB,) * 2)
torch.set_num_threads(2)
worker = worker_memory("cpu", 2)
reservation_mib = int(worker.base_mib) + 200

class Greedy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x.clone()
    @staticmethod
    def backward(ctx, gradient):
        eat(lambda: torch.ones(2 * MIB))
        return gradient

def eat(make):
    held = []
    while True: held.append(make())

def in_a_thread():
    raised = []
    def run():
        try: eat(lambda: torch.ones(MIB))
        except (RuntimeError, MemoryError) as error: raised.append(error)
    thread = threading.Thread(target=run)
    thread.start(); thread.join()
    raise raised[0]

ways = {
    "tensors": lambda: eat(lambda: torch.ones(MIB)),
    "numpy": lambda: eat(lambda: numpy.ones(MIB)),
    "backward": lambda: Greedy.apply(torch.ones(8, requires_grad=True)).sum().backward(),
    "thread": in_a_thread,
    "matrix product": lambda: torch.ones(40 * MIB, 1) @ torch.ones(1, 1),
    # These eat the heap, whose end a live block may hold: what is mapped would not find room afterwards.
    "small tensors": lambda: eat(lambda: torch.ones(4096)),
    "objects": lambda: eat(lambda: bytearray(512)),
}
found, left = {}, 0.0
for name, run in ways.items():
    cap = MemoryCap(reservation_mib, worker)
    try:
        with cap: run()
    except Exception as error:
        found[name] = [type(error).__name__, is_out_of_memory(error), cap.used_mib / reservation_mib]
        error.__traceback__ = None
    gc.collect()
    return_free_memory()  # as between trials
    if name == "matrix product": left = worker.leaked_mib()
held = torch.ones(64 * MIB)
print(json.dumps({"found": found, "free again": held.numel(), "left": left}))
"""


def run_in_a_process(script: str) -> dict[str, object]:
    environment = {**os.environ, **ALLOCATOR_ENVIRONMENT}
    command = [sys.executable, "-c", script, str(BACKSTOP_MIB)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_every_way_to_eat_memory_ends_as_an_exception_at_the_cap() -> None:
    result = run_in_a_process(GREEDY)
    found = result["found"]
    assert isinstance(found, dict)
    assert set(found) == {"tensors", "small tensors", "numpy", "objects", "backward", "thread", "matrix product"}
    assert {name for name, (_, recognised, _) in found.items() if not recognised} == set()
    reached = {name: share for name, (_, _, share) in found.items() if name not in {"thread", "matrix product"}}
    assert all(0.95 < share < 1.5 for share in reached.values()), reached
    assert result["free again"] == 64 * MIB, "the cap is lifted"
    assert isinstance(result["left"], float)
    assert result["left"] < TOLERANCE_MIB, "what was eaten has come back"


HOLES = """
import json
import psutil, torch
from trainables.worker.memory_limit import return_free_memory, worker_memory

worker = worker_memory("cpu", 1)
blocks = [torch.ones(128 * 1024) for _ in range(800)]
last = blocks[-1]
del blocks
return_free_memory()
held_mib = psutil.Process().memory_info().rss / 2**20 - worker.base_mib
print(json.dumps({"held": held_mib, "left": worker.leaked_mib()}))
"""


def test_holes_in_the_heap_that_the_cap_counts_are_left_behind() -> None:
    """400 MiB in blocks below 1 MiB; the last one alone is kept, and with it the end of the heap."""
    result = run_in_a_process(HOLES)
    assert isinstance(result["held"], float) and result["held"] < 32, "the kernel has the rest back"
    assert result["left"] == pytest.approx(400 - SLACK_MIB, abs=32)


def caused(error: Exception, cause: Exception | None = None, context: Exception | None = None) -> Exception:
    error.__cause__, error.__context__ = cause, context
    error.__suppress_context__ = False
    return error


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (caused(ValueError("could not read"), cause=MemoryError()), True),
        (caused(ValueError("could not read"), context=MemoryError()), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (ValueError("out of memory is what this argument is called"), False),
        (caused(ValueError("no"), cause=KeyError("k"), context=MemoryError()), False),
    ],
)
def test_an_out_of_memory_is_told_from_other_failures(error: Exception, is_it: bool) -> None:
    assert is_out_of_memory(error) is is_it


def test_the_limit_is_the_reservation_and_goes_with_the_block() -> None:
    worker = WorkerMemory.measured("cpu")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    reservation_mib = int(worker.base_mib) + 4096
    for error in (None, KeyError("a bug")):
        try:
            with MemoryCap(reservation_mib, worker) as cap:
                soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
                assert soft == int((reservation_mib + SLACK_MIB + worker.untouched_mib) * MIB)
                assert hard == before[1], "the soft limit only: it has to be moved again"
                if error:
                    raise error
        except KeyError:
            assert cap.used_mib == pytest.approx(worker.base_mib, abs=64)
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_limit_that_was_set_since_stays() -> None:
    worker = WorkerMemory.measured("cpu")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    reservation_mib = int(worker.base_mib) + 4096
    cap = MemoryCap(reservation_mib, worker)
    given = ((reservation_mib + 2048) * MIB, before[1])
    try:
        resource.setrlimit(resource.RLIMIT_DATA, given)
        with cap:
            assert resource.getrlimit(resource.RLIMIT_DATA) != given
        assert resource.getrlimit(resource.RLIMIT_DATA) == given, "set before the block, after the cap was made"
        with cap:
            resource.setrlimit(resource.RLIMIT_DATA, (given[0] + MIB, before[1]))
        assert resource.getrlimit(resource.RLIMIT_DATA)[0] == given[0] + MIB, "set by the block itself"
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def test_a_process_that_exceeds_its_reservation_by_itself_says_so() -> None:
    worker = WorkerMemory("cpu", base_mib=500.0, untouched_mib=0.0)
    cap = MemoryCap(400, worker)
    with pytest.raises(ReservationError, match=r"alone holds 500 MiB.* may use 400 MiB"):
        cap.__enter__()
    assert is_out_of_memory(ReservationError())
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("used", "peak", "close"), [(0, 949, False), (0, 950, True), (951, None, True), (0, None, False)]
)
def test_close_to_the_cap_is_within_a_twentieth(used: float, peak: float | None, close: bool) -> None:
    cap = MemoryCap(1000, WorkerMemory("cpu", base_mib=500.0, untouched_mib=0.0))
    cap.used_mib = used
    assert cap.is_close(peak) is close


def test_what_a_trial_leaves_behind_is_seen_but_not_what_is_kept_on_purpose() -> None:
    return_free_memory()
    worker = WorkerMemory.measured("cpu")
    assert worker.leaked_mib() < 16
    with worker.keeping():
        data = torch.ones(64 * MIB)
    assert worker.leaked_mib() < 16
    forgotten = torch.ones(64 * MIB)
    assert worker.leaked_mib() == pytest.approx(256, abs=16)
    del data, forgotten


def test_an_environment_that_makes_the_cap_inexact_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    cap = MemoryCap(10_000, WorkerMemory("cpu", base_mib=500.0, untouched_mib=0.0))
    for name, value in ALLOCATOR_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert cap.remarks() == []
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    (remark,) = cap.remarks()
    assert "without MALLOC_TRIM_THRESHOLD_=134217728 in its environment" in remark


# --- a trial under its cap ---


@pytest.fixture
def base_mib() -> Iterator[float]:
    """Memory of this process as a worker sees it that starts now."""
    worker_memory.cache_clear()
    yield worker_memory("cpu", 1).base_mib
    worker_memory.cache_clear()


def test_the_cap_holds_while_the_trial_runs_and_no_longer(
    tmp_path: Path, base_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_mib = int(base_mib) + 4096
    before, during = resource.getrlimit(resource.RLIMIT_DATA), set()
    original = Trainer._train_one_step

    def looks(trainer: Trainer) -> None:
        during.add(resource.getrlimit(resource.RLIMIT_DATA)[0])
        original(trainer)

    monkeypatch.setattr(Trainer, "_train_one_step", looks)
    capped = Attempt(small_assignment(tmp_path, memory_mib=memory_mib))
    events = list(capped.events())
    assert events[0]["cap_mib"] == memory_mib
    assert "cap_mib" not in events[0]["numerics"], "a cap moves no bit"
    assert [event["suspected"] for event in events[1:]] == [False] * 3
    assert events[-1]["outcome"] == "finished", events[-1]
    assert all(memory_mib * 2**20 < limit < (memory_mib + 2048) * 2**20 for limit in during), during
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert capped.recycle_reason() == ""

    uncapped = list(Attempt(small_assignment(tmp_path / "uncapped")).events())
    assert computed(events[1:]) == computed(uncapped[1:])

    abandoned = Attempt(small_assignment(tmp_path / "abandoned", memory_mib=memory_mib)).events()
    next(abandoned)
    del abandoned
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.parametrize(("room_mib", "suspected"), [(8, True), (4096, False)])
def test_any_failure_near_the_cap_may_be_one_of_memory(
    room_mib: int, suspected: bool, tmp_path: Path, base_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(trainer: Trainer) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(Trainer, "_train_one_step", fails)
    memory_mib = int(base_mib) + room_mib
    failed = Attempt(small_assignment(tmp_path, memory_mib=memory_mib))
    last = list(failed.events())[-1]
    assert (last["outcome"], last["suspected"]) == ("oom" if suspected else "crashed", suspected)
    assert "could not create a primitive" in last["message"]
    assert (f"may use {memory_mib} MiB and used " in last["message"]) is suspected
    assert ("maybe for lack of memory" in last["message"]) is suspected
    assert failed.recycle_reason() == ("its trial ran out of memory" if suspected else "")


def test_a_reservation_below_the_process_is_an_out_of_memory_with_numbers(tmp_path: Path, base_mib: float) -> None:
    (event,) = Attempt(small_assignment(tmp_path, memory_mib=int(base_mib) - 1)).events()
    assert (event["outcome"], event["suspected"]) == ("oom", False)
    assert f"this process alone holds {base_mib:.0f} MiB" in event["message"]
    assert "set resources.micro_batch_size lower" in event["message"]


def test_a_trial_that_leaves_memory_behind_costs_its_process(
    tmp_path: Path, base_mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[torch.Tensor] = []
    original = Trainer._train_one_step

    def leaks(trainer: Trainer) -> None:
        kept.append(torch.ones(8 * 2**20))
        original(trainer)

    monkeypatch.setattr(Trainer, "_train_one_step", leaks)
    leaky = Attempt(small_assignment(tmp_path, memory_mib=int(base_mib) + 4096))
    assert list(leaky.events())[-1]["outcome"] == "finished"
    assert leaky.recycle_reason().startswith("its trial left ")
    assert int(leaky.recycle_reason().split()[3]) == pytest.approx(12 * 32, abs=64)
    kept.clear()
    assert leaky.recycle_reason() == ""


def test_a_system_that_cannot_cap_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "is_enforced", lambda device: False)
    events = list(Attempt(small_assignment(tmp_path, memory_mib=100)).events())
    assert (events[0]["cap_mib"], events[-1]["outcome"]) == (None, "finished")
    assert "not capped: this system" in (tmp_path / "seed=0" / "log.txt").read_text(encoding="utf-8")
