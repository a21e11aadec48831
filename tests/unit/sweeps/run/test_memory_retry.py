"""Recovery from an out-of-memory: half the micro-batch from the last checkpoint on changes rounding and nothing
else, where the flags say so, and really more where they do not; and it happens in a fresh process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.models.configs import KURAMOTO, small_assignment, small_config
from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.gpt import BackboneConfig
from trainables.batch import Batch
from trainables.config.trial import TrialConfig
from trainables.layers.mixer import Mixer, MixerOutput
from trainables.registry import ARCHITECTURES
from trainables.tasks.base import TaskConfig
from trainables.tasks.base.task import Task
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics
from trainables.worker.assignment import CONFIG_KEY, EVENT_KEY
from trainables.worker.attempt import Attempt
from trainables.worker.memory_limit import WorkerRecycledError
from trainables.worker.single_worker import ReplicateTrainable

SMALL = {"d_model": 8, "num_layers": 2, "num_heads": 2}
LARGE, HALF = 6, 3
"""Micro-batches: the whole batch, and half of it."""

FALLS_AT = 3
"""Steps done at the last checkpoint before the memory runs out."""


class BatchMeanMixer(Mixer):
    """Sequences that see each other."""

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        return MixerOutput(x_BTD - x_BTD.mean(0, keepdim=True))


class BatchMeanConfig(BackboneConfig):
    @property
    def violates(self) -> frozenset[str]:
        return frozenset({"batch_independence"})

    def build_mixer(self, layer: int) -> Mixer:
        return BatchMeanMixer()


CLASSES = [found for name in ARCHITECTURES.names() if (found := ARCHITECTURES.get(name)).learns]
LIBRARY = [config for found in CLASSES for config in found.contract_configs()]
CONTROLLED = [
    ARCHITECTURES.parse({**SMALL, **KURAMOTO, **control})
    for control in ({"phase_noise": 0.05}, {"frequency_jitter": 0.05}, {"coherence_weight": 1.0})
]
CASES: list[ArchitectureConfig] = [*LIBRARY, *CONTROLLED, BatchMeanConfig(name="batch_mean", **SMALL)]


def cases(*, invariant: bool) -> list[Any]:
    """Return the cases as parameters; all but one a family are slow: by their contract gradients add up."""
    chosen = [config for config in CASES if config.microbatch_invariant is invariant]
    firsts = {config.name: config for config in reversed(chosen)}
    own = [config in CONTROLLED or config is firsts[config.name] for config in chosen]
    marks = [[] if is_quick else [pytest.mark.slow] for is_quick in own]
    return [pytest.param(config, marks=mark) for config, mark in zip(chosen, marks, strict=True)]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Leave the process with the threads and the architectures that it had."""
    threads, known = torch.get_num_threads(), ARCHITECTURES.registrations()
    ARCHITECTURES.register("batch_mean", version=1)(BatchMeanConfig)
    yield
    ARCHITECTURES.restore(known)
    torch.set_num_threads(threads)


def short(config: ArchitectureConfig) -> str:
    fields = config.model_dump(exclude_defaults=True, exclude={*SMALL, "phase_layers", "num_oscillators"})
    return "-".join(map(str, {"name": config.name, **fields}.values()))


def configuration(architecture: ArchitectureConfig, steps: int) -> TrialConfig:
    config = small_config(budget={"steps": steps, "report_every": steps, "batch_size": LARGE})
    return config.model_copy(update={"architecture": architecture})


class Run:
    """A replicate in training, with what it was trained on and its loss after each step."""

    def __init__(self, config: TrialConfig, task: Task, micro_batch_size: int, dtype: torch.dtype) -> None:
        self.trainer = Trainer(config, 5, task, Numerics(micro_batch_size=micro_batch_size))
        self.trainer.model.to(dtype)
        self.trainer.model.register_forward_pre_hook(lambda _, inputs: self.seen[-1].append(inputs[0]))
        self.seen: list[list[Tensor]] = []
        self.losses: list[float] = []

    def train(self, until: int) -> None:
        while self.trainer.step < until:
            self.seen.append([])
            before = float(self.trainer._loss_sum)
            self.trainer._train_one_step()
            self.losses.append(float(self.trainer._loss_sum) - before)


def recovered_and_whole(config: TrialConfig, task: Task, dtype: torch.dtype, folder: Path) -> tuple[Run, Run]:
    """Return a replicate whose micro-batch was halved on its way, and one that ran so all the time."""
    steps = config.budget.steps
    falls = Run(config, task, LARGE, dtype)
    falls.train(FALLS_AT)
    falls.trainer.save(folder / "checkpoint.pt")
    recovered = Run(config, task, HALF, dtype)
    recovered.trainer.load(folder / "checkpoint.pt")
    recovered.train(steps)
    recovered.seen, recovered.losses = falls.seen + recovered.seen, falls.losses + recovered.losses
    whole = Run(config, task, HALF, dtype)
    whole.train(steps)
    return recovered, whole


