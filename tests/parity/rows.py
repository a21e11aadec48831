"""All rows of the table, in the order in which they are printed."""

from __future__ import annotations

from tests.parity import (
    initial_weights,
    kuramoto,
    optimisers,
    phase_alignment,
    projection,
    readout,
    resonant_blocks,
    synthetic,
    tpi,
)
from tests.parity.row import Row

ROWS: tuple[Row, ...] = (
    *resonant_blocks.ROWS,
    *initial_weights.ROWS,
    *phase_alignment.ROWS,
    *projection.ROWS,
    *readout.ROWS,
    *kuramoto.ROWS,
    *optimisers.ROWS,
    *tpi.ROWS,
    *synthetic.ROWS,
)
