"""Probes of encodings: what a model with one reports, equal for every seed."""

from __future__ import annotations

import pytest

from trainables.diagnostics.closed_forms import ENCODINGS, vectors_of
from trainables.diagnostics.diagnosis import diagnose
from trainables.diagnostics.probes import PROBED_POSITIONS, PROBES, encoding_probes
from trainables.layers.encodings.fields import EncodingConfig


@pytest.mark.parametrize("name", ["pi", "rope", "prng_table", "multi", "alibi"])
def test_they_are_the_diagnosis_of_the_encoding(name: str) -> None:
    found = encoding_probes(ENCODINGS[name], 16)
    whole = diagnose(vectors_of(ENCODINGS[name], 16), PROBED_POSITIONS)
    assert found["probe/collision_rate"] == whole.collisions.rate
    assert found.get("probe/recurrence_lag") == whole.recurrence_lag
    assert found.get("probe/spectral_flatness") == whole.flatness
    assert found.get("probe/phase_discrepancy") == whole.discrepancy
    assert found.keys() <= {metric.name for metric in PROBES}
    assert ("probe/spectral_flatness" in found) == ("probe/spectral_flatness_null" in found)


def test_they_are_declared_exact() -> None:
    assert all(metric.exact for metric in PROBES)


def test_an_encoding_without_a_closed_form_has_none() -> None:
    assert encoding_probes(EncodingConfig(scheme="learned"), 16) == {}
    assert encoding_probes(EncodingConfig(scheme="hybrid", applied="added"), 16) == {}


def test_a_channel_without_a_partner_does_not_count() -> None:
    added = EncodingConfig(scheme="spiral", applied="added")
    assert encoding_probes(added, 17) == encoding_probes(added, 16) == encoding_probes(added, 1)