def difference(one: Run, other: Run) -> float:
    """Return the largest difference of a loss or a parameter."""
    losses = max(abs(a - b) for a, b in zip(one.losses, other.losses, strict=True))
    states = one.trainer.model.state_dict(), other.trainer.model.state_dict()
    return max(losses, *(float((states[0][name] - states[1][name]).abs().max()) for name in states[0]))


@pytest.mark.parametrize("architecture", cases(invariant=True), ids=short)
def test_a_halved_micro_batch_equals_one_that_was_small_all_the_time(
    architecture: ArchitectureConfig, tmp_path: Path
) -> None:
    config = configuration(architecture, 8)
    recovered, whole = recovered_and_whole(config, config.task.build(None), torch.float64, tmp_path)
    assert recovered.trainer.model.state_dict().keys() == whole.trainer.model.state_dict().keys()
    assert difference(recovered, whole) < 1e-10
    assert {len(parts) for parts in recovered.seen} == {1, 2}, "it did change the micro-batch"
    assert len(recovered.seen) == len(whole.seen) == 8
    for mine, theirs in zip(recovered.seen, whole.seen, strict=True):
        assert torch.equal(torch.cat(mine), torch.cat(theirs)), "the same sequences at each step, in the same order"


def test_in_float32_it_is_rounding_that_differs(tmp_path: Path) -> None:
    config = configuration(CASES[0], 8)
    recovered, whole = recovered_and_whole(config, config.task.build(None), torch.float32, tmp_path)
    assert 0 < difference(recovered, whole) < 1e-5


@pytest.mark.parametrize("architecture", cases(invariant=False), ids=short)
def test_what_says_that_it_depends_on_the_micro_batch_does(
    architecture: ArchitectureConfig, tmp_path: Path
) -> None:
    config = configuration(architecture, 10)
    recovered, whole = recovered_and_whole(config, config.task.build(None), torch.float64, tmp_path)
    assert difference(recovered, whole) > 1e-6


def test_every_reason_to_depend_on_the_micro_batch_is_among_the_cases() -> None:
    """And every architecture is there with both answers, or the tests above would say little."""
    for answer in (True, False):
        assert {c.name for c in LIBRARY} == {c.name for c in LIBRARY if c.microbatch_invariant is answer}
    assert not any(config.microbatch_invariant for config in (*CONTROLLED, CASES[-1]))


def test_a_task_splits_only_if_it_scores_every_sequence_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean over scored positions is no mean over sequences where some have fewer; a task must claim it."""
    config = configuration(CASES[0], 10)
    assert config.task.microbatch_invariant
    assert not TaskConfig.microbatch_invariant.fget(config.task), "unless a task says so, nothing is known"
    task = config.task.build(None)
    whole_batch = task.batch

    def masked(size: int, generator: torch.Generator) -> Batch:
        batch = whole_batch(size, generator)
        batch.targets_BT[0, 1:] = -100
        return batch

    monkeypatch.setattr(task, "batch", masked)
    recovered, whole = recovered_and_whole(config, task, torch.float64, tmp_path)
    assert difference(recovered, whole) > 1e-6


def tune_config(folder: Path, seed: int) -> dict[str, Any]:
    return {CONFIG_KEY: small_assignment(folder, seed=seed, replicate_dir=str(folder / f"seed={seed}")).to_json()}


def actor_at_its_end(folder: Path) -> tuple[ReplicateTrainable, dict[str, Any]]:
    """Return an actor after the last event of its trial, and the result that held it."""
    actor = ReplicateTrainable.__new__(ReplicateTrainable)  # without Tune's own __init__, which looks for a session
    actor.setup(tune_config(folder, seed=0))
    while True:
        result = actor.step()
        if json.loads(result[EVENT_KEY]).get("outcome") is not None:
            return actor, result


def test_a_process_that_ran_out_of_memory_tells_its_result_and_then_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def eats(trainer: Trainer) -> None:
        raise MemoryError("no more")

    monkeypatch.setattr(Trainer, "_train_one_step", eats)
    actor, result = actor_at_its_end(tmp_path)
    assert json.loads(result[EVENT_KEY])["outcome"] == "oom"
    assert result["done"] is False, "Tune keeps the process of a trial that is done"
    with pytest.raises(WorkerRecycledError, match="ran out of memory; the result was told before"):
        actor.step()


@pytest.mark.parametrize("why", ["its trial left 900 MiB behind", ""])
def test_a_process_that_keeps_its_trial_s_memory_ends_too(
    why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Attempt, "recycle_reason", lambda _: why)
    actor, result = actor_at_its_end(tmp_path)
    assert json.loads(result[EVENT_KEY])["outcome"] == "finished"
    assert result["done"] is (not why)
    if why:
        with pytest.raises(WorkerRecycledError, match=why):
            actor.step()
    assert not (tmp_path / "seed=0" / "stacks.txt").exists(), "the watch over it is over"
