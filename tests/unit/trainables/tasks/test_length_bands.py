"""Bits by position beyond the training length: the same windows in every band, and nothing else changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from cluster.memory.estimate import estimate, size_key
from trainables.architectures.base.model import ModelOutput
from trainables.config.training import BudgetConfig
from trainables.config.trial import TrialConfig, config_id
from trainables.contract.tasks import TwoTokenModel, UniformModel, score
from trainables.data.errors import DataError
from trainables.diagnostics.periods import share_of_noise
from trainables.tasks.text.config import LanguageConfig
from trainables.tasks.text.language import LanguageTask
from trainables.training.loop import Trainer, train
from trainables.training.numerics import Numerics


def language(**fields: Any) -> LanguageTask:
    return LanguageConfig.model_validate(
        {"max_bytes": 6_000, "context_length": 8, "evaluation_length": 32, **fields}
    ).build(None)


class ShortMemory(TwoTokenModel):
    """Is right for the first `length` positions and guesses after them."""

    def __init__(self, vocab_size: int, length: int) -> None:
        super().__init__(vocab_size)
        self.length = length

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        output.logits_BTV[:, self.length :] = 0.0
        return output


@pytest.mark.parametrize("length", [32, 20, 9])
def test_bands_equal_a_plain_loop(length: int) -> None:
    task = language(evaluation_length=length)
    model, tokens = TwoTokenModel(task.vocab_size).eval(), task.tokens["val"].long()
    bits = []
    for start in range(0, len(tokens) - length, length):
        logits_TV = model(tokens[None, start : start + length]).logits_BTV[0].double()
        targets_T1 = tokens[start + 1 : start + length + 1, None]
        bits.append(-logits_TV.log_softmax(1).gather(1, targets_T1)[:, 0] / math.log(2))
    assert len(bits) == (len(tokens) - 1) // length
    by_position_T = torch.stack(bits).mean(0)
    found = score(task, model)
    expected = [float(band.mean()) for band in by_position_T.split(8)]
    bands = [found[f"val/bits_per_char_band_{number}"] for number in range(1, len(expected) + 1)]
    assert bands == pytest.approx(expected, rel=1e-6)
    assert f"val/bits_per_char_band_{len(expected) + 1}" not in found
    assert found["val/bits_per_char_drift"] == pytest.approx(expected[-1] - expected[0])
    declared = {metric.name for metric in task.metrics}
    assert (declared & found.keys()) == {name for name in declared if not name.startswith("val_subset/")}
    assert ("val/bits_per_char_period_share" in found) == (len(expected) >= 3)


class Oscillating(UniformModel):
    """Guesses, but is sure of a byte that never comes at some positions."""

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__(256)
        self.positions = list(positions)

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        here = [position for position in self.positions if position < tokens_BT.shape[1]]
        output.logits_BTV[:, here, 0] += 20.0
        return output


def period_share(positions: Sequence[int]) -> float:
    task = language(tokenizer="byte", context_length=9, evaluation_length=36)
    return score(task, Oscillating(positions))["val/bits_per_byte_period_share"]


def test_a_period_shorter_than_a_band_is_seen() -> None:
    task = language(tokenizer="byte", context_length=9, evaluation_length=36)
    found = score(task, Oscillating(range(0, 36, 3)))
    assert found["val/bits_per_byte_band_2"] == pytest.approx(found["val/bits_per_byte_band_4"])
    assert found["val/bits_per_byte_period_share"] > 0.99
    assert score(task, UniformModel(256))["val/bits_per_byte_period_share"] == 0


def test_periods_are_sought_beyond_the_training_length_and_up_to_it() -> None:
    """What oscillates where it was trained, or more slowly than that is long, is no period of this metric."""
    assert period_share(range(0, 9, 3)) == 0
    slow, fast = [*range(9, 16), *range(22, 29)], range(0, 36, 3)  # periods of 13 and 3
    assert period_share(fast) > 0.99
    assert period_share(slow) < 0.5


@pytest.mark.parametrize(("context", "length"), [(2, 5), (3, 9), (7, 64), (8, 16)])
def test_where_no_period_can_be_told_none_is_declared(context: int, length: int) -> None:
    task = language(context_length=context, evaluation_length=length)
    assert not [metric.name for metric in task.metrics if metric.name.endswith("period_share")]
    assert not [name for name in task.config.metric_names or () if name.endswith("period_share")]


@given(context=st.integers(8, 2048), beyond=st.integers(1, 4096))
def test_noise_has_a_share_wherever_periods_are_declared(context: int, beyond: int) -> None:
    assert 0 < share_of_noise(context + beyond, context) <= 1


def test_a_model_that_fails_beyond_its_length_drifts() -> None:
    task = language()
    found = score(task, ShortMemory(task.vocab_size, 16))
    chance = math.log2(task.vocab_size)
    bands = [found[f"val/bits_per_char_band_{number}"] for number in (1, 2, 3, 4)]
    assert bands[2:] == pytest.approx([chance, chance])
    assert bands[0] != pytest.approx(chance)


def test_ordinary_scores_and_training_are_untouched() -> None:
    plain, longer = language(evaluation_length=None), language()
    model = TwoTokenModel(plain.vocab_size)
    found = score(longer, model)
    assert {name: found[name] for name in score(plain, model)} == score(plain, model)
    assert not [name for name in score(longer, model, max_sequences=3) if "band" in name]
    one, other = (task.batch(4, torch.Generator().manual_seed(0)) for task in (plain, longer))
    assert torch.equal(one.inputs_BT, other.inputs_BT)
    assert torch.equal(plain.held_out(3).inputs_BT, longer.held_out(3).inputs_BT)
    assert (plain.max_length, longer.max_length, longer.context_length) == (8, 32, 8)


def test_tokens_that_scoring_reads() -> None:
    whole, half = language(evaluation_length=None), language(evaluation_length=None, stride=4)
    held_out = len(whole.tokens["val"]) - 1
    assert whole.scored_tokens == held_out
    assert half.scored_tokens == 2 * held_out
    assert language().scored_tokens == 2 * held_out
    assert language(passage_tokens=40, stream={"length": 1000}).scored_tokens == 2 * 40 + 1000


def trial(**task: Any) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "architecture": {"name": "transformer", "d_model": 8, "num_layers": 1, "num_heads": 2},
            "task": {"name": "language", "max_bytes": 6_000, "context_length": 8, **task},
            "budget": BudgetConfig(steps=1, batch_size=2, report_every=1),
        }
    )


def test_the_model_is_built_for_the_longer_windows() -> None:
    config = trial(evaluation_length=32)
    trainer = Trainer(config, 0, config.task.build(None), Numerics())
    assert trainer.model.position_embedding.num_embeddings == 32  # type: ignore[union-attr]
    last = list(train(config, 0, config.task.build(None)))[-1]
    assert "val/bits_per_char_band_4" in last.metrics


def test_defaults_name_the_configuration_that_they_always_did() -> None:
    assert config_id(trial(), "0") == config_id(trial(evaluation_length=None, samples=None), "0")
    assert not {"evaluation_length", "samples"} & trial().task.canonical().keys()
    assert config_id(trial(evaluation_length=16), "0") != config_id(trial(), "0")


def test_memory_counts_the_longer_windows() -> None:
    sizes: dict[str, Any] = {"vocab_size": 64, "context_length": 16, "held_out_sequences": 8, "process_mib": 0.0}
    config = trial().model_copy(update={"budget": BudgetConfig(steps=1, batch_size=1, report_every=1)})
    plain, longer = (estimate(config, max_length=length, **sizes) for length in (16, 1024))
    assert longer.parameters_mib - plain.parameters_mib == pytest.approx(1008 * 8 * 4 / 2**20)
    assert longer.peak_stage == "evaluation"
    assert longer.total_mib > plain.total_mib + 0.25, "the logits of one long window"
    del sizes["process_mib"]
    assert size_key(config, **sizes) == size_key(config, max_length=16, **sizes)
    assert size_key(config, **sizes) != size_key(config, max_length=64, **sizes)


def test_chance_of_a_band_is_of_its_own_tokens() -> None:
    task = language(tokenizer="byte")
    found = score(task, UniformModel(256))
    assert found["val/bits_per_byte_band_3"] == pytest.approx(8.0)
    declared = {metric.name: metric.chance for metric in task.metrics}
    assert declared["val/bits_per_byte_band_3"] == pytest.approx(8.0)
    assert declared["val/bits_per_byte_drift"] is None


def test_refuses() -> None:
    with pytest.raises(ValidationError, match="evaluation_length=8 must be more than context_length=8"):
        language(evaluation_length=8)
    with pytest.raises(DataError, match=r"val split has 600 tokens and needs 601 \(evaluation_length=600"):
        language(evaluation_length=600)
