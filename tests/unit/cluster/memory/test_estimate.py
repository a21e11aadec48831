"""The estimate of a trial's memory: exact where it can be, and near what real processes grow by."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any, Literal

import pytest
import torch
from torch import nn

from cluster.memory.dry_run import dry_run
from cluster.memory.estimate import EstimateError, MemoryEstimate, estimate, size_key
from cluster.memory.kernels import CpuKernels
from cluster.memory.task_data import held_out_sequences, task_mib
from tests.benchmarks.memory_error import CONTROL, KURAMOTO, POOL, PUBLISHED, Case, measure_all
from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.config.trial import TrialConfig
from trainables.layers import order_parameters
from trainables.randomness import Constant
from trainables.registry import ARCHITECTURES
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics

MIB = 2**20


def trial(*, batch_size: int = 16, optimizer: str = "adamw", length: int = 64, **architecture: Any) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "architecture": {"name": "transformer", "d_model": 64, "num_heads": 4, **architecture},
            "task": {"name": "language", "context_length": length, "max_bytes": 4000},
            "optimizer": {"name": optimizer},
            "budget": {"steps": 2, "batch_size": batch_size, "report_every": 2},
        }
    )


def estimated(config: TrialConfig, **options: Any) -> MemoryEstimate:
    """With few validation windows, so that the peak is in training."""
    given = {"vocab_size": 50, "context_length": config.task.context_length, "process_mib": 0.0}  # type: ignore[attr-defined]
    return estimate(config, **{**given, "held_out_sequences": 1, **options})


@pytest.mark.parametrize("name", ["transformer", "kuramoto", "mean_pool"])
def test_parameters_and_gradients_are_exact(name: str) -> None:
    config = trial(name=name)
    model = config.architecture.build(vocab_size=50, max_seq_len=64)
    parameters = list(model.parameters())
    trained = sum(p.nbytes for p in parameters)
    found = estimated(config)
    assert found.peak_stage == "training"
    assert found.gradients_mib * MIB == trained
    assert found.optimizer_mib * MIB == 2 * trained + 4 * len(parameters)  # and each one's count of steps
    assert found.parameters_mib * MIB == trained + sum(b.nbytes for b in model.buffers())


def test_8bit_state_is_that_of_the_real_optimiser() -> None:
    """Large tensors in 8 bits with a scale for every 256, small ones in 32."""
    config = trial(optimizer="adamw_8bit", d_model=100, num_layers=1)
    task = config.task.build(None)
    trainer = Trainer(config, 0, task, Numerics())
    list(trainer.reports())
    states = [
        t for state in trainer.optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)
    ]
    real = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in states}
    assert {t.dtype for t in states} == {torch.uint8, torch.float32}
    assert estimated(config, vocab_size=task.vocab_size).optimizer_mib * MIB == sum(real.values())


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
        self.initializers = {"weight": Constant(0.0)}

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


def test_activations_are_what_the_backward_pass_needs(plugins: None) -> None:
    """A square keeps its input; the loss keeps log-probabilities; the last output is the logits."""
    config = trial(name="squares", num_layers=3, batch_size=32, length=128)
    found = estimated(config, vocab_size=64)
    tensor_mib = 32 * 128 * 64 * 4 / MIB
    assert found.activations_mib == pytest.approx(5 * tensor_mib, rel=0.05)


def test_a_model_that_reads_values_is_refused_with_advice(plugins: None) -> None:
    with pytest.raises(EstimateError, match=r"'peeks' reads the values of tensors.*torch\.where"):
        estimated(trial(name="peeks"), vocab_size=4)


def test_activations_follow_the_micro_batch_and_the_rest_does_not() -> None:
    config = trial(batch_size=64)
    whole, half = estimated(config), estimated(config, micro_batch_size=32)
    assert whole.peak_stage == half.peak_stage == "training"
    assert half.activations_mib == pytest.approx(whole.activations_mib / 2, rel=0.05)
    assert (half.optimizer_mib, half.gradients_mib) == (whole.optimizer_mib, whole.gradients_mib)
    assert estimated(config, micro_batch_size=99) == whole


def test_evaluation_and_probes_are_in_the_peak() -> None:
    """Both go through 64 sequences at once, and the logits of one batch are gone before the next is scored."""
    config = trial(batch_size=1, length=128)
    trained, one, more = (estimated(config, held_out_sequences=number) for number in (1, 64, 9999))
    logits_mib = 64 * 128 * 50 * 4 / MIB
    assert (trained.peak_stage, one.peak_stage, more.peak_stage) == ("training", "probes", "probes")
    assert (one.gradients_mib, one.activations_mib) == (0.0, 0.0)
    assert trained.total_mib + 2 * logits_mib < one.total_mib < more.total_mib < one.total_mib + 0.5 * logits_mib
    assert more == estimated(config, held_out_sequences=256)


@pytest.mark.parametrize("name", ["transformer", "kuramoto"])
def test_probes_need_no_more_than_scoring(name: str) -> None:
    """So that no trial is larger for being probed on four times as many sequences, but for their tokens."""
    config = trial(name=name, batch_size=1, length=128)
    sizes: dict[str, Any] = {"vocab_size": 50, "context_length": 128, "micro_batch_size": 1, "device": "cpu"}
    held = dry_run(config, held_out_sequences=256, **sizes).held
    tokens = 2 * 256 * 128 * torch.long.itemsize
    assert 0.8 * held["evaluation"] < held["probes"] < held["evaluation"] + tokens


def test_probes_of_where_an_answer_stands_are_in_the_peak() -> None:
    """Every curvature beside every sequence's answer: 64 x 64 rows of a number for each position."""
    config = trial(name="resonant", d_model=8, num_heads=1, num_layers=1, pvm={}, batch_size=1)
    sizes = {"held_out_sequences": 64, "context_length": 256}
    without, asked = estimated(config, **sizes), estimated(config, **sizes, answer_length=4)
    assert asked.peak_stage == "probes"
    assert asked.total_mib > without.total_mib + 64 * 64 * 254 * 8 / MIB


