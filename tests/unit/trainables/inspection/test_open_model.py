"""Opening a model: with the weights of a replicate, or as its seed starts it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.models.configs import small_config
from trainables.config.trial import TrialConfig
from trainables.inspection.open_model import open_model
from trainables.training.initial_weights import WeightSourceError, save_weights


def test_weights_of_a_replicate_are_loaded(tmp_path: Path) -> None:
    config = small_config()
    fresh = open_model(config, 3, weights=None, length=None, data_dir=None)
    assert (fresh.is_trained, fresh.trained_length) == (False, fresh.task.context_length)
    state = {name: tensor + 1 for name, tensor in fresh.model.state_dict().items()}
    path = tmp_path / "weights.pt"
    save_weights(path, state, buffers=(), identity="a/seed=3", code="any")
    opened = open_model(config, 3, weights=path, length=None, data_dir=None)
    assert opened.is_trained
    assert not opened.model.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in opened.model.state_dict().items())


def test_without_weights_it_starts_as_its_seed_says() -> None:
    first, again, other = (
        open_model(small_config(), seed, weights=None, length=None, data_dir=None).model.state_dict()
        for seed in (1, 1, 2)
    )
    name = next(iter(first))
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def test_sequences_may_be_longer_than_in_training() -> None:
    config = small_config()
    trained = config.task.context_length  # type: ignore[attr-defined]
    opened = open_model(config, 0, weights=None, length=2 * trained, data_dir=None)
    assert opened.task.held_out(2).inputs_BT.shape == (2, 2 * trained)
    assert opened.trained_length == trained


def test_a_model_that_starts_with_weights_of_others_needs_its_own() -> None:
    config = small_config(resume_from={"source": "arm:other"})
    with pytest.raises(WeightSourceError, match="keep_weights"):
        open_model(config, 0, weights=None, length=None, data_dir=None)


def test_a_task_with_one_length_only_is_refused() -> None:
    fields = small_config().model_dump(mode="json")
    config = TrialConfig.model_validate({**fields, "task": {"name": "needle", "vocab_size": 64}})
    with pytest.raises(ValueError, match="one length only"):
        open_model(config, 0, weights=None, length=99, data_dir=None)
