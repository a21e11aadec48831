"""No change of the code changes a loss unless it means to."""

from __future__ import annotations

import json

import pytest

from tests.golden.regenerate import FAMILIES, PATH, losses
from trainables.registry import ARCHITECTURES


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_golden(family: str) -> None:
    """Within 2e-4: processors round differently, and 20 steps amplify little."""
    golden = json.loads(PATH.read_text(encoding="utf-8"))[family]
    assert losses(FAMILIES[family]) == pytest.approx(golden, rel=2e-4)


def test_every_registered_architecture_has_golden_losses() -> None:
    named = {fields.get("name", "transformer") for fields in FAMILIES.values()}
    assert named == set(ARCHITECTURES.names())
    assert set(json.loads(PATH.read_text(encoding="utf-8"))) == set(FAMILIES)
