"""What training does to a resonant model beside the gradient: calibration, decay, learning rates."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.models.configs import RESONANT, small_config
from tests.unit.trainables.architectures.resonant.test_model import FULL, SMALL, batch, build
from trainables.architectures.resonant.model import ResonantModel
from trainables.architectures.resonant.readout.readout import CLAMP
from trainables.config.training import OptimizerConfig
from trainables.config.trial import TrialConfig
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics
from trainables.training.optimizers import build_optimizer, parameter_groups


def training(
    budget: dict[str, Any] | None = None, optimizer: dict[str, Any] | None = None, **fields: Any
) -> Trainer:
    config = small_config(architecture={**RESONANT, **fields}, budget=budget, optimizer=optimizer)
    return Trainer(config, 0, config.task.build(None), Numerics())


@pytest.mark.parametrize("rule", ["matrices", "all_but_bias"])
def test_weight_decay_does_not_move_what_is_frozen(rule: str) -> None:
    cases: list[dict[str, Any]] = [
        {"ridge": {"max_pairs": 8, "warmup_batches": 0, "unfreeze_step": None}},
        {"ridge": None, "readout": {"head": "separate", "freeze_steps": 9}},
    ]
    for fields in cases:
        model = build(**{**FULL, **fields}).train()
        model.on_step_start(0, batch)
        config = OptimizerConfig.model_validate({"weight_decay": 0.5, "weight_decay_on": rule})
        optimizer = build_optimizer(model, config)
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        given = batch()
        output = model(given.inputs_BT, given.targets_BT)
        (output.logits_BTV.square().mean() + output.penalty).backward()
        optimizer.step()
        moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        held = {name for name in before if name.startswith(("readout.projection.", "readout.separate."))}
        held |= {name for name in before if name.startswith("infonce.") and fields["ridge"] is None}
        assert held and held == model.no_weight_decay and not held & moved
        assert moved
    assert not build(**{**FULL, "ridge": {"unfreeze_step": 0}}).no_weight_decay


def test_a_learned_omega_has_a_learning_rate_of_its_own() -> None:
    fields = {**SMALL, "num_blocks": 2, "learn_omega": True}
    model = build(**fields, omega_learning_rate_factor=1e-3)
    *_, group = parameter_groups(model, OptimizerConfig())
    assert group["learning_rate_factor"] == 1e-3
    omegas = [block.embedding.omega for block in model.resonant_blocks() if block.embedding is not None]
    assert list(map(id, group["params"])) == list(map(id, omegas))
    assert len(parameter_groups(build(**fields), OptimizerConfig())) == 2


def test_an_untrained_model_is_scored_with_its_projection_calibrated() -> None:
    trainer = training(budget={"steps": 0}, optimizer={"warmup_steps": 0})
    (report,) = trainer.reports()
    assert report.outcome == "finished"
    assert ["calibrated pvm2emb" in note for note in report.notes] == [True]


def test_the_loop_gives_omega_its_own_learning_rate() -> None:
    """The first step of Adam moves a parameter by its learning rate, whatever the gradient's size."""
    fields = {"learn_omega": True, "omega_learning_rate_factor": 0.25, "block_ramp_steps": 0}
    trainer = training(optimizer={"eps": 1e-14}, **fields)
    trainer._train_one_step()
    assert isinstance(trainer.model, ResonantModel)
    embedding = next(trainer.model.resonant_blocks()).embedding
    assert embedding is not None
    full, *_, own = (group["lr"] for group in trainer.optimizer.param_groups)
    assert own == full / 4
    assert abs(float(torch.as_tensor(embedding.omega).detach()) - 6.0) == pytest.approx(own, rel=1e-2)


def test_as_published_only_ids_of_the_answer_pass_the_mask() -> None:
    """Whatever the window: the task says how long the answer is, in a shorter stage of a curriculum too."""
    needle = {"name": "needle", "fidelity": "as_published", "vocab_size": 40, "needle_length": 3, "num_val": 40}
    architecture = {**RESONANT, "fidelity": "as_published", "d_model": 16, "num_layers": 1, "num_heads": 2}
    config = TrialConfig.model_validate(
        {
            "architecture": architecture,
            "task": {**needle, "chunk_length": 12, "curriculum": [6], "num_test": 0},
            "budget": {"steps": 1, "batch_size": 4, "report_every": 1},
            "optimizer": {"warmup_steps": 0},
        }
    )
    task = config.task.build(None)
    model = Trainer(config, 0, task, Numerics()).model.eval()
    assert isinstance(model, ResonantModel) and model.readout is not None
    for tokens_BT in (task.held_out(4).inputs_BT, task.at(0).batch(4, torch.Generator()).inputs_BT):
        own_BTV = model.backbone.head(model.states(tokens_BT)[0])
        added_BTV = model(tokens_BT).logits_BTV - own_BTV
        for last_V, tokens_T in zip(added_BTV[:, -1], tokens_BT, strict=True):
            passing = set((last_V > -CLAMP + 1e-3).nonzero().flatten().tolist())
            assert passing == set(tokens_T[-3:].tolist())
