"""How much a study may ask for: beyond these nothing is planned, let alone run."""

from __future__ import annotations

MAX_SEEDS = 10_000
MAX_REPLICATES = 1_000_000
"""More would take minutes and gigabytes only to be named."""
