"""Configurations with `fidelity: as_published` give what the authors' own modules gave."""

from __future__ import annotations

import pytest

from tests.parity.row import Row
from tests.parity.rows import ROWS


@pytest.mark.parametrize("row", [pytest.param(row, id=row.what) for row in ROWS])
def test_as_published_is_as_published(row: Row) -> None:
    differences = row.measure()
    assert row.agrees(differences), differences
