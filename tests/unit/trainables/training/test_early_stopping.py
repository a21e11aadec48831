"""`budget.patience`: a replicate that no longer improves on validation data has finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.models.configs import small_config
from tests.unit.trainables.training.test_loop import build, untimed
from trainables.config.trial import TrialConfig, config_id
from trainables.training.best_weights import Choice
from trainables.training.early_stopping import EarlyStopping
from trainables.training.loop import Report, Trainer, train
from trainables.training.numerics import Numerics

SCORE = "val_subset/bits_per_char"


def wild(**budget: Any) -> TrialConfig:
    """Return a training that soon gets no better: its learning rate is far too high."""
    return small_config(
        optimizer={"learning_rate": 0.03, "warmup_steps": 0, "schedule": "constant"},
        budget={"steps": 12, "report_every": 1, "eval_sequences": 4, **budget},
    )


def stops_after(reports: list[Report], patience: int, min_delta: float = 0.0) -> int:
    """Return the step at which training has to stop, from the whole curve."""
    best, without = float("inf"), 0
    for report in reports:
        score = report.metrics[SCORE]
        improved = score < best - min_delta
        best, without = (score, 0) if improved else (best, without + 1)
        if without == patience:
            return report.step
    return reports[-1].step


@pytest.mark.parametrize(("patience", "min_delta"), [(1, 0.0), (2, 0.0), (2, 0.05)])
def test_it_ends_as_finished_where_it_stopped_improving(patience: int, min_delta: float) -> None:
    whole = untimed(list(train(wild(), 0, build(wild()))))
    config = wild(patience=patience, min_delta=min_delta)
    reports = untimed(list(train(config, 0, build(config))))
    expected = stops_after(whole, patience, min_delta)
    assert 1 < expected < 12, "the example must stop before its end"
    last = reports[-1]
    assert (last.step, last.outcome) == (expected, "finished")
    assert f"{SCORE} has not improved on" in last.reason and f"{patience} reports in a row" in last.reason
    assert [r.metrics for r in reports[:-1]] == [r.metrics for r in whole[: expected - 1]], "it trains as without"
    shorter = list(train(wild(steps=expected), 0, build(config)))[-1]
    own = {name for name in last.metrics if name.startswith(("val/", "probe/"))}
    assert own and all(last.metrics[name] == shorter.metrics[name] for name in own), "scored whole, and probed"


def test_with_the_best_weights_it_returns_to_them() -> None:
    config = wild(patience=2, score_at="best")
    reports = list(train(config, 0, build(config)))
    scores = {report.step: report.metrics[SCORE] for report in reports}
    last = reports[-1]
    assert last.metrics["train/scored_step"] == min(scores, key=lambda step: scores[step]) == last.step - 2


@pytest.mark.parametrize("score_at", ["last", "best"])
def test_continuation_stops_at_the_same_report(score_at: str, tmp_path: Path) -> None:
    config = wild(patience=2, score_at=score_at)
    expected = untimed(list(train(config, 0, build(config))))
    stop_at = expected[-2].step  # one report without an improvement has been counted
    first = Trainer(config, 0, build(config), Numerics())
    for report in first.reports():
        if report.step == stop_at:
            first.save(tmp_path / "checkpoint.pt")
            break
    second = Trainer(config, 0, build(config), Numerics())
    second.load(tmp_path / "checkpoint.pt")
    assert untimed(list(second.reports())) == expected[-1:]


def test_a_rate_improves_upward() -> None:
    stopping = EarlyStopping(Choice("val_subset/recall_accuracy", "maximise"), patience=2, min_delta=0.1)
    said = [bool(stopping.offer({"val_subset/recall_accuracy": rate})) for rate in (0.2, 0.25, 0.31, 0.4, 0.2)]
    assert said == [False, False, False, False, True]
    assert stopping.score == 0.31


def test_what_is_not_asked_for_is_no_part_of_the_name() -> None:
    plain, patient = wild(), wild(patience=3)
    assert not plain.canonical()["budget"].keys() & {"patience", "min_delta", "probe_at"}
    assert config_id(plain, "data") == config_id(wild(patience=None, min_delta=0.0), "data")
    assert config_id(plain, "data") != config_id(patient, "data")
    with pytest.raises(ValueError, match=r"min_delta=0\.1 is for early stopping: set patience"):
        wild(min_delta=0.1)
