"""The `tpi` configuration: its variants, what it declares and drops, its probes; and the recurrent controls."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.tpi import SEARCH, VARIANTS
from trainables.architectures.base.model import LanguageModel
from trainables.architectures.base.parameters import count_parameters
from trainables.architectures.controls.config import RecurrentConfig
from trainables.architectures.gpt import BackboneConfig, TransformerConfig
from trainables.architectures.gpt.model import BackboneModel
from trainables.architectures.tpi.config import AS_PUBLISHED, TPIConfig
from trainables.architectures.tpi.model import gradient_ratios
from trainables.randomness import initialise
from trainables.registry import ARCHITECTURES

SMALL: dict[str, Any] = {"d_model": 8, "num_layers": 2, "num_heads": 2, "ffn_multiplier": 1.0}
VOCAB_SIZE = 11


def tpi(**fields: Any) -> TPIConfig:
    return TPIConfig.model_validate({**SMALL, **fields})


def built(config: BackboneConfig, *, max_seq_len: int = 12) -> BackboneModel:
    model: LanguageModel = config.build(vocab_size=VOCAB_SIZE, max_seq_len=max_seq_len)
    assert isinstance(model, BackboneModel)
    initialise(model, 0)
    return model


def logits(config: BackboneConfig) -> Tensor:
    with torch.no_grad():
        logits_BTV: Tensor = built(config)(torch.arange(12).view(1, 12) % VOCAB_SIZE).logits_BTV
    return logits_BTV


@pytest.mark.parametrize(
    ("fields", "logged"),
    [
        ({"variant": "v2_expansion", "decay": "learned"}, 2_959_880),
        ({"variant": "v0_atan2", "ffn_multiplier": 1.0}, 1_255_936),
        ({"variant": "v0_atan2", "num_layers": 20}, 2_375_168),
    ],
)
def test_published_models_have_the_parameters_that_their_logs_say(fields: dict[str, Any], logged: int) -> None:
    config = TPIConfig.model_validate({"fidelity": "as_published", "num_layers": 8, "d_model": 128, **fields})
    assert count_parameters(config, vocab_size=256, max_seq_len=256) == logged


def test_fidelity_and_variant_set_defaults_that_can_be_given() -> None:
    plain, published = TPIConfig(), TPIConfig(fidelity="as_published")
    assert {name: getattr(published, name) for name in AS_PUBLISHED} == AS_PUBLISHED
    assert all(getattr(plain, name) != value for name, value in AS_PUBLISHED.items())
    assert TPIConfig(fidelity="as_published", double_residual=False).double_residual is False
    varied = TPIConfig.model_validate({"variant": "v8_read_offset", "phase_init": "linear"})
    assert (varied.query_offset, varied.phase_init, varied.dropout) == ("read", "linear", 0.2)


def test_a_variant_is_only_a_name_for_its_fields() -> None:
    for name, fields in VARIANTS.items():
        assert TPIConfig(variant=name).canonical() == TPIConfig.model_validate(dict(fields)).canonical(), name
    forms = [str(TPIConfig(variant=name, dropout=0.0).canonical()) for name in VARIANTS]
    assert len(set(forms)) == len(forms), "no two variants are one experiment"


def test_variants_are_points_of_the_space_and_the_default_is_the_simple_one() -> None:
    for name in VARIANTS:
        config = TPIConfig(variant=name)
        assert SEARCH.explain({field: getattr(config, field) for field in SEARCH}) == [], name
    assert TPIConfig().variant == "v1_simple"
    own = set(TPIConfig.model_fields) - set(BackboneConfig.model_fields)
    assert own == set(SEARCH) | {"fidelity", "variant"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variant": "v3_hard_windw"}, "unknown variant 'v3_hard_windw'; did you mean 'v3_hard_window'"),
        ({"variant": "best"}, "known: associative_memory, diversity"),
        ({"decoupling": "free", "frequency": "atan2"}, "needs frequency=linear or gated, not atan2"),
        ({"window": 0}, "greater than or equal to 1"),
        ({"decay_init_window": 1.0}, "greater than 1"),
        ({"expansion": [0]}, "greater than or equal to 1"),
        ({"parameter_budget": 10_000, "ffn_multiplier": 0.0}, "asks for no feed-forward layers"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tpi(**fields)


@pytest.mark.parametrize(
    ("fields", "other"),
    [
        ({"frequency": "none"}, {"frequency_scale": 0.5, "squash": True, "diversity_weight": 1.0}),
        ({"frequency": "atan2"}, {"frequency_scale": 0.5}),
        ({"frequency": "fixed"}, {"diversity_weight": 1.0}),
        ({}, {"decay_init_window": 7.0, "expansion_norm": True, "num_heads": 4}),
        ({"linear_init": "xavier"}, {"residual_init": "plain"}),
        ({}, {"dropout_at": "output_map"}),
        ({"num_layers": 0, "dropout_at": "output_map"}, {"dropout": 0.1}),
        ({"num_layers": 0}, {"frequency": "gated", "window": 3, "memory_size": 4}),
    ],
)
def test_fields_without_effect_are_dropped(fields: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = tpi(**fields), tpi(**{**fields, **other})
    assert first != second
    assert first.canonical() == second.canonical()
    assert torch.equal(logits(first), logits(second))


@pytest.mark.parametrize(
    "other",
    [
        *({"frequency": value} for value in ("gated", "atan2", "fixed", "none")),
        {"frequency_scale": 0.5},
        {"squash": True, "frequency_scale": 100.0},
        *({"decoupling": value} for value in ("free", "constrained")),
        *({"phase_init": value} for value in ("linear", "mlp")),
        *({"query_offset": value} for value in ("read", "trajectory")),
        {"window": 5},
        {"decay": "learned"},
        {"magnitude": "none"},
        *({"normalise": value} for value in ("none", "sqrt")),
        {"expansion": [2]},
        {"double_residual": True},
        {"memory_size": 4},
        *({"positions": value} for value in ("sinusoidal", "none")),
        {"tie_head": False},
        *({"linear_init": value} for value in ("xavier", "xavier_uniform")),
    ],
    ids=str,
)
def test_fields_with_an_effect_are_kept(other: dict[str, Any]) -> None:
    assert tpi().canonical() != tpi(**other).canonical()
    assert not torch.equal(logits(tpi()), logits(tpi(**other)))


def test_fields_that_came_later_do_not_rename_what_was_there() -> None:
    later = {"positions", "linear_init", "tie_head", "head_bias"}
    assert later.isdisjoint(TransformerConfig().canonical())
    assert TransformerConfig(positions="none").canonical()["positions"] == "none"


def test_only_learned_positions_end_at_the_training_length() -> None:
    tokens_BT = torch.zeros(1, 40, dtype=torch.long)
    with pytest.raises(ValueError, match="40 tokens is longer than max_seq_len=12"):
        built(tpi())(tokens_BT)
    for positions in ("sinusoidal", "none"):
        assert built(tpi(positions=positions))(tokens_BT).logits_BTV.shape == (1, 40, VOCAB_SIZE)


def test_sinusoidal_positions_are_sines_and_cosines_in_turn() -> None:
    model = built(tpi(positions="sinusoidal"))
    added_TD = (model.embed(torch.zeros(1, 3, dtype=torch.long)) - model.token_embedding.weight[0])[0]
    angle_TP = torch.arange(3.0).view(-1, 1) * torch.tensor([1.0, 0.1, 0.01, 0.001])
    torch.testing.assert_close(added_TD[:, 0::2], angle_TP.sin(), rtol=0, atol=1e-6)
    torch.testing.assert_close(added_TD[:, 1::2], angle_TP.cos(), rtol=0, atol=1e-6)


def test_xavier_reaches_every_linear_layer() -> None:
    config = TPIConfig(fidelity="as_published", variant="v6_query_offset", num_layers=1)
    model = config.build(vocab_size=256, max_seq_len=8)
    initialise(model, 0)
    linears = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    assert {"output", "blocks.0.mixer.out.7", "blocks.0.mixer.phases.to_offset"} <= linears.keys()
    for name, part in linears.items():
        expected = (2 / (part.in_features + part.out_features)) ** 0.5
        assert float(part.weight.detach().std()) == pytest.approx(expected, rel=0.04), name
        assert float(part.weight.detach().abs().max()) == pytest.approx(3**0.5 * expected, rel=0.01), name


def test_normalise_is_read_as_yes_and_no_too_and_identified_as_before() -> None:
    for name, before in (("sum", True), ("none", False)):
        assert tpi(normalise=before) == tpi(normalise=name)
        assert tpi(normalise=name).canonical()["normalise"] is before
    assert tpi(normalise="sqrt").canonical()["normalise"] == "sqrt"
    with pytest.raises(ValueError, match="'none', 'sum' or 'sqrt'"):
        tpi(normalise=1)


def test_a_head_bias_is_added_to_the_logits_starts_at_0_and_is_trained() -> None:
    for tie_head in (False, True):
        plain, biased = (built(tpi(tie_head=tie_head, head_bias=given)) for given in (False, True))
        tokens_BT = torch.arange(12).view(1, 12) % VOCAB_SIZE
        assert torch.equal(plain(tokens_BT).logits_BTV, biased(tokens_BT).logits_BTV)
        functional.cross_entropy(biased(tokens_BT).logits_BTV[0], tokens_BT[0]).backward()
        assert biased.head_bias_V is not None and biased.head_bias_V.grad is not None
        with torch.no_grad():
            biased.head_bias_V.sub_(biased.head_bias_V.grad)
        added_V = (biased(tokens_BT).logits_BTV - plain(tokens_BT).logits_BTV)[0, 0]
        torch.testing.assert_close(added_V, -biased.head_bias_V.grad, rtol=1e-4, atol=1e-7)
        assert float(added_V.detach().abs().max()) > 1e-3


def test_published_dropout_is_in_the_output_map_alone() -> None:
    def strengths(**fields: Any) -> dict[str, float]:
        model = built(tpi(variant="v8_read_offset", ffn_multiplier=1.0, **fields))
        return {name: part.p for name, part in model.named_modules() if isinstance(part, nn.Dropout) and part.p}

    assert len(strengths()) == 5, "embedding, and map and feed-forward layer of two layers"
    expected = {f"blocks.{layer}.mixer.out.3": 0.2 for layer in (0, 1)}
    assert strengths(dropout_at="output_map") == strengths(fidelity="as_published") == expected


def test_no_feed_forward_layers() -> None:
    model = built(tpi(ffn_multiplier=0.0))
    assert not [name for name, _ in model.named_parameters() if "ffn" in name]


PER_LAYER = ("tpi_window", "tpi_full_turns", "tpi_phase_variance")


def test_probes_of_the_model() -> None:
    tokens_BT = torch.arange(24).view(2, 12) % VOCAB_SIZE
    model = built(tpi(variant="v6_query_offset", decay="learned")).train()
    with torch.no_grad():
        model.final_norm.weight.neg_()  # so that the largest logits, those of the token itself, are negative
    found = model.probes(tokens_BT)
    assert model.training and found == model.probes(tokens_BT), "measured without dropout"
    of_layers = {
        f"{name}/layer{layer}"
        for name in ("tpi_window", "tpi_phase_variance", "tpi_full_turns")
        for layer in (0, 1)
    }
    assert {name.removeprefix("probe/") for name in found} == of_layers | {
        "tpi_window",
        "tpi_phase_variance",
        "tpi_phase_variance_null",
        "tpi_full_turns",
        "tpi_largest_logit",
        "tpi_offset_gradient_ratio",
        "tpi_offset_gradient_ratio_plain",
        *(f"{name}/layer{layer}" for name in PER_LAYER for layer in (0, 1)),
    }
    model.eval()
    with torch.no_grad():
        largest = [float(model(row_1T).logits_BTV.abs().max()) for row_1T in tokens_BT.split(1)]
    assert found["probe/tpi_largest_logit"] == pytest.approx(sum(largest) / 2)
    assert all(parameter.grad is None for parameter in model.parameters())
    parts = [model.probes(row_1T) for row_1T in tokens_BT.split(1)]
    for name, value in found.items():
        one, other = (part[name] for part in parts)
        mean = math.sqrt(one * other) if "gradient_ratio" in name else (one + other) / 2
        assert value == pytest.approx(mean, rel=1e-4), name


def test_the_offset_s_gradient_is_compared_at_equal_scale() -> None:
    """The plain ratio is 1/|a| times as large, whatever is learned: that is the published factor of 100."""
    model = built(tpi(query_offset="read", frequency_scale=0.01))
    found = gradient_ratios(model, torch.arange(12).view(1, 12) % VOCAB_SIZE)
    assert found["tpi_offset_gradient_ratio_plain"] == pytest.approx(100 * found["tpi_offset_gradient_ratio"])
    reparametrised = built(tpi(query_offset="read", frequency_scale=1.0))
    with torch.no_grad():
        for block in reparametrised.blocks:
            block.mixer.phases.to_frequency.weight.mul_(0.01)  # type: ignore[union-attr]
    again = gradient_ratios(reparametrised, torch.arange(12).view(1, 12) % VOCAB_SIZE)
    assert again["tpi_offset_gradient_ratio"] == pytest.approx(found["tpi_offset_gradient_ratio"], rel=1e-3)
    assert again["tpi_offset_gradient_ratio_plain"] == pytest.approx(again["tpi_offset_gradient_ratio"])


def test_gradient_ratios_are_of_what_is_there() -> None:
    tokens_BT = torch.arange(12).view(1, 12) % VOCAB_SIZE
    assert gradient_ratios(built(tpi()), tokens_BT) == {}
    assert gradient_ratios(built(tpi(query_offset="read")), tokens_BT[:, :1]) == {}
    free = gradient_ratios(built(tpi(variant="v5_decoupled")), tokens_BT)
    assert free.keys() == {"tpi_query_gradient_ratio"} and free["tpi_query_gradient_ratio"] > 0


@pytest.mark.parametrize("name", ["tpi", "gru", "diagonal_ssm"])
@pytest.mark.parametrize("bias", [False, True])
def test_parameter_budget_is_met(name: str, bias: bool) -> None:
    config = ARCHITECTURES.parse({"name": name, "parameter_budget": 900_000, "bias": bias})
    assert count_parameters(config, vocab_size=65, max_seq_len=64) == pytest.approx(900_000, rel=1e-3)


@pytest.mark.parametrize("name", ["gru", "diagonal_ssm"])
def test_the_size_of_a_state_is_dropped_without_layers(name: str) -> None:
    config = ARCHITECTURES.parse({"name": name, "num_layers": 0, "state_multiplier": 2.0})
    assert isinstance(config, RecurrentConfig)
    assert config.canonical().keys().isdisjoint({"state_multiplier", "num_heads"})
    assert ARCHITECTURES.parse({"name": name, "state_multiplier": 0.5}).state_size == 64


def test_what_has_a_single_number_to_train_or_gradients_to_probe_is_not_divided() -> None:
    undivided = {name for name in VARIANTS if not tpi(variant=name).shardable}
    reading_apart = {"v5_decoupled", "v6_query_offset", "v8_read_offset", "v10_gated"}
    assert undivided == {"v4_learned_decay", "ema"} | reading_apart
