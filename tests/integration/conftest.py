"""What several integration tests look at."""

from __future__ import annotations

import pytest

from tests.support.sweeps.finished_sweep import FinishedSweep, finished_sweep


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedSweep:
    """A sweep that has run, one for the whole session: copy it before changing anything in it."""
    return finished_sweep(tmp_path_factory)