def test_a_long_prompt_has_the_logits_of_its_answer_and_two_states_and_no_more() -> None:
    config = trial(name="pretrained", num_layers=2, batch_size=1)
    config = config.model_copy(update={"budget": config.budget.model_copy(update={"steps": 0})})
    long, vocab = 4096, 4000
    read, scored = (
        estimated(config, vocab_size=vocab, max_length=long, reads_ahead=ahead) for ahead in (True, False)
    )
    logits, keys_and_values = long * vocab * 4, 2 * 2 * long * 64 * 4
    assert scored.workspace_mib * MIB > 2 * logits
    assert 2 * keys_and_values < read.workspace_mib * MIB < logits


def test_each_length_in_bfloat16_leaves_compiled_products() -> None:
    """Those of the leak probe, and of a smaller last part; a float32 trial needs neither."""
    sizes: dict[str, Any] = {"vocab_size": 50, "context_length": 64, "micro_batch_size": 1, "device": "cpu"}
    config = trial(batch_size=1, num_layers=1)
    half = config.model_copy(update={"budget": config.budget.model_copy(update={"precision": "bfloat16"})})
    even, uneven = (dry_run(half, held_out_sequences=number, **sizes).live for number in (64, 65))
    each = CpuKernels.compiled_bytes
    assert even["probes"] - even["evaluation"] > 8 * 5 * each, "five products for each of eight lengths"
    assert uneven["evaluation"] - even["evaluation"] > 8 * 5 * each


def test_parts_add_up_and_nothing_is_allocated() -> None:
    huge = trial(d_model=32768, num_heads=16, num_layers=4, batch_size=512, length=2048)
    found = estimated(huge, task_mib=7.0, process_mib=300.0)
    assert found.total_mib > 1e6
    parts = found.as_dict()
    total = parts.pop("total_mib")
    assert set(parts) == {item.name for item in fields(found) if item.name.endswith("_mib")}
    assert total == pytest.approx(sum(parts.values()), abs=0.5)
    assert found.total_mib == pytest.approx(estimated(huge).total_mib + 307.0)


def test_an_estimate_leaves_no_trace_in_its_process() -> None:
    """Random state, settings, and what a module remembers for ever after computing it once."""
    order_parameters.expected_head_averaged.cache_clear()
    deterministic = torch.are_deterministic_algorithms_enabled()
    random, threads, benchmark = torch.get_rng_state(), torch.get_num_threads(), torch.backends.cudnn.benchmark
    estimated(trial(name="kuramoto", num_oscillators=5))
    assert torch.equal(random, torch.get_rng_state())
    assert (threads, benchmark) == (torch.get_num_threads(), torch.backends.cudnn.benchmark)
    assert deterministic == torch.are_deterministic_algorithms_enabled()
    remembered = order_parameters.expected_head_averaged(4, 5)
    order_parameters.expected_head_averaged.cache_clear()
    assert remembered == order_parameters.expected_head_averaged(4, 5) != 1.0


