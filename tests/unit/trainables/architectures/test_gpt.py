from __future__ import annotations

from typing import Any

import pytest
import torch

from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.controls.config import MeanPoolConfig
from trainables.architectures.gpt import TransformerConfig
from trainables.architectures.gpt.model import BackboneModel, num_parameters
from trainables.architectures.kuramoto.config import KuramotoConfig
from trainables.randomness import initialise
from trainables.registry import ARCHITECTURES

FAMILIES = ["transformer", "kuramoto", "mean_pool"]


def build(config: ArchitectureConfig, *, vocab_size: int = 65, max_seq_len: int = 64) -> BackboneModel:
    model = config.build(vocab_size=vocab_size, max_seq_len=max_seq_len)
    assert isinstance(model, BackboneModel)
    initialise(model, 0)
    return model


def test_nano_gpt_has_800_thousand_parameters() -> None:
    assert num_parameters(build(TransformerConfig())) == 804_096


def test_initial_scales_are_those_of_nano_gpt() -> None:
    model = build(TransformerConfig())
    std = {name: float(parameter.detach().std()) for name, parameter in model.named_parameters()}
    for name in ("token_embedding.weight", "position_embedding.weight", "blocks.3.mixer.qkv.weight"):
        assert std[name] == pytest.approx(0.02, rel=0.03), name
    for name in ("blocks.0.mixer.out.weight", "blocks.3.ffn.down.weight"):
        assert std[name] == pytest.approx(0.02 / 8**0.5, rel=0.03), name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("residual_init", "expected"), [("scaled", 0.02 / 8**0.5), ("plain", 0.02)])
def test_residual_init_reaches_every_branch(family: str, residual_init: str, expected: float) -> None:
    model = build(ARCHITECTURES.parse({"name": family, "residual_init": residual_init}))
    last = {
        name: float(parameter.detach().std())
        for name, parameter in model.named_parameters()
        if name.endswith(("mixer.out.weight", "ffn.down.weight"))
    }
    assert len(last) == 8
    assert last == pytest.approx(dict.fromkeys(last, expected), rel=0.03)


def test_gelu_is_exact() -> None:
    model = build(TransformerConfig())
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    exact = 0.5 * x * (1 + torch.erf(x / 2**0.5))
    torch.testing.assert_close(model.blocks[0].ffn.gelu(x), exact)  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("budget", [300_000, 804_096, 2_000_000])
def test_parameter_budget_is_met(family: str, budget: int, bias: bool) -> None:
    config = ARCHITECTURES.parse({"name": family, "parameter_budget": budget, "bias": bias})
    wider = 4 * (2 * 128 + bias)
    assert abs(num_parameters(build(config)) - budget) <= wider / 2 < 0.01 * budget


def test_parameter_budget_overrides_the_multiplier() -> None:
    first, second = (
        TransformerConfig(parameter_budget=500_000, ffn_multiplier=multiplier) for multiplier in (1.0, 4.0)
    )
    assert num_parameters(build(first)) == num_parameters(build(second))
    assert first.canonical() == second.canonical()
    assert TransformerConfig(ffn_multiplier=1.0).canonical() != TransformerConfig().canonical()


def test_budget_too_small_says_what_the_rest_needs() -> None:
    with pytest.raises(ValueError, match=r"parameter_budget=2,000 is too small.*needs 280,832 at least, 279,808"):
        build(TransformerConfig(parameter_budget=2000))
    with pytest.raises(ValueError, match=r"parameter_budget=1,000 is too small: .* alone need 1,024 at least"):
        TransformerConfig(parameter_budget=1000)


def test_budget_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="needs num_layers >= 1"):
        build(TransformerConfig(num_layers=0, parameter_budget=100_000))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_layers_is_a_model(family: str) -> None:
    model = build(ARCHITECTURES.parse({"name": family, "num_layers": 0}))
    output = model(torch.zeros(2, 5, dtype=torch.long))
    assert output.logits_BTV.shape == (2, 5, 65)
    assert float(output.penalty) == 0.0
    assert model.probes(torch.zeros(2, 5, dtype=torch.long)) == {}


def test_equal_names_start_equal_across_families() -> None:
    control = dict(build(TransformerConfig()).named_parameters())
    treatment = dict(build(KuramotoConfig(phase_layers=(2,))).named_parameters())
    shared = control.keys() & treatment.keys()
    assert {"token_embedding.weight", "blocks.2.ffn.up.weight", "blocks.3.mixer.qkv.weight"} <= shared
    assert all(torch.equal(control[name], treatment[name]) for name in shared - {"blocks.2.mixer.out.weight"})


def test_too_long_a_sequence_is_refused() -> None:
    model = build(TransformerConfig(), max_seq_len=8)
    with pytest.raises(ValueError, match="9 tokens is longer than max_seq_len=8"):
        model(torch.zeros(1, 9, dtype=torch.long))


