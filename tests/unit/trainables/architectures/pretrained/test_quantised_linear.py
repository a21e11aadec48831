"""Layers in 8 and 4 bits: their weights against those of bitsandbytes, their bytes against those of fake ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig

from cluster.memory.estimate import PROCESS_MIB, MemoryEstimate, estimate
from cluster.memory.worker import Estimates
from tests.benchmarks.memory_error import Case, Outcome, measure_all
from tests.support.models.backbones import (
    CONFIGS,
    MOST_FAMILIES,
    POSITIONS,
    QUANTISED,
    VOCAB,
    Injected,
    adapter,
    load,
    logits,
    save_backbones,
    tokens,
)
from tests.support.models.weight_storages import weight_storages
from trainables.architectures.gpt import TransformerConfig
from trainables.architectures.pretrained.fields import LIBRARIES_MIB
from trainables.architectures.pretrained.model import HuggingFaceBackbone
from trainables.architectures.pretrained.quantised_linear import Linear4Bit, Linear8Bit, QuantisedLinear
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig
from trainables.units import MIB


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_backbones(tmp_path_factory.mktemp("backbones"))


def _real(folder: Path, **asked: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=BitsAndBytesConfig(**asked), device_map="cpu", dtype=torch.float32
    )


@pytest.mark.parametrize("family", MOST_FAMILIES)
@pytest.mark.parametrize("quantisation", QUANTISED)
def test_quantised_layers_hold_what_bitsandbytes_holds(
    quantisation: str, family: str, folders: dict[str, Path]
) -> None:
    backbone = load(folders[family], quantisation=quantisation)
    asked = (
        {"load_in_8bit": True} if quantisation == "8bit" else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    )
    layers = dict(_real(folders[family], **asked).named_modules())
    found = {name: module for name, module in backbone.model.named_modules() if isinstance(module, QuantisedLinear)}
    assert len(found) == (8 if family in {"gpt2", "gpt_neox"} else 14) and "lm_head" not in found
    for name, layer in found.items():
        weight = layers[name].weight
        if quantisation == "8bit":
            assert isinstance(layer, Linear8Bit)
            expected_OI = weight.data.float() * weight.SCB.unsqueeze(1) / 127
        else:
            assert isinstance(layer, Linear4Bit)
            state = weight.quant_state
            state.shape = torch.Size([state.absmax.numel(), 64])  # as stored; see `Linear4Bit.weight_OI`
            expected_OI = dequantize_4bit(weight.data, state).view(layer.shape)
        torch.testing.assert_close(layer.weight_OI(torch.float32), expected_OI)
        original = dict(AutoModelForCausalLM.from_pretrained(folders[family]).named_modules())[name].weight
        original = original.T if family == "gpt2" else original
        bound = 0.01 if quantisation == "8bit" else 0.12  # of normal weights: 0.094
        assert (expected_OI - original).norm() < bound * original.norm()
        assert not torch.equal(expected_OI, original)


@pytest.mark.parametrize("shape", [(48, 32), (5, 30), (7, 11), (64, 72), (16, 128)])
def test_four_bits_do_not_depend_on_how_long_a_row_is(shape: tuple[int, int]) -> None:
    weight_OI = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    codes, state = quantize_4bit(weight_OI, quant_type="nf4")
    found_OI = Linear4Bit(codes, state.absmax, None, shape=shape).weight_OI(torch.float32)
    assert (found_OI - weight_OI).norm() < 0.12 * weight_OI.norm()
    largest = weight_OI.flatten()[:64].abs().argmax()
    assert torch.equal(found_OI.flatten()[largest], weight_OI.flatten()[largest])


@pytest.mark.parametrize("quantisation", QUANTISED)
def test_a_quantised_layer_is_a_linear_layer_of_its_weight(quantisation: str, folders: dict[str, Path]) -> None:
    backbone = load(folders["gpt2"], quantisation=quantisation)
    layer = next(module for module in backbone.modules() if isinstance(module, QuantisedLinear))
    outputs, inputs = layer.shape
    plain = nn.Linear(inputs, outputs)
    assert layer.bias is not None
    plain.load_state_dict({"weight": layer.weight_OI(torch.float32), "bias": layer.bias})
    x = torch.randn(2, 3, inputs, generator=torch.Generator().manual_seed(0))
    both = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    for module, given in zip((layer, plain), both, strict=True):
        module(given).square().sum().backward()
    torch.testing.assert_close(layer(x), plain(x))
    torch.testing.assert_close(both[0].grad, both[1].grad)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(both[0])
        assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()


@pytest.mark.parametrize("quantisation", QUANTISED)
def test_scoring_between_steps_changes_nothing(quantisation: str, folders: dict[str, Path]) -> None:
    """bitsandbytes' own layers round activations, or repack their weights, once they are in evaluation mode."""
    model = Injected(load(folders["llama"], quantisation=quantisation)).train()
    before = model.gradients(tokens())
    trained = model(tokens())
    with torch.no_grad():
        scored = model.eval()(tokens())
    assert torch.equal(trained, scored)
    after = model.train().gradients(tokens())
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("quantisation", QUANTISED)
def test_one_sequence_does_not_change_another(quantisation: str, folders: dict[str, Path]) -> None:
    backbone = load(folders["llama"], quantisation=quantisation).eval()
    x_BTD = backbone.embed(tokens())
    loud_BTD = torch.cat([x_BTD[:1], x_BTD[1:] * 100])  # an outlier, which LLM.int8() takes out of every sequence
    torch.testing.assert_close(backbone.transform(x_BTD)[0], backbone.transform(loud_BTD)[0])


