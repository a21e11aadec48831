"""One finished sweep for all tests that look at one: run once a session, whichever process of pytest asks first."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.support.sweeps.studies import phasesweep

STUDY = ("quickstart", "--scale", "smoke")
ARMS = ("transformer", "kuramoto_K1", "kuramoto_K0", "mean_pool")
SEEDS = 2
REPLICATES = len(ARMS) * SEEDS


@dataclass(frozen=True)
class FinishedSweep:
    """What `phasesweep run` of the study `quickstart` at smoke scale has left."""

    folder: Path
    """Where it was run; `results/` is in it. Shared by all tests, so none writes to it."""
    out: str
    err: str

    def copy_to(self, folder: Path) -> Path:
        """Copy all that it left into `folder`, which must not exist yet; return the folder."""
        shutil.copytree(self.folder, folder)
        return folder


def finished_sweep(factory: pytest.TempPathFactory) -> FinishedSweep:
    """Run the sweep with the installed command, on a real Ray; or return what another process has run."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # above the folders of pytest's processes
    said = shared / "finished_sweep.json"
    folder = shared / "finished_sweep"
    with FileLock(shared / "finished_sweep.lock"):
        if not said.exists():
            folder.mkdir()
            done = phasesweep(["run", *STUDY], folder)
            said.write_text(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr}))
    found: Mapping[str, str] = json.loads(said.read_text())
    assert found["code"] == 0, found["out"] + found["err"]
    return FinishedSweep(folder, found["out"], found["err"])
