"""No change of the code changes a loss unless it means to."""

from __future__ import annotations

import itertools
import json
from typing import Any, get_args

import pytest
import torch

from tests.golden.regenerate import FAMILIES, PATH, STEPS, losses
from trainables.registry import ARCHITECTURES

GOLDEN: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
TOLERANCE = 2e-4
"""Relative. Processors and versions of torch round differently, and 20 steps amplify that little."""


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_golden(family: str) -> None:
    written = f"written with torch {GOLDEN['torch']}, this is {torch.__version__}"
    assert losses(FAMILIES[family]) == pytest.approx(GOLDEN["losses"][family], rel=TOLERANCE), written


def test_every_architecture_has_golden_losses_in_every_fidelity() -> None:
    for name in filter(lambda one: ARCHITECTURES.get(one).learns, ARCHITECTURES.names()):
        declared = ARCHITECTURES.get(name).model_fields.get("fidelity")
        own = [fields for fields in FAMILIES.values() if fields.get("name", "transformer") == name]
        assert own, name
        if declared is not None:
            default = declared.default
            assert {fields.get("fidelity", default) for fields in own} == set(get_args(declared.annotation)), name
    assert {family: len(values) for family, values in GOLDEN["losses"].items()} == dict.fromkeys(FAMILIES, STEPS)


def test_golden_losses_tell_the_families_apart() -> None:
    """Else one could take another's place within the tolerance, and nobody would see it."""
    for (one, first), (other, second) in itertools.combinations(GOLDEN["losses"].items(), 2):
        furthest = max(abs(a / b - 1) for a, b in zip(first, second, strict=True))
        assert furthest > 10 * TOLERANCE, (one, other)