def _bytes(module: nn.Module) -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum({id(tensor): tensor.nbytes for tensor in tensors}.values())


@pytest.mark.parametrize("quantisation", ["none", *QUANTISED])
@pytest.mark.parametrize("family", MOST_FAMILIES)
def test_fake_and_real_weights_have_the_same_bytes(
    family: str, quantisation: str, folders: dict[str, Path]
) -> None:
    real = load(folders[family], quantisation=quantisation, dtype="bfloat16")
    with FakeTensorMode():
        fake = load(folders[family], quantisation=quantisation, dtype="bfloat16")
        loss = logits(fake, torch.zeros(2, 12, dtype=torch.long), adapter()).logsumexp(-1).sum()
        loss.backward()  # type: ignore[no-untyped-call]

    def sizes(backbone: HuggingFaceBackbone) -> dict[str, Any]:
        return {name: (tensor.shape, tensor.dtype) for name, tensor in backbone.state_dict().items()}

    assert sizes(fake) == sizes(real)
    assert _bytes(fake) == _bytes(real)
    layers = sum(isinstance(module, QuantisedLinear) for module in real.modules())
    tables = 64 * layers if quantisation == "4bit" else 0  # bitsandbytes' own layers hold NF4's table each
    config = real.model.config
    assert _bytes(real) == weight_storages(config, quantization=quantisation).total - tables  # type: ignore[arg-type]


@pytest.mark.parametrize("quantisation", QUANTISED)
def test_a_quantised_model_does_not_hold_the_files_it_was_read_from(quantisation: str, tmp_path: Path) -> None:
    """Their unquantised tensors would keep all of a mapped file, and quantising would save nothing."""
    AutoModelForCausalLM.from_config(CONFIGS["llama"], dtype=torch.bfloat16).save_pretrained(tmp_path)
    backbone = load(tmp_path, quantisation=quantisation, dtype="bfloat16")
    assert backbone.embedding_VD.dtype == torch.bfloat16
    assert str(tmp_path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def trial(folder: Path, **architecture: Any) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "architecture": {"name": "resonant", "backbone": f"hf:{folder}", **architecture},
            "task": {"name": "language", "context_length": POSITIONS, "max_bytes": 4000},
            "budget": {"steps": 2, "batch_size": 8, "report_every": 2},
        }
    )


def estimated(folder: Path, *, length: int = POSITIONS, **architecture: Any) -> MemoryEstimate:
    config = trial(folder, **architecture)
    return estimate(config, vocab_size=VOCAB, context_length=length, process_mib=0.0, held_out_sequences=1)


