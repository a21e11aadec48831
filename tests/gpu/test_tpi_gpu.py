"""The TPI family and its controls on a GPU: the phase scan, training, tasks and generation against the CPU."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.models.configs import small_config
from tests.unit.trainables.layers.test_phase_scan import assert_same, case, outputs_and_gradients
from tests.unit.trainables.layers.test_phase_scan_numerics import LENGTH, angle_between, draw
from trainables.config.trial import TrialConfig
from trainables.contract.architectures import REFERENCE_LENGTHS, build_moved, tokens
from trainables.layers.fields import Normalise
from trainables.layers.phase_scan import Pair, cumulative_phase, phase_scan
from trainables.layers.phase_scan_reference import phase_scan_recurrence
from trainables.registry import ARCHITECTURES
from trainables.tasks.generation import generate
from trainables.training.loop import Report, Trainer
from trainables.training.numerics import Numerics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
FAMILY = ("tpi", "gru", "diagonal_ssm")
CONTRACT_CONFIGS = [
    pytest.param(config, id=f"{name}-{place}")
    for name in FAMILY
    for place, config in enumerate(ARCHITECTURES.get(name).contract_configs())
]
TRAINED: list[dict[str, Any]] = [
    *({"name": "tpi", "variant": name} for name in ("v0_atan2", "v3_hard_window", "v4_learned_decay")),
    {"name": "tpi", "variant": "v6_query_offset", "fidelity": "as_published"},
    {"name": "tpi", "variant": "associative_memory", "diversity_weight": 0.1},
    {"name": "gru"},
    {"name": "diagonal_ssm"},
]


def run(config: TrialConfig, device: str = DEVICE) -> list[Report]:
    """Train and return the reports without what the clock decides."""
    reports = Trainer(config, 0, config.task.build(None), Numerics(device=device)).reports()
    timed = "train/tokens_per_second"
    return [replace(r, metrics={k: v for k, v in r.metrics.items() if k != timed}) for r in reports]


def moved(arguments: dict[str, Any], dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Return the arguments of a scan on the device."""

    def move(value: Any) -> Any:
        if isinstance(value, Pair):
            return Pair(*map(move, value))
        return value.to(DEVICE, dtype) if isinstance(value, Tensor) else value

    return {name: move(value) for name, value in arguments.items()}


# --- the phase scan ---


@pytest.mark.parametrize("length", REFERENCE_LENGTHS)
@pytest.mark.parametrize("window", [None, 37])
@pytest.mark.parametrize("decay", ["scalar", "channel", "token", "token_and_channel"])
def test_the_scan_equals_the_cpu_and_the_recurrence_with_gradients(
    decay: str, window: int | None, length: int
) -> None:
    forms: tuple[tuple[bool, Normalise], ...] = ((False, "sum"), (False, "sqrt"), (True, "none"))
    for paired, normalise in forms:
        arguments = case(length, decay, window, "both", paired=paired, normalise=normalise)
        found = outputs_and_gradients(phase_scan, moved(arguments))
        assert {tensor.device.type for tensor in found} == {DEVICE}
        assert_same(found, outputs_and_gradients(phase_scan_recurrence, moved(arguments)))
        assert_same([tensor.cpu() for tensor in found], outputs_and_gradients(phase_scan, arguments))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_phases_are_exact_to_a_rounding_after_16_thousand_positions(dtype: torch.dtype) -> None:
    frequency = (1.1 + draw(1, LENGTH, 2)).to(dtype)
    phase, last = cumulative_phase(frequency.to(DEVICE))
    assert phase.dtype == torch.float32
    exact = frequency.double().cumsum(1)
    assert angle_between(phase.cpu(), exact) < 3e-7
    assert angle_between(last.cpu(), exact[:, -1]) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("decay", ["scalar", "token_and_channel"])
def test_long_sequences_keep_float32s_digits(decay: str, dtype: torch.dtype) -> None:
    """Against float64 on the CPU, from inputs that are rounded alike; forward and backward."""
    arguments = case(LENGTH, decay, None, "both", paired=False, normalise="sum")
    given = moved(arguments, dtype)
    rounded = {k: v.double().cpu() if isinstance(v, Tensor) else v for k, v in given.items()}
    found, exact = outputs_and_gradients(phase_scan, given), outputs_and_gradients(phase_scan, rounded)
    assert found[0].dtype == torch.float32
    for one, other in zip(found, exact, strict=True):
        tolerance = 1e-4 if one.dtype == torch.float32 else 1e-2  # a gradient has the digits of its tensor
        assert float((one.cpu().double() - other).abs().max()) < tolerance * float(other.abs().max())


# --- models ---


