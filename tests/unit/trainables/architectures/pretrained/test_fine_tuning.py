"""Which weights are trained, and that LoRA is what its definition says, on whole and on quantised layers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GPT2Config

from cluster.memory.estimate import estimate
from tests.support.models.configs import small_config
from tests.support.models.pretrained import VOCAB, built, logits, relative, tokens
from trainables.architectures.pretrained.config import PretrainedConfig
from trainables.architectures.pretrained.fine_tuning import choose_trained
from trainables.randomness import initialise


def trained_names(model: Any) -> set[str]:
    names = {name for name, value in model.named_parameters() if value.requires_grad}
    return {name.removeprefix("model.model.").replace(".default", "").partition("self_attn.")[2] for name in names}


def test_the_projections_to_queries_and_keys_are_trained_whole() -> None:
    assert trained_names(built(trained="query_key")) == {"q_proj.weight", "k_proj.weight"}
    qwen = built(trained="query_key", model="untrained:qwen2")
    assert trained_names(qwen) == {f"{one}_proj.{what}" for one in "qk" for what in ("weight", "bias")}
    assert not trained_names(built(trained="nothing"))


def lora(model: Any, name: str) -> tuple[Tensor, Tensor]:
    layer = model.model.model.layers[0].self_attn.get_submodule(name)
    return layer.lora_A["default"].weight, layer.lora_B["default"].weight


def test_lora_starts_as_the_model_and_is_drawn_from_its_own_stream() -> None:
    config = PretrainedConfig(d_model=24, num_layers=2, num_heads=3, trained="lora", lora={"rank": 4})  # type: ignore[arg-type]
    found = []
    for seed in (0, 0, 1):
        model = config.build(vocab_size=VOCAB, max_seq_len=64)
        initialise(model, seed)
        found.append(model.eval())
    first, again, other = (lora(model, "q_proj")[0].detach() for model in found)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0.9 / 24**0.5 < float(first.abs().max()) <= 1 / 24**0.5
    assert not lora(found[0], "q_proj")[1].any()
    with torch.no_grad():
        before = logits(found[0], tokens())
        lora(found[0], "q_proj")[1].add_(0.1)
    assert relative(logits(found[0], tokens()), before) > 1e-3


@pytest.mark.parametrize("projections", [["q", "k", "v", "o"], ["v"]])
@pytest.mark.parametrize("quantisation", ["none", "8bit", "4bit"])
def test_lora_equals_its_definition(quantisation: str, projections: list[str], tmp_path: Path) -> None:
    built(d_model=64, num_heads=2).model.save_pretrained(tmp_path)
    fields: dict[str, Any] = {"model": f"hf:{tmp_path}", "quantisation": quantisation}
    model = built(**fields, trained="lora", lora={"rank": 4, "alpha": 2.0, "projections": projections})
    assert trained_names(model) == {f"{one}_proj.lora_{ab}.weight" for one in projections for ab in "AB"}
    plain = built(**fields)

    def add(layer: Any) -> Any:
        a_RD, b_DR = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        return lambda _, args, y_BTD: y_BTD + args[0] @ (2.0 / 4 * b_DR @ a_RD).T

    for changed, layer in zip(model.model.model.layers, plain.model.model.layers, strict=True):
        for one in projections:
            name = f"self_attn.{one}_proj"
            layer.get_submodule(name).register_forward_hook(add(changed.get_submodule(name)))
    before = logits(built(**fields), tokens())
    assert relative(logits(model, tokens()), logits(plain, tokens())) < 1e-5
    assert relative(before, logits(plain, tokens())) > 1e-2
    model.train()
    model(tokens()).logits_BTV.square().mean().backward()
    gradients = [value.grad for value in model.parameters() if value.requires_grad]
    assert all(one is not None and one.any() and one.isfinite().all() for one in gradients)


def test_models_that_compute_all_three_together_are_refused(tmp_path: Path) -> None:
    config = GPT2Config(
        n_embd=16, n_layer=1, n_head=2, vocab_size=VOCAB, n_positions=64, bos_token_id=1, eos_token_id=1
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    for trained in ("lora", "query_key"):
        with pytest.raises(ValueError, match="GPT2LMHeadModel computes queries, keys and values together"):
            built(model=f"hf:{tmp_path}", trained=trained)
    assert built(model=f"hf:{tmp_path}", trained="everything").frozen_state == frozenset()


def test_lora_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    model = built().model
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"needs the package peft, of the extra longcontext: pip install 'phasesweep\["
    ):
        choose_trained(PretrainedConfig(trained="lora"), model)


@pytest.mark.parametrize(
    "fields",
    [
        {"trained": "lora"},
        {"trained": "lora", "quantisation": "8bit", "checkpoint_blocks": True},
        {"trained": "lora", "quantisation": "4bit", "encoding": {"scheme": "alibi"}, "adapter": {"last_layers": 1}},
        {"trained": "query_key", "attractor": {"last_layers": 1}, "attention_window": 6},
        {"trained": "everything", "encoding": {"scheme": "adaptive_hybrid", "transition": 8.0, "width": 2.0}},
    ],
    ids=str,
)
def test_memory_is_estimated_and_its_gradients_are_those_of_what_is_trained(
    fields: dict[str, Any], tmp_path: Path
) -> None:
    built(d_model=64, num_heads=2).model.save_pretrained(tmp_path)
    config = small_config(architecture={"name": "pretrained", "model": f"hf:{tmp_path}", **fields})
    model = config.architecture.build(vocab_size=VOCAB, max_seq_len=16)
    found = estimate(config, vocab_size=VOCAB, context_length=16, process_mib=0.0, held_out_sequences=1)
    trained = [value for value in model.parameters() if value.requires_grad]
    assert found.peak_stage in {"training", "optimizer"}
    assert found.gradients_mib * 2**20 == sum(value.nbytes for value in trained)
    assert found.optimizer_mib * 2**20 == 2 * sum(value.nbytes for value in trained) + 4 * len(trained)
    held = sum(value.nbytes for value in [*model.parameters(), *model.buffers()])
    assert found.parameters_mib * 2**20 == held
