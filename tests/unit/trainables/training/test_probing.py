"""`budget.probe_at: reports`: what the documents show over training, without a trace in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.models.configs import KURAMOTO, RESONANT, small_config
from tests.unit.trainables.training.test_loop import build, untimed
from trainables.config.trial import TrialConfig, config_id
from trainables.training.loop import Report, Trainer
from trainables.training.numerics import Numerics

PUBLISHED = {**RESONANT, "fidelity": "as_published", "pvm": {"t2": {}, "pcm": {}}, "stillness": {"ema": 0.3}}
"""Its memories and counters go on from pass to pass: whatever a probe moved would show."""
FAMILIES = {
    "kuramoto": ({**KURAMOTO, "phase_noise": 0.1}, {"probe/order_oscillators", "probe/order_oscillators_null"}),
    "resonant": (
        PUBLISHED,
        {"probe/phase_coherence", "probe/gamma_mean", "probe/pvm_memory_norm", "probe/entropy_flow"},
    ),
    "tpi": ({"name": "tpi"}, {"probe/tpi_phase_variance", "probe/tpi_phase_variance_null"}),
}


def trained(config: TrialConfig) -> tuple[dict[str, torch.Tensor], list[Report]]:
    trainer = Trainer(config, 0, build(config), Numerics())
    reports = untimed(list(trainer.reports()))
    return trainer.model.state_dict(), reports


@pytest.mark.parametrize(("architecture", "probes"), FAMILIES.values(), ids=FAMILIES)
def test_probes_come_with_every_report_and_leave_no_trace_in_training(
    architecture: dict[str, Any], probes: set[str]
) -> None:
    plain, expected = trained(small_config(architecture=architecture))
    probed, reports = trained(small_config(architecture=architecture, budget={"probe_at": "reports"}))
    assert plain.keys() == probed.keys()
    assert all(torch.equal(plain[name], probed[name]) for name in plain)
    assert [report.step for report in reports] == [0, *(report.step for report in expected)]
    for report in reports:
        assert {*probes, "probe/leak", "val_subset/bits_per_char"} <= report.metrics.keys()
    for one, other in zip(reports[1:], expected, strict=True):
        assert {name: one.metrics[name] for name in other.metrics} == other.metrics
    assert reports[0].outcome is None and "train/loss" not in reports[0].metrics


def test_the_model_is_prepared_before_its_first_report_and_only_once(tmp_path: Path) -> None:
    config = small_config(architecture=RESONANT, budget={"probe_at": "reports"})
    trainer = Trainer(config, 0, build(config), Numerics())
    first = next(trainer.reports())
    assert ["calibrated pvm2emb" in note for note in first.notes] == [True]
    trainer.save(tmp_path / "checkpoint.pt")
    again = Trainer(config, 0, build(config), Numerics())
    again.load(tmp_path / "checkpoint.pt")
    trainer._train_one_step()
    again._train_one_step()
    assert trainer._notes == again._notes == []
    own, other = trainer.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(own[name], other[name]) for name in own)


def test_when_probes_are_taken_is_a_part_of_the_name_only_if_it_is_asked() -> None:
    plain, said, probed = (small_config(budget=b) for b in ({}, {"probe_at": "last"}, {"probe_at": "reports"}))
    assert config_id(plain, "data") == config_id(said, "data") != config_id(probed, "data")