@pytest.mark.parametrize("config", CONTRACT_CONFIGS)
def test_contract_configurations_agree_with_the_cpu(config: Any) -> None:
    """Logits and gradients in float64; in training mode, because cuDNN's recurrence has no other gradient."""
    still = config.model_copy(update={"dropout": 0.0})

    def logits_and_gradients(device: str) -> dict[str, Tensor]:
        model = build_moved(still).train().to(device)
        output = model(tokens("inputs").to(device))
        (output.logits_BTV.square().mean() + output.penalty).backward()
        gradients = {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}
        return {"logits": output.logits_BTV.detach().cpu(), **gradients}

    on_cpu, on_device = logits_and_gradients("cpu"), logits_and_gradients(DEVICE)
    assert on_cpu.keys() == on_device.keys() and len(on_cpu) > 1
    for name, expected in on_cpu.items():
        torch.testing.assert_close(on_device[name], expected, rtol=1e-7, atol=1e-9, msg=f"{name}: {{}}".format)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", TRAINED, ids=str)
def test_training_repeats_bit_for_bit_and_stays_finite(architecture: dict[str, Any], precision: str) -> None:
    config = small_config(architecture=architecture, budget={"precision": precision})
    reports = run(config)
    assert reports == run(config)
    assert reports[-1].outcome == "finished"
    assert all(math.isfinite(value) for report in reports for value in report.metrics.values())


@pytest.mark.parametrize("architecture", TRAINED, ids=str)
def test_training_starts_equal_and_stays_close_to_the_cpu(architecture: dict[str, Any]) -> None:
    config = small_config(architecture={**architecture, "dropout": 0.0})
    task = config.task.build(None)
    first, other = (Trainer(config, 0, task, Numerics(device=device)).model for device in ("cpu", DEVICE))
    for name, parameter in first.state_dict().items():
        assert torch.equal(parameter, other.state_dict()[name].cpu()), name
    on_cpu, on_device = run(config, "cpu")[-1], run(config)[-1]
    score = "val/bits_per_char"
    assert on_device.metrics[score] == pytest.approx(on_cpu.metrics[score], rel=1e-3)


def test_bfloat16_is_close_to_float32() -> None:
    exact, rounded = (
        run(small_config(architecture=TRAINED[2], budget={"precision": precision, "steps": 60, "report_every": 60}))
        for precision in ("float32", "bfloat16")
    )
    score = "val/bits_per_char"
    assert rounded[-1].metrics[score] == pytest.approx(exact[-1].metrics[score], rel=0.02)


# --- tasks and generation ---

TASKS = {
    "recall_nats_per_token": {"name": "recall", "vocab_size": 16, "num_pairs": 2, "context_length": 16},
    "copy_nats_per_token": {"name": "copy", "num_symbols": 6, "delay": 4},
    "fact_nats_per_token": {"name": "facts", "num_facts": 2},
}


@pytest.mark.parametrize("architecture", [{"name": "transformer"}, {"name": "tpi", "memory_size": 8}], ids=str)
@pytest.mark.parametrize(("metric", "task"), TASKS.items())
def test_tasks_train_as_on_the_cpu(metric: str, task: dict[str, Any], architecture: dict[str, Any]) -> None:
    config = TrialConfig.model_validate(
        {
            "architecture": {"d_model": 16, "num_layers": 2, "num_heads": 2, **architecture},
            "task": {"num_val": 40, **task},
            "optimizer": {"learning_rate": 3e-3, "warmup_steps": 3},
            "budget": {"steps": 30, "batch_size": 16, "report_every": 15},
        }
    )
    on_cpu, on_device = run(config, "cpu"), run(config)
    first, last = (report.metrics["train/loss"] for report in on_device)
    assert last < first
    assert on_device[-1].metrics[f"val/{metric}"] == pytest.approx(on_cpu[-1].metrics[f"val/{metric}"], rel=1e-2)


@pytest.mark.parametrize("config", CONTRACT_CONFIGS[:4])
def test_generation_writes_what_the_cpu_writes(config: Any) -> None:
    """The draws are made on the CPU, and in float64 the logits differ by too little to turn one."""

    def written(device: str, temperature: float) -> Tensor:
        model = build_moved(config).to(device)
        generator = torch.Generator().manual_seed(0)
        prompt_BT = tokens("inputs")[:, :5].to(device)
        return generate(
            model, prompt_BT, 30, max_length=16, top_k=10, temperature=temperature, generator=generator
        ).cpu()

    for temperature in (0.0, 1.0):
        assert torch.equal(written(DEVICE, temperature), written("cpu", temperature))


def test_samples_of_a_trained_model_are_kept() -> None:
    samples = {"num_samples": 2, "prompt_tokens": 4, "num_tokens": 8}
    last = run(small_config(architecture={"name": "tpi"}, task={"samples": samples}))[-1]
    assert last.artifacts["samples.txt"].startswith("--- 1 prompt\n")
    assert math.isfinite(last.metrics["val/sample_bigram_kl"])