def test_the_key_of_a_size_has_all_that_matters_and_nothing_else() -> None:
    def key(config: TrialConfig, **options: Any) -> str:
        return size_key(config, **{"vocab_size": 50, "context_length": 64, **options})

    config = trial(name="kuramoto")
    rate = config.optimizer.model_copy(update={"learning_rate": 0.5})
    longer = config.budget.model_copy(update={"steps": 999})
    assert key(config) == key(config.model_copy(update={"optimizer": rate, "budget": longer}))
    assert key(config) == key(trial(name="kuramoto", coupling=0.3, sign="repulsive"))
    assert key(config) == key(config, micro_batch_size=16, held_out_sequences=10_000)
    others = [trial(name="kuramoto", batch_size=8), trial(name="kuramoto", optimizer="adamw_8bit"), trial()]
    different = [key(other) for other in others]
    different += [key(config, micro_batch_size=8), key(config, held_out_sequences=9), key(config, vocab_size=9)]
    different += [key(config, answer_length=4), key(config, reads_ahead=True)]
    assert len({key(config), *different}) == 9


def test_a_task_is_as_large_as_its_text_and_tokens() -> None:
    config = trial()
    large = config.task.model_copy(update={"max_bytes": 1_000_000})
    task = large.build(None)
    # the text, its two splits, and a byte for each token of a small vocabulary
    assert task_mib(task) == pytest.approx(3e6 / MIB, rel=0.1)
    assert task_mib(task) > 100 * task_mib(nothing := config.task.model_copy(update={"max_bytes": 200}).build(None))
    assert held_out_sequences(task) == 256
    assert held_out_sequences(nothing) == 1


needs_clear_refs = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's clear_refs"
)


REAL = (
    # parameters and the optimiser's state
    Case(architecture=CONTROL, width=768, depth=4, batch=1, length=16, windows=4),
    Case(architecture=CONTROL, width=768, depth=4, batch=1, length=16, windows=4, optimizer="adamw_8bit"),
    # activations of a training step
    Case(architecture=CONTROL, width=64, depth=2, batch=160, length=128),
    Case(architecture=CONTROL, width=64, depth=2, batch=512, length=128, precision="bfloat16"),
    Case(architecture={**CONTROL, "dropout": 0.1}, width=64, depth=2, batch=96, length=128),
    Case(architecture={**CONTROL, "checkpoint_blocks": True}, width=64, depth=6, batch=256, length=128),
    Case(architecture=KURAMOTO, width=64, depth=2, batch=64, length=128),
    Case(architecture=KURAMOTO, width=64, depth=2, batch=160, length=128, precision="bfloat16"),
    Case(architecture={**KURAMOTO, "phase_noise": 0.1}, width=64, depth=2, batch=96, length=128, micro=48),
    Case(architecture=PUBLISHED, width=64, depth=3, batch=96, length=128, micro=48),
    Case(architecture=POOL, width=64, depth=3, batch=192, length=128),
    # evaluation and probes
    Case(architecture=CONTROL, width=128, depth=1, batch=2, length=1024, windows=96),
    Case(architecture=CONTROL, width=192, depth=1, batch=2, length=1024, windows=96, precision="bfloat16"),
    Case(architecture=KURAMOTO, width=128, depth=1, batch=2, length=1024, windows=96),
    Case(architecture=POOL, width=128, depth=1, batch=2, length=1024, windows=64),
)
"""A case for each part of the estimate; the benchmark has more of each, and larger ones."""


@needs_clear_refs
@pytest.mark.slow
def test_every_estimate_is_near_what_a_real_process_grows_by() -> None:
    """All after one start of Python, which takes as long as a trial."""
    outcomes = measure_all(REAL)
    in_steps = [outcome.stage in {"training", "optimizer"} for outcome in outcomes]
    assert in_steps == [case.length < 1024 for case in REAL]
    assert not [outcome for outcome in outcomes if outcome.measured_mib < 200], "a small peak shows little"
    assert not [outcome for outcome in outcomes if abs(outcome.error) > 0.06]