@pytest.mark.parametrize(
    "quantisation",
    [pytest.param("none", marks=pytest.mark.slow), pytest.param("8bit", marks=pytest.mark.slow), "4bit"],
)
def test_a_trial_is_estimated_as_every_other(quantisation: str, folders: dict[str, Path]) -> None:
    found = estimated(folders["llama"], quantisation=quantisation)
    model = trial(folders["llama"], quantisation=quantisation).architecture.build(vocab_size=VOCAB, max_seq_len=24)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert found.parameters_mib * MIB == _bytes(model)
    assert found.gradients_mib * MIB == sum(parameter.nbytes for parameter in trained)
    assert found.optimizer_mib * MIB == sum(2 * parameter.nbytes + 4 for parameter in trained)
    anew = estimated(folders["llama"], quantisation=quantisation, checkpoint_blocks=True)
    assert anew.activations_mib < 0.9 * found.activations_mib
    assert anew.parameters_mib == found.parameters_mib


@pytest.mark.parametrize(
    ("options", "stays"), [({}, True), ({"dtype": "bfloat16"}, False), ({"quantisation": "8bit"}, False)]
)
def test_bypassed_attention_stays_in_a_mapped_file(
    options: dict[str, str], stays: bool, folders: dict[str, Path]
) -> None:
    """Its pages were read with the others' and go with the whole file only: what is counted must know."""
    with FakeTensorMode():
        backbone = load(folders["llama"], attention="identity", **options)
    held = [module for module in backbone.modules() if getattr(module, "replaced", ())]
    assert len(held) == (2 if stays else 0)
    assert not any("attn" in name for name in backbone.state_dict())


def test_a_worker_also_holds_transformers(folders: dict[str, Path]) -> None:
    config = trial(folders["llama"])
    found = Estimates().of_worker(config, config.task.build(None), ResourceConfig())
    assert found.context_mib == PROCESS_MIB + LIBRARIES_MIB
    ours = config.model_copy(update={"architecture": TransformerConfig(d_model=16, num_layers=1, num_heads=2)})
    assert Estimates().of_worker(ours, config.task.build(None), ResourceConfig()).context_mib == PROCESS_MIB


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a model of 67 million weights in 16 bits, a half of them in its embedding and its head."""
    folder = tmp_path_factory.mktemp("large")
    sizes = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 3, "num_attention_heads": 16}
    config = LlamaConfig(**sizes, num_key_value_heads=4, vocab_size=16000, max_position_embeddings=512)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    return folder


WEIGHTS = (
    *((quantisation, "bfloat16", 16) for quantisation in ("none", *QUANTISED)),  # most while it is built
    ("none", "bfloat16", 512),
    ("8bit", "bfloat16", 512),
    ("none", "float32", 256),
    ("4bit", "float32", 256),
)
"""(quantisation, type of the other weights, tokens of a sequence) of the trials that are measured."""


@pytest.fixture(scope="module")
def outcomes(large: Path) -> list[Outcome]:
    """Measure all after one start of Python, which takes longer than a trial."""
    backbones = [
        {"name": "resonant", "backbone": f"hf:{large}", "quantisation": quantisation, "backbone_dtype": dtype}
        for quantisation, dtype, _ in WEIGHTS
    ]
    sizes = {"width": 64, "depth": 1, "batch": 2, "windows": 4}
    return measure_all(
        [
            Case(architecture=backbone, length=length, **sizes)
            for backbone, (*_, length) in zip(backbones, WEIGHTS, strict=True)
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_the_estimate_is_near_what_a_real_process_grows_by(
    weights: tuple[str, str, int], outcomes: list[Outcome]
) -> None:
    (quantisation, dtype, _), outcome = weights, outcomes[WEIGHTS.index(weights)]
    # Weights that stay in their file are mapped whole; the rows of the embedding that no byte has are never read.
    is_mapped = (quantisation, dtype) == ("none", "bfloat16")
    unread_mib = (16000 - 256) * 1024 * 2 / MIB if is_mapped else 0.0
    error = (outcome.predicted_mib - unread_mib) / outcome.measured_mib - 1
    assert -0.1 < error < 0.06, outcome
