"""What the `kuramoto` configuration resolves, declares and drops, and that it reaches the layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.architectures.kuramoto.config import AS_PUBLISHED, KuramotoConfig
from trainables.randomness import initialise

SMALL: dict[str, Any] = {"d_model": 16, "num_layers": 2, "num_heads": 2}


def kuramoto(**fields: Any) -> KuramotoConfig:
    return KuramotoConfig.model_validate({**SMALL, **fields})


def forward_twice(config: KuramotoConfig) -> tuple[Tensor, Tensor]:
    model = config.build(vocab_size=11, max_seq_len=8)
    initialise(model, 0)
    model.train()
    tokens_BT = torch.arange(8).view(1, 8)
    return model(tokens_BT).logits_BTV, model(tokens_BT).logits_BTV


def test_fidelity_sets_the_defaults() -> None:
    corrected, published = kuramoto(), kuramoto(fidelity="as_published")
    switches = ("causal", "sign", "readout", "controls_act")
    assert [getattr(corrected, name) for name in switches] == [True, "attractive", "cos_sin", True]
    assert [getattr(published, name) for name in switches] == [False, "repulsive", "angle", False]
    switches = ("learn_coupling", "num_steps", "dt", "bias", "residual_init")
    assert [getattr(corrected, name) for name in switches] == [True, 10, 0.1, False, "scaled"]
    assert [getattr(published, name) for name in switches] == [True, 10, 0.1, True, "plain"]


def test_published_phases_start_with_a_bias_and_all_matrices_at_one_scale() -> None:
    model = kuramoto(fidelity="as_published", d_model=128).build(vocab_size=65, max_seq_len=64)
    initialise(model, 0)
    parameters = dict(model.named_parameters())
    assert "blocks.1.mixer.to_phase.bias" in parameters
    for name, parameter in parameters.items():
        if name.endswith("weight") and parameter.ndim == 2:
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.03), name


def test_each_switch_can_be_given_by_itself() -> None:
    twin = kuramoto(fidelity="as_published", causal=True)
    assert (twin.causal, twin.sign, twin.readout) == (True, "repulsive", "angle")
    assert twin.violates == frozenset()
    other: dict[str, Any] = {
        "causal": True,
        "sign": "attractive",
        "readout": "cos_sin",
        "controls_act": True,
        "coherence_layers": "all",
        "learn_coupling": False,
        "num_steps": 5,
        "dt": 0.2,
        "bias": False,
        "residual_init": "scaled",
    }
    assert other.keys() == AS_PUBLISHED.keys()
    assert kuramoto(fidelity="as_published", **other).model_dump(include=other.keys()) == other


def test_fidelity_is_only_a_name_for_its_fields() -> None:
    spelled_out = kuramoto(
        causal=False,
        sign="repulsive",
        readout="angle",
        controls_act=False,
        bias=True,
        residual_init="plain",
    )
    assert spelled_out.canonical() == kuramoto(fidelity="as_published").canonical()
    assert spelled_out.canonical() != kuramoto().canonical()


@pytest.mark.parametrize(
    ("fields", "leaks"),
    [
        ({}, True),
        ({"coupling": 0.0}, True),
        ({"learn_coupling": False}, True),
        ({"coupling": 0.0, "learn_coupling": False}, False),
        ({"coupling": 0.0, "learn_coupling": False, "phase_weight": 0.5}, True),
        ({"phase_layers": []}, False),
        ({"causal": True}, False),
    ],
)
def test_violates_causality_where_the_coupling_can_act(fields: dict[str, Any], leaks: bool) -> None:
    expected = frozenset({"causality"} if leaks else ())
    assert kuramoto(fidelity="as_published", **fields).violates == expected


@pytest.mark.parametrize(
    ("fields", "invariant"),
    [
        ({}, True),
        ({"dropout": 0.1}, False),
        ({"phase_noise": 0.03}, False),
        ({"frequency_jitter": 0.02}, False),
        ({"coherence_weight": 0.1}, False),
        ({"coherence_weight": 0.1, "controls_act": False}, True),
        ({"phase_noise": 0.03, "phase_layers": []}, True),
    ],
)
def test_microbatch_invariant(fields: dict[str, Any], invariant: bool) -> None:
    assert kuramoto(**fields).microbatch_invariant is invariant


@pytest.mark.parametrize(
    ("fields", "other"),
    [
        ({"coupling": 0.0, "learn_coupling": False}, {"sign": "repulsive", "causal": False}),
        (
            {"coherence_weight": 0.0},
            {"coherence_target": 0.3, "coherence_form": "band", "coherence_layers": "last"},
        ),
        ({"coherence_weight": 0.1}, {"coherence_layers": "last"}),
        ({"controls_act": False}, {"phase_noise": 0.1, "frequency_jitter": 0.1, "coherence_weight": 1.0}),
        ({}, {"controls_act": False}),
        (
            {"phase_layers": []},
            {"num_oscillators": 7, "coupling": 2.0, "readout": "angle", "phase_noise": 1.0},
        ),
    ],
)
def test_fields_without_effect_are_dropped(fields: dict[str, Any], other: dict[str, Any]) -> None:
    """Equal canonical forms, and really equal results: bit-equal logits and gradients."""
    first, second = kuramoto(**fields), kuramoto(**{**fields, **other})
    assert first != second
    assert first.canonical() == second.canonical()
    torch.testing.assert_close(forward_twice(first)[0], forward_twice(second)[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "other",
    [
        {"sign": "repulsive"},
        {"causal": False},
        {"readout": "angle"},
        {"coupling": 2.0},
        {"learn_coupling": False},
        {"num_steps": 5},
        {"dt": 0.2},
        {"num_oscillators": 8},
        {"phase_layers": [0]},
        {"phase_noise": 0.1},
        {"frequency_jitter": 0.1},
        {"coherence_weight": 0.1},
        {"frequency_std": 0.2},
        {"phase_weight": 0.5},
        {"padding_token": 3},
    ],
    ids=str,
)
def test_fields_with_an_effect_are_kept(other: dict[str, Any]) -> None:
    assert kuramoto().canonical() != kuramoto(**other).canonical()


@pytest.mark.parametrize("field", ["coherence_target", "coherence_form"])
def test_details_of_an_acting_regulariser_are_kept(field: str) -> None:
    value = {"coherence_target": 0.3, "coherence_form": "band"}[field]
    first = kuramoto(coherence_weight=0.1)
    assert first.canonical() != kuramoto(coherence_weight=0.1, **{field: value}).canonical()


def test_the_regulariser_may_be_of_the_last_layer_alone() -> None:
    fields: dict[str, Any] = {"phase_layers": [0, 1], "coherence_weight": 0.1, "coherence_target": 0.0}
    all_layers, last = kuramoto(**fields), kuramoto(**fields, coherence_layers="last")
    assert all_layers.canonical() != last.canonical()
    tokens_BT = torch.arange(8).view(1, 8)
    of_all, of_last = (built(config)(tokens_BT).penalty.detach() for config in (all_layers, last))
    assert of_all > of_last > 0
    assert [built(last).blocks[layer].mixer.coherence is None for layer in (0, 1)] == [True, False]


def built(config: KuramotoConfig) -> Any:
    model = config.build(vocab_size=11, max_seq_len=8)
    initialise(model, 0)
    return model


def test_the_spread_of_the_frequencies_is_a_field() -> None:
    config = kuramoto(frequency_std=0.5, num_oscillators=500)
    (spread,) = [p.detach().std() for name, p in built(config).named_parameters() if "frequency" in name]
    assert float(spread) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("control", ["phase_noise", "frequency_jitter"])
@pytest.mark.parametrize("fidelity", ["corrected", "as_published"])
def test_noise_acts_in_corrected_only(fidelity: str, control: str) -> None:
    first, again = forward_twice(kuramoto(fidelity=fidelity, **{control: 0.3}))
    assert torch.equal(first, again) is (fidelity == "as_published")


@pytest.mark.parametrize(("fidelity", "teaches"), [("corrected", True), ("as_published", False)])
def test_regulariser_reaches_the_training_in_corrected_only(fidelity: str, teaches: bool) -> None:
    config = kuramoto(fidelity=fidelity, coherence_weight=0.1, coherence_form="centre")
    model = config.build(vocab_size=11, max_seq_len=8)
    initialise(model, 0)
    penalty = model(torch.arange(8).view(1, 8)).penalty
    assert float(penalty.detach()) > 0
    assert penalty.requires_grad is teaches


@pytest.mark.parametrize("checkpoint_blocks", [False, True])
def test_masked_padding_pulls_nobody(checkpoint_blocks: bool) -> None:
    """As published a line's tokens see how much padding follows them, unless it is masked."""
    changes = []
    for token in (0, None):
        config = kuramoto(
            fidelity="as_published", phase_layers=[0, 1], padding_token=token, checkpoint_blocks=checkpoint_blocks
        )
        model = built(config).double()
        with torch.no_grad():
            for block in model.blocks:
                block.mixer.to_phase.weight.mul_(30)
        short, long = (
            model(torch.tensor([[0, 3, 5, 7, 2, 9, *[0] * padding]])).logits_BTV[:, :6].detach()
            for padding in (0, 2)
        )
        changes.append(float((short - long).abs().max()))
    masked, unmasked = changes
    assert masked < 1e-12
    assert unmasked > 1e-4
