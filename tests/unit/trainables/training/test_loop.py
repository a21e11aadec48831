"""The training loop: repeatable, continuable at any step, and honest about divergence."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from tests.support.models.configs import KURAMOTO, small_config
from trainables.batch import Batch
from trainables.config.trial import TrialConfig
from trainables.tasks.base.task import Task
from trainables.tasks.text.ngrams import SOURCE_ENTROPY
from trainables.training import loop
from trainables.training.checkpoints import CheckpointError
from trainables.training.loop import Report, Trainer, train
from trainables.training.numerics import Numerics

TIMED = "train/tokens_per_second"
NOISY = {**KURAMOTO, "phase_noise": 0.1, "frequency_jitter": 0.05, "dropout": 0.1}
ARCHITECTURES = [pytest.param({}, id="transformer"), pytest.param(NOISY, id="kuramoto-with-noise")]


def build(config: TrialConfig) -> Task:
    return config.task.build(None)


def untimed(reports: list[Report]) -> list[Report]:
    """Drop the one metric that the clock decides."""
    return [replace(r, metrics={k: v for k, v in r.metrics.items() if k != TIMED}) for r in reports]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_same_seed_same_bits_and_another_seed_other_bits(architecture: dict[str, object]) -> None:
    config = small_config(architecture=architecture)
    task = build(config)
    first, again, other = (untimed(list(train(config, seed, task))) for seed in (1, 1, 2))
    assert first == again
    assert first[-1].metrics["train/loss"] != other[-1].metrics["train/loss"]


@pytest.mark.parametrize(
    ("stop_at", "optimizer", "architecture"),
    [
        pytest.param(1, "adamw_8bit", {}, id="1-adamw_8bit-transformer"),
        pytest.param(5, "adamw", {}, id="5-adamw-transformer"),
        pytest.param(7, "adamw", NOISY, id="7-adamw-kuramoto-with-noise"),
        pytest.param(7, "adamw_8bit", NOISY, id="7-adamw_8bit-kuramoto-with-noise"),
    ],
)
def test_continuation_is_bit_exact_at_any_step(
    stop_at: int, optimizer: str, architecture: dict[str, object], tmp_path: Path
) -> None:
    # 64 wide, because bitsandbytes keeps tensors below 4096 elements in 32 bits
    config = small_config(architecture={**architecture, "d_model": 64}, optimizer={"name": optimizer})
    task = build(config)
    whole = Trainer(config, 3, task, Numerics())
    expected = untimed(list(whole.reports()))

    first = Trainer(config, 3, task, Numerics())
    for _ in range(stop_at):
        first._train_one_step()
        if first.step % config.budget.report_every == 0:
            first._report()
    first.save(tmp_path / "checkpoint.pt")
    second = Trainer(config, 3, task, Numerics())
    second.load(tmp_path / "checkpoint.pt")
    continued = untimed(list(second.reports()))

    assert continued == [report for report in expected if report.step > stop_at]
    for name, parameter in whole.model.state_dict().items():
        assert torch.equal(parameter, second.model.state_dict()[name]), name


CHANGED = [{"from_step": 5, "learning_rate": 1e-2, "weight_decay": 0.3}, {"from_step": 8, "learning_rate": 1e-3}]
"""Two changes of an optimiser."""


@pytest.mark.parametrize(("stop_at", "count"), [(2, 1), (5, 1), (5, 0), (8, 1)])
def test_what_is_equal_until_a_change_may_be_adopted_bit_for_bit(stop_at: int, count: int, tmp_path: Path) -> None:
    """A configuration with the first `count` of two changes trains; one with both goes on from there."""
    config = small_config(optimizer={"changes": CHANGED}, architecture=NOISY)
    task, path = build(config), tmp_path / "checkpoint.pt"
    expected = untimed(list(Trainer(config, 3, task, Numerics()).reports()))
    earlier, until = config.earlier()[1 - count]
    assert (len(earlier.optimizer.changes), until) == (count, CHANGED[count]["from_step"])
    parent = Trainer(earlier, 3, task, Numerics())
    for _ in range(stop_at):
        parent._train_one_step()
        if parent.step % config.budget.report_every == 0:
            parent._report()
    parent.save(path, {"seconds": 7.0})
    child = Trainer(config, 3, task, Numerics())
    assert child.adopt(path, earlier, until)
    assert child.spent == {}, "the other replicate paid for it"
    assert untimed(list(child.reports())) == [report for report in expected if report.step > stop_at]
    plain = small_config(optimizer={"weight_decay": 0.1}, architecture=NOISY)
    assert untimed(list(train(plain, 3, task)))[-1] != expected[-1], "the changes matter"


def test_what_came_after_the_change_or_is_of_another_replicate_is_not_adopted(tmp_path: Path) -> None:
    config = small_config(optimizer={"changes": CHANGED})
    task, path = build(config), tmp_path / "checkpoint.pt"
    (nearest, until), (first, first_until) = config.earlier()
    parent = Trainer(nearest, 3, task, Numerics())
    for _ in range(9):
        parent._train_one_step()
    parent.save(path)
    child = Trainer(config, 3, task, Numerics())
    assert not child.adopt(path, nearest, until)
    assert child.step == 0
    with pytest.raises(CheckpointError, match="not of"):
        child.adopt(path, first, first_until)
    with pytest.raises(CheckpointError, match="not of"):
        Trainer(config, 4, task, Numerics()).adopt(path, nearest, until)


def test_arms_share_data_order_and_the_start_of_what_they_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds are paired: the same batches in the same order, equal-named parameters equal at the start."""
    task = build(small_config())
    drawn: list[torch.Tensor] = []
    original = task.batch

    def spy(size: int, generator: torch.Generator) -> Batch:
        batch = original(size, generator)
        drawn.append(batch.inputs_BT)
        return batch

    monkeypatch.setattr(task, "batch", spy)
    trainers = [Trainer(small_config(architecture=a), 7, task, Numerics()) for a in ({}, KURAMOTO)]
    starts = [trainer.model.state_dict() for trainer in trainers]
    shared = [name for name in starts[0] if name in starts[1] and starts[0][name].shape == starts[1][name].shape]
    assert len(shared) > 5
    assert all(torch.equal(starts[0][name], starts[1][name]) for name in shared)
    for trainer in trainers:
        for _ in range(4):
            trainer._train_one_step()
    assert all(torch.equal(a, b) for a, b in zip(drawn[:4], drawn[4:], strict=True))
    assert not torch.equal(drawn[0], drawn[1])


