"""The cap on a GPU: a greedy trial fails alone beside good ones. Needs what trainables need, and pytest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.machine.trial_process import TrialProcess, computed, trial_process
from tests.support.models.configs import small_config
from trainables.config.trial import TrialConfig
from trainables.units import MIB
from trainables.worker.assignment import Assignment
from trainables.worker.memory_limit import MemoryCap, ReservationError, WorkerMemory, is_out_of_memory
from trainables.worker.peak_memory import PeakMemory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

CONTEXT_MIB = 512.0
"""About what the context takes; a cap is exact in what the allocator may reserve beside it."""


def assignment(folder: Path, config: TrialConfig, memory_mib: int) -> Assignment:
    return Assignment(
        config_id="abc",
        seed=0,
        config=config.model_dump(mode="json"),
        data_hash=config.task.build(None).data_hash,
        data_dir=None,
        replicate_dir=str(folder / "seed=0"),
        device="cuda",
        threads=1,
        micro_batch_size=None,
        deterministic=True,
        report_timeout_seconds=600.0,
        memory_mib=memory_mib,
        context_mib=CONTEXT_MIB,
    )


def greedy(folder: Path) -> Assignment:
    """Return a trial that needs gigabytes, for activations, and may use one."""
    config = small_config(
        architecture={"d_model": 256},
        task={"context_length": 128},
        optimizer={"warmup_steps": 0},
        budget={"steps": 1, "report_every": 1, "batch_size": 2048},
    )
    return assignment(folder, config, 1536)


def good(folder: Path) -> Assignment:
    return assignment(folder, small_config(budget={"steps": 60, "report_every": 10}), 1024)


@pytest.mark.timeout(300)
def test_a_greedy_trial_fails_alone_beside_two_good_ones(tmp_path: Path) -> None:
    with trial_process("cuda") as solo:
        solo.begin(good(tmp_path / "solo"))
        alone = [solo.event(), *solo.rest()]
        assert alone[-1]["outcome"] == "finished", alone[-1]
        assert solo.end() == ""
    with trial_process("cuda") as one, trial_process("cuda") as other, trial_process("cuda") as eater:
        beside: dict[TrialProcess, list[dict[str, Any]]] = {trial: [] for trial in (one, other)}
        for name, trial in zip(("one", "other"), beside, strict=True):
            trial.begin(good(tmp_path / name))
            beside[trial].append(trial.event())
            trial.go_on()
        eater.begin(greedy(tmp_path / "greedy"))
        started, last = eater.event(), eater.rest()[-1]
        assert started["cap_mib"] == 1536
        assert (last["outcome"], last["suspected"]) == ("oom", False), last
        assert last["peak_memory_mib"] <= 1536
        assert "may use 1536 MiB and used " in last["message"]
        assert eater.end() == "its trial ran out of memory"
        for trial, events in beside.items():
            events.append(trial.event())
            events.extend(trial.rest())
            assert trial.end() == ""
            assert events[0]["numerics"] == alone[0]["numerics"]
            assert events[-1]["outcome"] == "finished", events[-1]
            assert computed(events[1:]) == computed(alone[1:])


def test_the_cap_counts_what_the_allocator_reserves_and_goes_with_the_block() -> None:
    torch.cuda.empty_cache()
    worker = WorkerMemory.measured("cuda")
    reservation_mib = int(worker.base_mib + CONTEXT_MIB) + 256
    peak = PeakMemory("cuda", CONTEXT_MIB)
    cap = MemoryCap(reservation_mib, worker, context_mib=CONTEXT_MIB)
    held = []
    with pytest.raises(torch.OutOfMemoryError) as caught, cap:
        while True:
            held.append(torch.empty(16 * MIB, dtype=torch.uint8, device="cuda"))
    assert is_out_of_memory(caught.value)
    assert 12 <= len(held) <= 16
    assert cap.is_close(peak.mib())
    assert peak.mib() <= reservation_mib
    assert worker.leaked_mib() >= 192
    held += [torch.empty(512 * MIB, dtype=torch.uint8, device="cuda")]  # the cap is lifted
    del held, caught
    torch.cuda.empty_cache()
    assert worker.leaked_mib() < 32


def test_a_reservation_below_the_context_is_refused() -> None:
    cap = MemoryCap(256, WorkerMemory.measured("cuda"), context_mib=CONTEXT_MIB)
    with pytest.raises(ReservationError, match="may use 256 MiB"):
        cap.__enter__()
