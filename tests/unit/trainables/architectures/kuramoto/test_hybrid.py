"""The hybrid of oscillators and attention: a weighted sum of both, equal to their slow definitions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trainables.architectures.kuramoto.config import KuramotoConfig
from trainables.architectures.kuramoto.hybrid import HybridMixer
from trainables.contract.architectures import REFERENCE_LENGTHS, compare_with_reference
from trainables.randomness import initialise


def hybrid(**fields: Any) -> HybridMixer:
    config = KuramotoConfig.model_validate(
        {"d_model": 8, "num_layers": 1, "num_heads": 2, "num_oscillators": 2, "phase_weight": 0.3, **fields}
    )
    mixer = config.build_mixer(0)
    assert isinstance(mixer, HybridMixer)
    initialise(mixer, 0)
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.mul_(10)
    return mixer.double().eval()


@pytest.mark.parametrize("fidelity", ["corrected", "as_published"])
@pytest.mark.parametrize("length", REFERENCE_LENGTHS)
def test_equals_the_definitions_of_both(fidelity: str, length: int) -> None:
    compare_with_reference(hybrid(fidelity=fidelity), torch.randn(1, length, 8, dtype=torch.float64))


def test_is_the_weighted_sum_of_its_parts() -> None:
    layer, x_BTD = hybrid(), torch.randn(2, 5, 8, dtype=torch.float64)
    attended, phased = layer.attention(x_BTD).y_BTD, layer.phases(x_BTD).y_BTD
    torch.testing.assert_close(layer(x_BTD).y_BTD, 0.7 * attended + 0.3 * phased, rtol=0, atol=1e-12)
    assert (attended - phased).abs().max() > 0.01


@pytest.mark.parametrize(("fidelity", "sees"), [("corrected", False), ("as_published", True)])
def test_its_attention_sees_the_future_only_as_published(fidelity: str, sees: bool) -> None:
    layer = hybrid(fidelity=fidelity, coupling=0.0, learn_coupling=False)
    x_BTD = torch.randn(1, 6, 8, dtype=torch.float64)
    other_BTD = x_BTD.clone()
    other_BTD[:, -1] += 1.0
    change = (layer(x_BTD).y_BTD - layer(other_BTD).y_BTD)[:, :-1].abs().max()
    assert bool(change > 1e-6) is sees


def test_continues_from_the_states_of_both_unless_it_sees_the_future() -> None:
    x_BTD = torch.randn(2, 6, 8, dtype=torch.float64)
    layer, parts, state = hybrid(), [], None
    for part_BTD in x_BTD.split([1, 3, 2], dim=1):
        found = layer.stream(part_BTD, state)
        assert found is not None
        parts.append(found[0])
        state = found[1]
    torch.testing.assert_close(torch.cat(parts, 1), layer(x_BTD).y_BTD, rtol=0, atol=1e-12)
    published = hybrid(fidelity="as_published")
    assert published.stream(x_BTD) is published.attention.stream(x_BTD) is None
