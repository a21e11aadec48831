"""What only a GPU can show. Imports trainables, pydantic and pytest only, so it runs on a bare GPU machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support.models.configs import KURAMOTO, small_config
from trainables.architectures.kuramoto.mixer import coupling_sum, num_coupled, pairwise_coupling
from trainables.config.trial import TrialConfig
from trainables.randomness import seed_forward
from trainables.training.loop import Report, Trainer, train
from trainables.training.numerics import Numerics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

GPU = Numerics(device="cuda")
ARCHITECTURES = [
    pytest.param({}, id="transformer"),
    pytest.param(KURAMOTO, id="kuramoto"),
    pytest.param({**KURAMOTO, "fidelity": "as_published", "dropout": 0.1}, id="kuramoto-as-published"),
    pytest.param({**KURAMOTO, "phase_noise": 0.1, "frequency_jitter": 0.05}, id="kuramoto-with-noise"),
    pytest.param({"name": "mean_pool", "pool_layers": [1]}, id="mean-pool"),
]


def run(config: TrialConfig, numerics: Numerics) -> list[Report]:
    reports = list(train(config, 0, config.task.build(None), numerics=numerics))
    timed = "train/tokens_per_second"
    return [replace(r, metrics={k: v for k, v in r.metrics.items() if k != timed}) for r in reports]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_deterministic_mode_repeats_bit_for_bit(architecture: dict[str, object], precision: str) -> None:
    config = small_config(architecture=architecture, budget={"precision": precision})
    assert run(config, GPU) == run(config, GPU)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_continuation_is_bit_exact(architecture: dict[str, object], tmp_path: Path) -> None:
    config = small_config(architecture=architecture, budget={"precision": "bfloat16"})
    task = config.task.build(None)
    whole = Trainer(config, 0, task, GPU)
    list(whole.reports())
    first = Trainer(config, 0, task, GPU)
    for _ in range(7):
        first._train_one_step()
    first.save(tmp_path / "c.pt")
    second = Trainer(config, 0, task, GPU)
    second.load(tmp_path / "c.pt")
    list(second.reports())
    for name, parameter in whole.model.state_dict().items():
        assert torch.equal(parameter, second.model.state_dict()[name]), name


@pytest.mark.parametrize("architecture", [{}, KURAMOTO])
def test_gpu_and_cpu_start_equal_and_stay_close(architecture: dict[str, object]) -> None:
    config = small_config(architecture=architecture)
    task = config.task.build(None)
    on_cpu, on_gpu = Trainer(config, 0, task, Numerics()), Trainer(config, 0, task, GPU)
    for name, parameter in on_cpu.model.state_dict().items():
        assert torch.equal(parameter, on_gpu.model.state_dict()[name].cpu()), name
    last_cpu, last_gpu = list(on_cpu.reports())[-1], list(on_gpu.reports())[-1]
    assert last_gpu.metrics["val/bits_per_char"] == pytest.approx(last_cpu.metrics["val/bits_per_char"], rel=1e-3)


@pytest.mark.parametrize("causal", [True, False])
def test_mean_field_equals_pairwise_and_never_builds_a_matrix(causal: bool) -> None:
    torch.manual_seed(0)
    phase_BHNT = torch.rand(4, 8, 32, 512, device="cuda") * 6.28
    fast = coupling_sum(phase_BHNT, causal=causal) / num_coupled(phase_BHNT, causal=causal)
    slow = pairwise_coupling(phase_BHNT.double(), causal=causal)
    assert torch.allclose(fast.double(), slow, atol=1e-5)
    matrix_bytes = phase_BHNT.numel() * 512 * 4
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    coupling_sum(phase_BHNT, causal=causal)
    assert torch.cuda.max_memory_allocated() - before < matrix_bytes / 10


def test_bfloat16_is_close_to_float32() -> None:
    exact, rounded = (
        run(small_config(budget={"precision": precision, "steps": 60, "report_every": 60}), GPU)[-1]
        for precision in ("float32", "bfloat16")
    )
    assert rounded.metrics["val/bits_per_char"] == pytest.approx(exact.metrics["val/bits_per_char"], rel=0.02)


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_a_forward_pass_is_seeded_on_the_gpu_and_on_the_host(name: str) -> None:
    """Dropout and noise draw from the GPU's generator, which the host's seed does not touch."""
    draws = []
    for seed in (torch.manual_seed, lambda seed: seed_forward(torch.device(name), seed), lambda seed: None):
        seed(7)
        draws.append((torch.rand(3, device=name), torch.rand(3)))
    same, seeded, not_seeded = draws
    assert all(torch.equal(a, b) for a, b in zip(same, seeded, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(same, not_seeded, strict=True))
