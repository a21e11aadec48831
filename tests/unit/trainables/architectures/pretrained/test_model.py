"""Hugging Face causal LMs as backbones: five families, made small and random, against themselves."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from tests.support.models.backbones import (
    FAMILIES,
    MOST_FAMILIES,
    POSITIONS,
    QUANTISED,
    VOCAB,
    WIDTH,
    Injected,
    adapter,
    load,
    logits,
    save_backbones,
    tokens,
)
from trainables.randomness import initialise


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_backbones(tmp_path_factory.mktemp("backbones"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_are_the_whole(family: str, folders: dict[str, Path]) -> None:
    backbone = load(folders[family])
    whole = AutoModelForCausalLM.from_pretrained(folders[family]).eval()
    assert (backbone.d_model, backbone.vocab_size, backbone.max_positions) == (WIDTH, VOCAB, POSITIONS)
    for training in (True, False):  # GPT-2 would have dropout in training
        backbone.train(training)
        torch.testing.assert_close(logits(backbone, tokens()), whole(tokens()).logits)
    assert not torch.allclose(logits(backbone, tokens(), adapter()), whole(tokens()).logits, atol=0.01)
    narrow = load(folders[family], vocab_size=50)
    few = tokens() % 50
    torch.testing.assert_close(logits(narrow, few), whole(few).logits[..., :50])
    assert narrow.embedding_VD.shape == narrow.head_VD.shape == (50, WIDTH)
    assert torch.equal(narrow.embedding_VD, whole.get_input_embeddings().weight[:50])
    assert torch.equal(narrow.head_VD, whole.get_output_embeddings().weight[:50])


@pytest.mark.parametrize("family", MOST_FAMILIES)
def test_bfloat16_computes_in_bfloat16_and_hands_on_float32(family: str, folders: dict[str, Path]) -> None:
    backbone = load(folders[family], dtype="bfloat16")
    assert backbone.head_VD.dtype == torch.bfloat16
    x_BTD = backbone.embed(tokens())
    h_BTD = backbone.transform(x_BTD)
    assert x_BTD.dtype == h_BTD.dtype == backbone.head(h_BTD).dtype == torch.float32
    exact = logits(load(folders[family]), tokens())
    torch.testing.assert_close(backbone.head(h_BTD), exact, rtol=0.05, atol=0.05 * float(exact.abs().max()))


def _gpt2_without_attention(model: Any, x_BTD: Tensor, used: float) -> Tensor:
    body = model.transformer
    h_BTD = x_BTD + body.wpe.weight[: x_BTD.shape[1]]
    for block in body.h:
        h_BTD = h_BTD + used * block.ln_1(h_BTD)
        h_BTD = h_BTD + block.mlp(block.ln_2(h_BTD))
    logits_BTV: Tensor = model.lm_head(body.ln_f(h_BTD))
    return logits_BTV


def _llama_without_attention(model: Any, x_BTD: Tensor, used: float) -> Tensor:
    h_BTD = x_BTD
    for block in model.model.layers:
        h_BTD = h_BTD + used * block.input_layernorm(h_BTD)
        h_BTD = h_BTD + block.mlp(block.post_attention_layernorm(h_BTD))
    logits_BTV: Tensor = model.lm_head(model.model.norm(h_BTD))
    return logits_BTV


def _neox_without_attention(model: Any, x_BTD: Tensor, used: float) -> Tensor:
    h_BTD = x_BTD
    for block in model.gpt_neox.layers:  # attention and feed-forward side by side, as in pythia
        aside_BTD = block.mlp(block.post_attention_layernorm(h_BTD))
        h_BTD = h_BTD + used * block.input_layernorm(h_BTD) + aside_BTD
    logits_BTV: Tensor = model.lm_head(model.gpt_neox.final_layer_norm(h_BTD))
    return logits_BTV


WITHOUT_ATTENTION = {"gpt2": _gpt2_without_attention, "gpt_neox": _neox_without_attention}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("attention", "used"), [("identity", 1.0), ("none", 0.0)])
def test_attention_is_replaced_by_its_input_or_by_nothing(
    attention: str, used: float, family: str, folders: dict[str, Path]
) -> None:
    whole = AutoModelForCausalLM.from_pretrained(folders[family]).eval()
    reference = WITHOUT_ATTENTION.get(family, _llama_without_attention)
    expected = reference(whole, whole.get_input_embeddings()(tokens()), used)
    backbone = load(folders[family], attention=attention)
    torch.testing.assert_close(logits(backbone, tokens()), expected)
    assert not any("attn" in name or "attention." in name for name, _ in backbone.named_parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["kept", "identity", "none"])
def test_no_position_sees_a_later_one(attention: str, family: str, folders: dict[str, Path]) -> None:
    backbone = load(folders[family], attention=attention)
    x_BTD = backbone.embed(tokens(1)).detach().requires_grad_()
    (gradient_BTD,) = torch.autograd.grad(backbone.transform(x_BTD)[0, 7].sum(), x_BTD)
    seen = gradient_BTD[0].abs().sum(-1) > 0
    first = 7 if attention != "kept" else 0 if family != "mistral" else None
    assert not seen[8:].any() and seen[7]
    if first is not None:
        assert seen[first:8].all() and not seen[:first].any()


@pytest.mark.parametrize("quantisation", ["none", *QUANTISED])
@pytest.mark.parametrize("family", MOST_FAMILIES)
def test_a_frozen_backbone_gets_no_gradient_and_the_adapter_does(
    family: str, quantisation: str, folders: dict[str, Path]
) -> None:
    model = Injected(load(folders[family], quantisation=quantisation, dtype="bfloat16"))
    gradients = model.gradients(tokens())
    assert sorted(gradients) == ["adapter.bias", "adapter.weight"]
    assert all(value.isfinite().all() and value.any() for value in gradients.values())
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


@pytest.mark.parametrize("family", MOST_FAMILIES)
def test_a_head_that_is_trained_is_a_copy_and_starts_as_the_same_model(
    family: str, folders: dict[str, Path]
) -> None:
    frozen, untied = load(folders[family], vocab_size=50), load(folders[family], vocab_size=50, train_head=True)
    few = tokens() % 50
    assert torch.equal(logits(frozen, few), logits(untied, few))
    model = Injected(untied)
    name = {name for name in model.gradients(few) if "adapter" not in name}
    assert name == {name for name, value in model.named_parameters() if value.shape == (50, WIDTH)}
    with torch.no_grad():
        untied.head_VD.add_(1.0)
    assert torch.equal(untied.embedding_VD, frozen.embedding_VD)
    assert not torch.equal(untied.head_VD, frozen.head_VD)


def test_a_head_is_trained_in_float32(folders: dict[str, Path]) -> None:
    backbone = load(folders["gpt2"], dtype="bfloat16", quantisation="4bit", train_head=True)
    assert backbone.head_VD.dtype == torch.float32 and backbone.embedding_VD.dtype == torch.bfloat16
    assert logits(backbone, tokens()).dtype == torch.float32


def test_a_trained_backbone_gets_gradients(folders: dict[str, Path]) -> None:
    model = Injected(load(folders["llama"], frozen=False))
    assert set(model.gradients(tokens())) == {name for name, _ in model.named_parameters()}
    assert model.backbone.embedding_VD.requires_grad and model.backbone.head_VD.requires_grad


@pytest.mark.parametrize(
    ("quantisation", "frozen"), [("none", True), ("none", False), ("8bit", True), ("4bit", True)]
)
@pytest.mark.parametrize("family", MOST_FAMILIES)
def test_computing_blocks_anew_changes_no_gradient(
    family: str, quantisation: str, frozen: bool, folders: dict[str, Path]
) -> None:
    def gradients(checkpoint_blocks: bool) -> tuple[dict[str, Tensor], int]:
        options = {"quantisation": quantisation, "frozen": frozen, "checkpoint_blocks": checkpoint_blocks}
        model = Injected(load(folders[family], **options)).train()
        kept = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal kept
            kept += tensor.nbytes if not isinstance(tensor, nn.Parameter) else 0
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = model(tokens())
        output.logsumexp(-1).sum().backward()
        return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}, kept

    (kept, kept_bytes), (anew, anew_bytes) = gradients(False), gradients(True)
    assert kept.keys() == anew.keys() and len(kept) >= 2
    assert all(torch.equal(kept[name], anew[name]) for name in kept)
    assert anew_bytes < kept_bytes / 2


def test_what_is_beside_a_frozen_backbone_is_all_that_is_to_be_kept(folders: dict[str, Path]) -> None:
    for quantisation in ("none", *QUANTISED):
        model = Injected(load(folders["llama"], quantisation=quantisation))
        frozen = {f"backbone.{name}" for name in model.backbone.state_dict()}
        kept = {name: value.clone() for name, value in model.state_dict().items() if name not in frozen}
        assert sorted(kept) == ["adapter.bias", "adapter.weight"]
        other = Injected(load(folders["llama"], quantisation=quantisation))
        nn.init.zeros_(other.adapter.weight)
        missing, unexpected = other.load_state_dict(kept, strict=False)
        assert set(missing) == frozen and not unexpected
        assert torch.equal(model(tokens()), other(tokens()))


def test_initialising_leaves_pretrained_weights_alone(folders: dict[str, Path]) -> None:
    model = Injected(load(folders["mistral"], frozen=False))
    before = copy.deepcopy(model.state_dict())
    initialise(model, seed=3)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"adapter.weight", "adapter.bias"}


def test_a_deep_copy_is_independent(folders: dict[str, Path]) -> None:
    model = Injected(load(folders["llama"], checkpoint_blocks=True, frozen=False))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert twin.gradients(tokens())["adapter.weight"].any()
