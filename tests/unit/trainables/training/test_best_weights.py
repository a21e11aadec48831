"""`budget.score_at: best`: the weights of the best validation report are what is scored, probed and kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.models.configs import small_config
from tests.unit.trainables.training.test_loop import build, untimed
from trainables.config.trial import TrialConfig, config_id
from trainables.tasks.recall.config import RecallConfig
from trainables.training.best_weights import BestWeights, Choice
from trainables.training.loop import Report, Trainer, train
from trainables.training.numerics import Numerics

SCORE = "val_subset/bits_per_char"
FULL = "val/bits_per_char"


def wild(**budget: Any) -> TrialConfig:
    """Return a training that is best before its end: its learning rate is far too high."""
    return small_config(
        architecture={"dropout": 0.0},
        optimizer={"learning_rate": 0.03, "warmup_steps": 0, "schedule": "constant"},
        budget={"steps": 12, "report_every": 1, "eval_sequences": 4, **budget},
    )


def curve(reports: list[Report]) -> dict[int, float]:
    return {report.step: report.metrics[SCORE] for report in reports}


def state(trainer: Trainer) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def test_the_best_report_decides_what_is_scored_whole_and_left_in_the_model() -> None:
    config = wild(score_at="best")
    task = build(config)
    trainer = Trainer(config, 0, task, Numerics())
    weights, reports = {}, []
    for report in trainer.reports():
        weights[report.step] = state(trainer)
        reports.append(report)
    scores = curve(reports)
    best = min(scores, key=lambda step: scores[step])
    assert best not in (1, 12), "the example must have its best report in between"
    last = reports[-1]
    assert last.metrics["train/scored_step"] == best
    assert all(torch.equal(weights[12][name], tensor) for name, tensor in weights[best].items())

    plain = untimed(list(train(wild(), 0, task)))
    assert curve(plain) == scores, "training itself, and its curve, do not depend on what is scored"
    assert "train/scored_step" not in plain[-1].metrics
    assert last.metrics[FULL] < plain[-1].metrics[FULL]
    stopped = list(train(wild(steps=best), 0, task))[-1]
    own = {name for name in last.metrics if name.startswith(("val/", "test/", "probe/"))}
    assert own and all(last.metrics[name] == stopped.metrics[name] for name in own)


@pytest.mark.parametrize("stop_at", [2, 11])
def test_continuation_is_bit_exact_before_and_after_the_best(stop_at: int, tmp_path: Path) -> None:
    config = wild(score_at="best")
    task = build(config)
    expected = untimed(list(train(config, 0, task)))
    first = Trainer(config, 0, task, Numerics())
    for report in first.reports():
        if report.step == stop_at:
            before = state(first)
            first.save(tmp_path / "checkpoint.pt")
            assert all(torch.equal(before[name], tensor) for name, tensor in state(first).items())
            break
    second = Trainer(config, 0, task, Numerics())
    second.load(tmp_path / "checkpoint.pt")
    assert untimed(list(second.reports())) == [report for report in expected if report.step > stop_at]


def test_of_equals_the_first_stays_and_tied_weights_are_exchanged_once() -> None:
    task = build(wild())
    trainer = Trainer(wild(), 0, task, Numerics())
    best = BestWeights(trainer.model, Choice.of(task))
    start = state(trainer)
    best.offer(1, {SCORE: 2.0})
    trainer._train_one_step()
    moved = state(trainer)
    best.offer(2, {SCORE: 2.0})
    best.offer(3, {SCORE: math.inf})
    assert (best.step, best.score) == (1, 2.0)
    with best.applied():
        assert all(torch.equal(start[name], tensor) for name, tensor in state(trainer).items())
    assert all(torch.equal(moved[name], tensor) for name, tensor in state(trainer).items())
    assert any(not torch.equal(start[name], tensor) for name, tensor in moved.items())


def test_a_rate_is_best_where_it_is_highest() -> None:
    choice = Choice.of(RecallConfig(vocab_size=16, num_pairs=2, context_length=8).build(None))
    assert choice == ("val_subset/recall_accuracy", "maximise")
    best = BestWeights(Trainer(wild(), 0, build(wild()), Numerics()).model, choice)
    for step, accuracy in enumerate((0.2, 0.4, 0.3), start=1):
        best.offer(step, {choice.metric: accuracy})
    assert (best.step, best.score) == (2, 0.4)


def test_only_the_choice_of_the_best_is_a_part_of_the_name() -> None:
    """Configurations keep the names that they had before there was a choice."""
    plain, chosen, said = (wild(**budget) for budget in ({}, {"score_at": "best"}, {"score_at": "last"}))
    assert "score_at" not in plain.canonical()["budget"]
    assert config_id(plain, "data") == config_id(said, "data") != config_id(chosen, "data")
