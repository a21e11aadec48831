"""What is checked before anything starts, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.inventory import GpuGroup, Inventory
from sweeps.errors import UserError
from sweeps.run import driver
from tests.support.sweeps.studies import write_study

GPU = GpuGroup(kind="NVIDIA", memory_mib=80_000, free_mib=80_000, count=1)
ON_A_GPU = "resources.gpus_per_trial=1.0"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Inventory]:
    """Be on a machine with a GPU; return the inventories whose CUDA context is measured, which takes seconds."""
    measured: list[Inventory] = []

    def with_contexts(inventory: Inventory) -> Inventory:
        measured.append(inventory)
        return inventory

    machine = Inventory(cpus=4, memory_mib=16_000, gpus=(GPU,))
    monkeypatch.setattr(driver, "local_inventory", lambda: machine)
    monkeypatch.setattr(driver, "with_contexts", with_contexts)
    monkeypatch.setenv("PHASESWEEP_RESULTS", str(tmp_path / "results"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return measured


def test_a_mistake_is_found_before_a_gpu_is_opened(opened: list[Inventory], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        driver.prepare(str(write_study(tmp_path)), "laptop", [ON_A_GPU, "task.corpus=file:nowhere.txt"])
    assert opened == []


@pytest.mark.parametrize(
    ("sets", "gpus", "times"), [([ON_A_GPU], None, 1), ([], None, 0), ([ON_A_GPU], "1x24GiB", 0)]
)
def test_only_a_gpu_that_is_here_and_used_is_opened(
    opened: list[Inventory], tmp_path: Path, sets: list[str], gpus: str | None, times: int
) -> None:
    driver.prepare(str(write_study(tmp_path)), "laptop", sets, gpus=gpus)
    assert len(opened) == times
