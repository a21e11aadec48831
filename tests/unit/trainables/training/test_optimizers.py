"""Schedules and parameter groups."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from tests.support.models.configs import KURAMOTO, small_config
from trainables.architectures.base.model import LanguageModel
from trainables.config.training import OptimizerConfig
from trainables.config.trial import config_id
from trainables.training.optimizers import build_optimizer, learning_rate_at, parameter_groups, set_step


def test_cosine_is_nanogpts() -> None:
    """nanoGPT's get_lr with lr 1e-3, min_lr 1e-4, warm-up 100, decay 2000, written out by hand."""
    config = OptimizerConfig(learning_rate=1e-3, warmup_steps=100, final_fraction=0.1, schedule="cosine")
    for step in (0, 50, 99, 100, 1050, 1999):
        if step < 100:
            expected = 1e-3 * (step + 1) / 101
        else:
            expected = 1e-4 + 0.5 * (1 + math.cos(math.pi * (step - 100) / 1900)) * 9e-4
        assert learning_rate_at(config, step, 2000) == pytest.approx(expected, rel=1e-12)


def test_a_cut_cosine_stays_at_its_floor_and_a_warm_up_may_start_from_nothing() -> None:
    """PhaseGPT's: max(.1, half cosine), which is below .1 from 79.5 % of the way on."""
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=100, warmup_from="zero", schedule="cosine_cut")
    rates = [learning_rate_at(config, step, 1100) for step in range(1100)]
    assert rates[0] == 0.0 and rates[50] == pytest.approx(1.0) and rates[100] == 2.0
    assert rates[600] == pytest.approx(1.0)
    assert [step for step, rate in enumerate(rates) if step > 100 and rate == 0.2] == list(range(896, 1100))
    assert rates[895] > 0.2


@pytest.mark.parametrize(("schedule", "middle", "end"), [("constant", 1.0, 1.0), ("linear", 0.55, 0.1)])
def test_other_schedules(schedule: str, middle: float, end: float) -> None:
    config = OptimizerConfig.model_validate({"learning_rate": 1.0, "warmup_steps": 0, "schedule": schedule})
    assert learning_rate_at(config, 50, 100) == pytest.approx(middle)
    assert learning_rate_at(config, 100, 100) == pytest.approx(end)


def test_settings_change_from_their_step_on_and_the_schedule_goes_on() -> None:
    changes = [{"from_step": 4, "learning_rate": 10.0}, {"from_step": 6, "weight_decay": 0.5}]
    fields = {"learning_rate": 1.0, "weight_decay": 0.1, "schedule": "linear", "final_fraction": 0.0}
    config = OptimizerConfig.model_validate({**fields, "changes": changes})
    rates = [learning_rate_at(config, step, 8) for step in range(8)]
    assert rates == pytest.approx([1.0, 7 / 8, 6 / 8, 5 / 8, 10 * 4 / 8, 10 * 3 / 8, 10 * 2 / 8, 10 * 1 / 8])
    model = small_config().architecture.build(vocab_size=7, max_seq_len=8)
    optimizer = build_optimizer(model, config)
    decays = []
    for step in range(8):
        set_step(optimizer, config, step, 8)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rates[step]] * 2)
        decays.append([group["weight_decay"] for group in optimizer.param_groups])
    assert decays == [[0.1, 0.0]] * 6 + [[0.5, 0.0]] * 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"changes": [{"from_step": 4}]}, "nothing changes from step 4 on"),
        ({"changes": [{"from_step": 0, "learning_rate": 1.0}]}, "greater than or equal to 1"),
        ({"changes": [{"from_step": 4, "learning_rate": 1.0}] * 2}, "begin at the steps"),
        ({"weight_decay": 0.0, "changes": [{"from_step": 4, "weight_decay": 0.1}]}, "nothing decays before"),
    ],
)
def test_changes_that_mean_nothing_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OptimizerConfig.model_validate(fields)


def test_a_change_after_the_last_step_is_refused_and_one_within_is_another_configuration() -> None:
    change = {"from_step": 11, "learning_rate": 1.0}
    with pytest.raises(ValidationError, match=r"optimizer\.changes has one from step 12 on, and budget\.steps=12"):
        small_config(optimizer={"changes": [{**change, "from_step": 12}]})
    assert config_id(small_config(optimizer={"changes": [change]}), "") != config_id(small_config(), "")


@pytest.mark.parametrize(
    ("rule", "decayed"),
    [
        ("matrices", {"coupling": False, "frequency": False, "embedding": True}),
        ("all_but_bias", {"coupling": True, "frequency": True, "embedding": True}),
        ("all_but_bias_and_embeddings", {"coupling": True, "frequency": True, "embedding": False}),
    ],
)
def test_weight_decay_reaches_couplings_only_as_published(rule: str, decayed: dict[str, bool]) -> None:
    config = small_config(architecture={**KURAMOTO, "bias": True}, optimizer={"weight_decay_on": rule})
    model = config.architecture.build(vocab_size=7, max_seq_len=8)
    groups = parameter_groups(model, config.optimizer)
    with_decay = {id(p) for p in groups[0]["params"]}
    for name, parameter in model.named_parameters():
        for part, expected in decayed.items():
            if part in name:
                assert (id(parameter) in with_decay) is expected, name
        if name.endswith("bias"):
            assert id(parameter) not in with_decay, name
        if "norm" in name and name.endswith("weight"):
            assert (id(parameter) in with_decay) is (rule != "matrices"), name
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert any("coupling" in name for name, _ in model.named_parameters())


class Peculiar(LanguageModel):
    """One parameter of each kind."""

    learning_rate_factors = {"slow": 0.5, "slow_weight": 0.5}
    no_weight_decay = frozenset({"exempt_weight"})

    def __init__(self) -> None:
        super().__init__()
        for name in ("weight", "exempt_weight", "slow_weight", "slow"):
            setattr(self, name, torch.nn.Parameter(torch.zeros(2, 2) if "weight" in name else torch.zeros(())))


def test_a_model_may_ask_for_other_learning_rates_and_for_no_decay() -> None:
    model, config = Peculiar(), OptimizerConfig(weight_decay=0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [
        (group.get("learning_rate_factor"), group["weight_decay"], [names[id(p)] for p in group["params"]])
        for group in parameter_groups(model, config)
    ]
    assert groups == [
        (None, 0.1, ["weight"]),
        (None, 0.0, ["exempt_weight"]),
        (0.5, 0.1, ["slow_weight"]),
        (0.5, 0.0, ["slow"]),
    ]
    plain = small_config().architecture.build(vocab_size=7, max_seq_len=8)
    assert [group.keys() for group in parameter_groups(plain, config)] == [{"params", "weight_decay"}] * 2


def test_8bit_state_is_8bit() -> None:
    config = OptimizerConfig(name="adamw_8bit")
    model = LanguageModel()
    model.layer = torch.nn.Linear(128, 64)
    optimizer = build_optimizer(model, config)
    model.layer(torch.randn(4, 128)).sum().backward()
    optimizer.step()
    state = optimizer.state[model.layer.weight]
    assert {state["state1"].dtype, state["state2"].dtype} == {torch.uint8}