def test_probes_are_named_by_layer_and_head_and_leave_the_mode_alone() -> None:
    model = build(KuramotoConfig(phase_layers=(1, 3), num_heads=2, dropout=0.5, phase_noise=0.3, coupling=0.5))
    tokens_BT = torch.arange(24).view(2, 12)
    model.train()
    first, again = model.probes(tokens_BT), model.probes(tokens_BT)
    assert model.training
    assert first == again
    places = [f"layer{layer}/head{head}" for layer in (1, 3) for head in (0, 1)]
    for name in ("order_oscillators", "order_positions", "coupling"):
        values = [first[f"probe/{name}/{place}"] for place in places]
        assert first[f"probe/{name}"] == pytest.approx(sum(values) / 4, abs=1e-6)
    assert first["probe/coupling/layer3/head1"] == 0.5
    for name in ("order_oscillators", "order_published"):
        of_layers = [first[f"probe/{name}/layer{layer}"] for layer in (1, 3)]
        assert first[f"probe/{name}"] == pytest.approx(sum(of_layers) / 2, abs=1e-6)
    assert not any("_null/" in name for name in first), "nulls are equal in all layers"
    assert {f"probe/order_{kind}_null" for kind in ("oscillators", "positions", "published")} <= first.keys()
    assert "probe/order_published" in first
    assert not any("/layer0" in name for name in first)
    alone = build(KuramotoConfig(phase_layers=(1,), num_heads=2)).probes(tokens_BT)
    assert "probe/order_published/layer1" not in alone, "the mean over one layer is that layer"


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        ("kuramoto", {"phase_layers": ["1"]}, "valid integer"),
        ("kuramoto", {"phase_layers": [1.0]}, "valid integer"),
        ("kuramoto", {"phase_layers": [True]}, "valid integer"),
        ("kuramoto", {"phase_layers": "12"}, "valid tuple"),
        ("kuramoto", {"phase_layers": [1, 1]}, "names a layer twice"),
        (
            "kuramoto",
            {"phase_layers": [4]},
            "phase_layers names layer 4, but num_layers=4: layers are 0 to 3",
        ),
        ("kuramoto", {"phase_layers": [-1]}, "names layer -1"),
        ("kuramoto", {"num_layers": 0, "phase_layers": [0]}, "there are no layers"),
        ("kuramoto", {"num_layers": "4"}, "valid integer"),
        ("kuramoto", {"couplings": 1.0}, "Extra inputs"),
        ("kuramoto", {"coupling": -1.0}, "greater than or equal to 0"),
        ("mean_pool", {"pool_layers": [9]}, "pool_layers names layer 9"),
        ("transformer", {"num_heads": 3}, "must divide"),
    ],
)
def test_bad_fields_are_refused(family: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ARCHITECTURES.parse({"name": family, **fields})


def test_middle_layer_is_the_default() -> None:
    assert KuramotoConfig().phase_layers == (2,)
    assert KuramotoConfig(num_layers=12).phase_layers == (6,)
    assert KuramotoConfig(num_layers=1).phase_layers == (0,)
    assert MeanPoolConfig(num_layers=2).pool_layers == (1,)
    assert ARCHITECTURES.parse({"name": "kuramoto", "phase_layers": [3, 1]}).phase_layers == (1, 3)


def test_canonical_mean_pool_without_pool_layers_has_no_width() -> None:
    narrow, wide = (MeanPoolConfig(pool_layers=(), pool_width=width) for width in (8, 16))
    assert narrow.canonical() == wide.canonical()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointed_blocks_have_the_same_gradients_and_keep_less(family: str, precision: torch.dtype) -> None:
    """Bit for bit, with dropout and noise drawn again as they were, and penalties."""
    fields: dict[str, Any] = {"name": family, "dropout": 0.1, "d_model": 32}
    if family == "kuramoto":
        fields |= {"phase_noise": 0.1, "coherence_weight": 0.5, "coherence_target": 0.0, "num_oscillators": 4}
    gradients, kept = [], []
    for chosen in (False, True):
        config = ARCHITECTURES.parse({**fields, "checkpoint_blocks": chosen})
        model = build(config)
        sizes: list[int] = []

        def count(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        torch.manual_seed(0)
        tokens_BT = torch.randint(65, (4, 64), generator=torch.Generator().manual_seed(1))
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                output = model(tokens_BT)
                loss = output.logits_BTV.float().square().mean() + output.penalty
            kept.append(sum(sizes))
        loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert config.canonical() == ARCHITECTURES.parse(fields).canonical()
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert gradient is not None and torch.equal(gradient, gradients[1][name]), name  # type: ignore[arg-type]
    assert kept[1] < kept[0] / 3
