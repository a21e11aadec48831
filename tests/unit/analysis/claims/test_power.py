"""What claims can detect: with one seed nothing, unless the metric follows from the configuration."""

from __future__ import annotations

import pytest

from analysis.claims.claim import Claim
from analysis.claims.power import detectable_effect

COMPARED = {"id": "C", "statement": "it works", "source": "a paper", "settled_at": "laptop", "metric": "val/a"}


@pytest.mark.parametrize(
    ("num_seeds", "is_exact", "is_possible"), [(1, False, False), (1, True, True), (5, False, True)]
)
def test_one_seed_settles_what_is_exact_and_nothing_else(num_seeds: int, is_exact: bool, is_possible: bool) -> None:
    claim = Claim.from_mapping({**COMPARED, "kind": "superiority", "arm": "a", "against": "b"})
    found = detectable_effect(claim, num_seeds, is_exact=is_exact)
    assert found.is_possible == is_possible
    assert (found.value is None) == (num_seeds == 1)