def test_every_seed_has_batches_and_noise_of_its_own() -> None:
    """Replicates that shared either would not be independent, though their scores would still differ."""
    config = small_config()
    task = build(config)
    batches: dict[int, list[torch.Tensor]] = {}
    noise: dict[int, list[int]] = {}
    for seed in (0, 1):
        trainer = Trainer(config, seed, task, Numerics(micro_batch_size=3))
        seen, streams = batches.setdefault(seed, []), noise.setdefault(seed, [])

        def look(_: object, inputs: tuple[torch.Tensor], seen: Any = seen, streams: Any = streams) -> None:
            seen.append(inputs[0])
            streams.append(torch.initial_seed())

        trainer.model.register_forward_pre_hook(look)
        for _ in range(3):
            trainer._train_one_step()
    assert not any(torch.equal(a, b) for a, b in zip(batches[0], batches[1], strict=True))
    assert len(set(noise[0]) | set(noise[1])) == 2 * len(noise[0]) == 12


def test_a_checkpoint_of_another_replicate_is_refused(tmp_path: Path) -> None:
    config = small_config()
    task = build(config)
    Trainer(config, 0, task, Numerics()).save(tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="seed=0"):
        Trainer(config, 1, task, Numerics()).load(tmp_path / "c.pt")


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config()
    trainer = Trainer(config, 0, build(config), Numerics())
    trainer.save(tmp_path / "c.pt")
    before = (tmp_path / "c.pt").read_bytes()

    def dies(state: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(OSError, match="disk full"):
        trainer.save(tmp_path / "c.pt")
    assert (tmp_path / "c.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("steps", [8, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("architecture", [{}, KURAMOTO])
def test_gradient_accumulation_computes_the_same(architecture: dict[str, object], steps: int) -> None:
    """Equal in float64 to 1e-10: the micro-batch changes rounding, nothing else."""
    config = small_config(architecture=architecture, budget={"steps": steps, "report_every": steps})
    task = build(config)
    models = []
    for micro_batch_size in (None, 1, 4):
        trainer = Trainer(config, 0, task, Numerics(micro_batch_size=micro_batch_size))
        trainer.model.double()
        for _ in range(steps):
            trainer._train_one_step()
        models.append(trainer.model.state_dict())
    for name, whole in models[0].items():
        for other in models[1:]:
            assert torch.allclose(whole, other[name], rtol=0, atol=1e-10), name


def test_reports_come_when_promised_and_the_last_scores_everything() -> None:
    config = small_config(task={"test_fraction": 0.1})
    reports = list(train(config, 0, build(config)))
    assert [(r.step, r.outcome) for r in reports] == [(5, None), (10, None), (12, "finished")]
    assert "val_subset/bits_per_char" in reports[0].metrics
    assert "val/bits_per_char" not in reports[0].metrics
    assert {"val/bits_per_char", "test/bits_per_char", "probe/leak"} <= reports[-1].metrics.keys()


def test_sequences_to_train_on_may_differ_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every batch is trained on and counted as long as it is; here the clock says one second a report."""
    copying = {"name": "copy", "min_symbols": 2, "num_symbols": 9, "delay": 1, "num_val": 20, "num_test": 0}
    config = TrialConfig.model_validate({**small_config().model_dump(), "task": copying})
    lengths: list[int] = []
    backward = Trainer._backward

    def noting_backward(trainer: Trainer, batch: Batch, weight: float) -> torch.Tensor:
        lengths.append(batch.inputs_BT.shape[1])
        return backward(trainer, batch, weight)

    monkeypatch.setattr(Trainer, "_backward", noting_backward)
    clock = iter(range(100))
    monkeypatch.setattr("trainables.training.loop.time.monotonic", lambda: float(next(clock)))
    reports = list(train(config, 0, build(config)))
    assert len(lengths) == config.budget.steps and len(set(lengths)) > 3
    assert sum(r.metrics[TIMED] for r in reports) == sum(lengths) * config.budget.batch_size


def test_training_learns_and_no_model_beats_the_known_entropy() -> None:
    config = small_config(budget={"steps": 150, "report_every": 75, "batch_size": 16})
    task = build(config)
    last = list(train(config, 0, task))[-1].metrics
    chance = math.log2(task.vocab_size)
    entropy = task.references()[SOURCE_ENTROPY]["val/bits_per_char"]
    assert entropy < last["val/bits_per_char"] < chance - 0.3


def test_a_diverging_replicate_ends_as_diverged_and_says_where() -> None:
    config = small_config(
        optimizer={"learning_rate": 1e6, "warmup_steps": 0, "clip_norm": 1e6}, budget={"divergence_loss": 10.0}
    )
    reports = list(train(config, 0, build(config)))
    assert reports[-1].outcome == "diverged"
    assert reports[-1].step < config.budget.steps


def test_a_loss_that_explodes_between_reports_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(budget={"divergence_loss": 10.0})
    trainer = Trainer(config, 0, build(config), Numerics())
    original = trainer._backward

    def explodes(batch: Batch, weight: float) -> torch.Tensor:
        return original(batch, weight) + (50.0 if trainer.step == 1 else 0.0)

    monkeypatch.setattr(trainer, "_backward", explodes)
    (report,) = trainer.reports()
    assert (report.step, report.outcome) == (5, "diverged")
    assert "above divergence_loss = 10" in report.reason


def test_divergence_is_looked_at_between_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A NaN would train on to the next report, however far that is."""
    monkeypatch.setattr(loop, "LOOK_EVERY_STEPS", 4)
    config = small_config(budget={"report_every": 12})
    trainer = Trainer(config, 0, build(config), Numerics())
    original = trainer._backward

    def breaks(batch: Batch, weight: float) -> torch.Tensor:
        return original(batch, weight) + (math.nan if trainer.step == 5 else 0.0)

    monkeypatch.setattr(trainer, "_backward", breaks)
    (report,) = trainer.reports()
    assert (report.step, report.outcome, report.reason) == (8, "diverged", "training loss became nan by step 8")


def test_a_note_between_reports_survives_a_continuation(tmp_path: Path) -> None:
    config = small_config()
    first = Trainer(config, 0, build(config), Numerics())
    first._train_one_step()
    first._notes.append("calibrated")
    first.save(tmp_path / "c.pt", {"seconds": 3.0})
    second = Trainer(config, 0, build(config), Numerics())
    second.load(tmp_path / "c.pt")
    assert second.spent == {"seconds": 3.0}
    assert next(second.reports()).notes == ("calibrated",)


def test_the_penalty_is_trained_but_not_reported_as_loss() -> None:
    shared = {**KURAMOTO, "coherence_form": "centre", "coherence_target": 0.0}  # phases start aligned: R is near 1
    plain = small_config(architecture={**shared, "coherence_weight": 0.0})
    heavy = small_config(architecture={**shared, "coherence_weight": 5.0})
    task = build(plain)
    loss = [next(train(config, 0, task)).metrics for config in (plain, heavy)]
    assert loss[0]["train/loss"] != loss[1]["train/loss"]
    assert abs(loss[0]["train/loss"] - loss[1]["train/loss"]) < 0.5


def test_clipping_bounds_the_step() -> None:
    config = small_config(optimizer={"clip_norm": 1e-6})
    trainer = Trainer(config, 0, build(config), Numerics())
    norms: list[float] = []
    trainer.optimizer.register_step_pre_hook(
        lambda *_: norms.append(
            float(torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in trainer.model.parameters()])))
        )
    )
    trainer._train_one_step()
    assert norms[0] <= 1e-6 * 1.001


def test_bfloat16_keeps_parameters_in_float32() -> None:
    config = small_config(budget={"precision": "bfloat16", "steps": 4, "report_every": 4})
    trainer = Trainer(config, 0, build(config), Numerics())
    last = list(trainer.reports())[-1]
    assert last.outcome == "finished"
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    exact = list(train(small_config(budget={"steps": 4, "report_every": 4}), 0, build(config)))[-1]
    assert last.metrics["train/loss"] == pytest.approx(exact.metrics["train/loss"], rel=0.02)
    assert last.metrics["train/loss"] != exact.metrics["train/loss"]
