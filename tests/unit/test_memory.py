import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from cluster.memory import EstimateError, estimate, optimizer_bytes
from trainables.architectures.base import ArchitectureConfig, LanguageModel, ModelOutput
from trainables.config import OptimizerConfig, TrialConfig
from trainables.registry import ARCHITECTURES

MIB = 2**20


def trial(*, batch_size=16, optimizer="adamw", context_length=64, **architecture):
    return TrialConfig.model_validate(
        {
            "architecture": {"name": "transformer", "d_model": 64, "num_heads": 4, **architecture},
            "task": {"name": "language", "context_length": context_length},
            "optimizer": {"name": optimizer},
            "budget": {"steps": 2, "batch_size": batch_size, "report_every": 2},
        }
    )


def estimated(config, **options):
    length = config.task.context_length
    return estimate(config, vocab_size=50, context_length=length, process_mib=0.0, **options)


@pytest.mark.parametrize("name", ["transformer", "kuramoto"])
def test_parameters_and_gradients_are_exact(name):
    config = trial(name=name)
    model = config.architecture.build(vocab_size=50, max_seq_len=64)
    trained = sum(p.nbytes for p in model.parameters())
    found = estimated(config)
    assert found.gradients_mib * MIB == trained
    assert found.optimizer_mib * MIB == 2 * trained
    assert found.parameters_mib * MIB == trained + sum(b.nbytes for b in model.buffers())


def test_adamw_state_is_that_of_the_real_optimiser():
    parameters = [nn.Parameter(torch.zeros(40, 30)), nn.Parameter(torch.zeros(7))]
    real = torch.optim.AdamW(parameters)
    sum(p.sum() for p in parameters).backward()
    real.step()
    state = [t for s in real.state.values() for name, t in s.items() if name != "step"]
    assert optimizer_bytes(OptimizerConfig(), [1200, 7]) == sum(t.nbytes for t in state)


def test_8bit_state_counts_blocks_and_small_tensors_in_full():
    config = OptimizerConfig(name="adamw_8bit")
    assert optimizer_bytes(config, [4095]) == 2 * 4 * 4095
    assert optimizer_bytes(config, [4096]) == 2 * (4096 + 4 * 16)
    assert optimizer_bytes(config, [4097]) == 2 * (4097 + 4 * 17)


class _Squares(LanguageModel):
    """Keeps exactly what autograd needs of `depth` squares, plus the loss."""

    def __init__(self, vocab_size, depth):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, vocab_size)
        self.depth = depth

    def forward(self, tokens_BT):
        x_BTV = self.embedding(tokens_BT)
        for _ in range(self.depth):
            x_BTV = x_BTV**2
        return ModelOutput(x_BTV, x_BTV.new_zeros(()))


class _Peeks(LanguageModel):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 4))

    def forward(self, tokens_BT):
        logits_BTV = self.weight[tokens_BT]
        if logits_BTV.sum().item() > 0:
            logits_BTV = -logits_BTV
        return ModelOutput(logits_BTV, logits_BTV.new_zeros(()))


@pytest.fixture
def plugins(monkeypatch):
    """Two architectures of a user's own, forgotten after the test."""
    monkeypatch.setattr(ARCHITECTURES, "_entries", dict(ARCHITECTURES._entries))
    monkeypatch.setattr(ARCHITECTURES, "_versions", dict(ARCHITECTURES._versions))

    @ARCHITECTURES.register("squares", version=1)
    class SquaresConfig(ArchitectureConfig):
        name: Literal["squares"] = "squares"

        def build(self, *, vocab_size, max_seq_len):
            return _Squares(vocab_size, self.num_layers)

    @ARCHITECTURES.register("peeks", version=1)
    class PeeksConfig(ArchitectureConfig):
        name: Literal["peeks"] = "peeks"

        def build(self, *, vocab_size, max_seq_len):
            return _Peeks()


def test_activations_are_what_the_backward_pass_needs(plugins):
    """A square keeps its input; the loss keeps log-probabilities; the last output is the logits."""
    config = trial(name="squares", num_layers=3, batch_size=32, context_length=128)
    found = estimate(config, vocab_size=64, context_length=128, process_mib=0.0)
    tensor_mib = 32 * 128 * 64 * 4 / MIB
    assert found.activations_mib == pytest.approx(5 * tensor_mib, rel=0.05)


def test_a_model_that_reads_values_is_refused_with_advice(plugins):
    with pytest.raises(EstimateError, match=r"'peeks' reads the values of tensors.*torch\.where"):
        estimate(trial(name="peeks"), vocab_size=4, context_length=8)


def test_activations_follow_the_micro_batch_and_the_rest_does_not():
    config = trial(batch_size=16)
    whole, half = estimated(config), estimated(config, micro_batch_size=8)
    assert half.activations_mib == pytest.approx(whole.activations_mib / 2, rel=0.05)
    assert half.optimizer_mib == whole.optimizer_mib
    assert estimated(config, micro_batch_size=99) == whole


def test_evaluation_is_in_the_peak():
    found = estimated(trial(batch_size=1, context_length=128))
    logits_mib = 64 * 128 * 50 * 4 / MIB
    assert found.activations_mib + found.workspace_mib > 2 * logits_mib > found.activations_mib


def test_parts_add_up_and_nothing_is_allocated():
    huge = trial(d_model=32768, num_heads=16, num_layers=4, batch_size=512, context_length=2048)
    found = estimated(huge)
    assert found.total_mib > 1e6
    parts = found.as_dict()
    total = parts.pop("total_mib")
    assert total == pytest.approx(sum(parts.values()), abs=0.5)


REAL = """
import json, re, sys
from pathlib import Path
from cluster.memory import estimate
from trainables.config import TrialConfig
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics

def status(key):
    return int(re.search(key + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def run(spec):
    config = TrialConfig.model_validate(spec)
    task = config.task.build(None)
    predicted = estimate(
        config, vocab_size=task.vocab_size, context_length=task.context_length, process_mib=0.0
    ).total_mib
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    list(Trainer(config, 0, task, Numerics()).reports())
    return predicted, status("VmHWM") - before

small, large = json.loads(sys.argv[1])
run(small)  # what the first step of a process imports is not the model's
print(json.dumps(run(large)))
"""


@pytest.mark.slow  # two processes that import torch and train: about 10 s
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's clear_refs")
@pytest.mark.parametrize("name", ["transformer", "kuramoto"])
def test_estimate_is_near_what_a_real_process_grows_by(name):
    def spec(config):
        fields = config.model_dump(mode="json")
        return {**fields, "task": {**fields["task"], "max_bytes": 50_000}}

    small = trial(name=name, d_model=16, batch_size=2)
    large = trial(name=name, d_model=192, batch_size=16, context_length=256)
    settings = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_TRIM_THRESHOLD_": "134217728"}
    answer = subprocess.run(
        [sys.executable, "-c", REAL, json.dumps([spec(small), spec(large)])],
        env={**os.environ, **settings, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    predicted, real = json.loads(answer.stdout)
    assert real > 200
    assert predicted == pytest.approx(real, rel=0.35)
