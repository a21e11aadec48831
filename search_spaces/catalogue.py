"""The search spaces of this repository, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from search_spaces import kuramoto, resonant, tpi, training
from search_spaces.space import SearchSpace

SPACES: Mapping[str, SearchSpace] = MappingProxyType(
    {
        "kuramoto.rerun": kuramoto.PHASE_A_GRID,
        "kuramoto.search": kuramoto.SEARCH,
        "resonant.search": resonant.SEARCH,
        "resonant.training": resonant.TRAINING,
        "tpi.search": tpi.SEARCH,
        "training": training.TRAINING,
    }
)
