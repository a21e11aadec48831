"""Weights that one model starts with and another has learnt: taken over whole, or refused with what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.models.configs import RESONANT, small_config
from trainables.config.trial import TrialConfig
from trainables.registry import TASKS
from trainables.training.archives import sha256_of
from trainables.training.initial_weights import WeightSource, WeightSourceError, load_weights
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics

BASE = {"name": "transformer", "d_model": 16, "num_layers": 1, "num_heads": 2}


def trainer(config: TrialConfig, weight_sources: dict[str, WeightSource] | None = None, seed: int = 0) -> Trainer:
    return Trainer(config, seed, config.task.build(None), Numerics(), weight_sources=weight_sources)


def fine_tuning(path: Path, **fields: Any) -> TrialConfig:
    return small_config(architecture={**BASE, **fields}, resume_from={"source": str(path)})


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """Weights on disk, and the state that they are of."""
    first = trainer(small_config(architecture=BASE))
    first._train_one_step()
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    first.save_weights(path)
    return path, {name: value.clone() for name, value in first.model.state_dict().items()}


def of_file(path: Path) -> dict[str, WeightSource]:
    digest = sha256_of(path)
    return {"resume": WeightSource(path=str(path), identity=digest, config_key=digest)}


def test_fine_tuning_starts_with_the_weights_and_a_fresh_optimiser(
    learnt: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    path, state = learnt
    tuned = trainer(fine_tuning(path), of_file(path), seed=7)
    assert all(torch.equal(value, state[name]) for name, value in tuned.model.state_dict().items())
    assert tuned.step == 0
    assert not tuned.optimizer.state
    tuned._train_one_step()
    assert any(not torch.equal(value, state[name]) for name, value in tuned.model.state_dict().items())


def test_what_it_starts_with_is_part_of_what_it_computes(learnt: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, _ = learnt
    other = {"resume": WeightSource(path=str(path), identity=sha256_of(path), config_key="another")}
    identities = {
        trainer(small_config(architecture=BASE)).identity,
        trainer(fine_tuning(path), of_file(path)).identity,
        trainer(fine_tuning(path), other).identity,
    }
    assert len(identities) == 3


def test_no_replicate_starts_without_the_weights_that_it_needs(
    learnt: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    path, _ = learnt
    with pytest.raises(ValueError, match="needs the weights of \\['resume'\\], is given those of \\[\\]"):
        trainer(fine_tuning(path))
    with pytest.raises(ValueError, match="needs the weights of \\[\\]"):
        trainer(small_config(architecture=BASE), of_file(path))


@pytest.mark.parametrize(
    ("fields", "states", "message"),
    [
        ({"d_model": 32}, [], "has shape \\(.*16\\) there and \\(.*32\\) here"),
        ({"num_layers": 2}, [], "only one of the two models has blocks.1"),
        ({}, ["memory"], "no group memory; known: all"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_what_differs(
    learnt: tuple[Path, dict[str, torch.Tensor]], fields: dict[str, Any], states: list[str], message: str
) -> None:
    path, _ = learnt
    config = small_config(architecture={**BASE, **fields}, resume_from={"source": str(path), "states": states})
    with pytest.raises(WeightSourceError, match=message):
        trainer(config, of_file(path))


def test_blocks_learnt_on_text_go_on_with_needles(tmp_path: Path) -> None:
    """Of another task only what is named is taken: its vocabulary is another, and its head stays behind."""
    first = trainer(small_config(architecture=RESONANT))
    first._train_one_step()
    first.save_weights(tmp_path / "weights.pt")
    needles = {
        "name": "needle",
        "vocab_size": 24,
        "chunk_length": 8,
        "needle_length": 2,
        "num_val": 20,
        "num_test": 0,
    }
    tuned = small_config(
        architecture=RESONANT,
        resume_from={"source": str(tmp_path / "weights.pt"), "states": ["blocks", "projection", "infonce"]},
    ).model_copy(update={"task": TASKS.parse(needles)})
    second = trainer(tuned, of_file(tmp_path / "weights.pt"))
    second._begin_step()
    before, after = dict(first.model.named_parameters()), dict(second.model.named_parameters())
    taken = [name for name in after if name.startswith(("blocks.", "readout.projection.", "infonce."))]
    assert "readout.projection.map_DD" in taken
    assert all(torch.equal(before[name], after[name]) for name in taken), "calibrated there, and not again here"
    assert after["backbone.token_embedding.weight"].shape[0] == 24
    second._train_one_step()


@pytest.mark.parametrize("stillness", [{"ema": 0.2}, None], ids=["filtered", "not filtered any more"])
def test_counters_and_averages_belong_to_the_training_they_come_from(
    tmp_path: Path, stillness: dict[str, Any] | None
) -> None:
    """An average over the batches there is none of the batches here, and steps are counted from 0."""
    counting = {**RESONANT, "counter": "forward_passes", "pvm": {"reset": False}}
    first = trainer(small_config(architecture={**counting, "stillness": {"ema": 0.1}}))
    first._train_one_step()
    first.save_weights(tmp_path / "weights.pt")
    learnt = dict(first.model.named_buffers())
    assert all(value.any() for value in learnt.values()), learnt.keys()
    tuned = small_config(
        architecture={**counting, "stillness": stillness}, resume_from={"source": str(tmp_path / "weights.pt")}
    )
    second = trainer(tuned, of_file(tmp_path / "weights.pt"))
    assert not any(value.any() for value in second.model.buffers())
    parameters = dict(first.model.named_parameters())
    assert all(torch.equal(parameters[name], value) for name, value in second.model.named_parameters())
    second._train_one_step()


COUNTING = {**RESONANT, "fidelity": "as_published", "pvm": {"t2": {}}, "stillness": {"ema": 0.3}}


@pytest.mark.parametrize("architecture", [BASE, RESONANT, COUNTING], ids=["transformer", "corrected", "published"])
def test_without_steps_a_trained_model_is_scored_as_it_was_trained(
    architecture: dict[str, Any], tmp_path: Path
) -> None:
    """Counters, carried memories and the projection are those of the end of training, not of a first step."""
    first = trainer(small_config(architecture=architecture), seed=3)
    expected = list(first.reports())[-1].metrics
    first.save_weights(tmp_path / "weights.pt")
    again = small_config(
        architecture=architecture,
        optimizer={"warmup_steps": 0},
        budget={"steps": 0},
        resume_from={"source": str(tmp_path / "weights.pt")},
    )
    (report,) = trainer(again, of_file(tmp_path / "weights.pt"), seed=3).reports()
    assert (report.step, report.outcome, report.notes) == (0, "finished", ())
    assert report.metrics == {name: value for name, value in expected.items() if not name.startswith("train/")}


def test_with_states_named_the_rest_is_prepared_as_before_a_first_step(tmp_path: Path) -> None:
    first = trainer(small_config(architecture=RESONANT))
    first._train_one_step()
    first.save_weights(tmp_path / "weights.pt")
    part = small_config(
        architecture=RESONANT,
        optimizer={"warmup_steps": 0},
        budget={"steps": 0},
        resume_from={"source": str(tmp_path / "weights.pt"), "states": ["blocks"]},
    )
    (report,) = trainer(part, of_file(tmp_path / "weights.pt")).reports()
    assert ["calibrated pvm2emb" in note for note in report.notes] == [True]


def test_trained_oscillators_can_be_scored_at_another_coupling(tmp_path: Path) -> None:
    fields = {"name": "kuramoto", "phase_layers": [1], "num_oscillators": 4, "learn_coupling": False}
    first = trainer(small_config(architecture={**fields, "coupling": 2.0}))
    first.save_weights(tmp_path / "weights.pt")
    again = small_config(
        architecture={**fields, "coupling": 0.5},
        optimizer={"warmup_steps": 0},
        budget={"steps": 0},
        resume_from={"source": str(tmp_path / "weights.pt")},
    )
    (report,) = trainer(again, of_file(tmp_path / "weights.pt")).reports()
    assert report.metrics["probe/coupling"] == 0.5


def test_weights_of_another_replicate_are_refused(learnt: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, _ = learnt
    with pytest.raises(WeightSourceError, match=r"holds the weights of .*/seed=0, not of 0123456789ab/seed=1"):
        load_weights(WeightSource(path=str(path), identity="0123456789ab/seed=1", config_key="0123456789ab"))
    with pytest.raises(WeightSourceError, match="no weights there"):
        load_weights(WeightSource(path=str(path.with_name("gone.pt")), identity="", config_key=""))


def test_damaged_weights_are_set_aside_so_that_they_are_learnt_again(
    learnt: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    content = learnt[0].read_bytes()
    path.write_bytes(content[: len(content) // 2])
    of_replicate = WeightSource(path=str(path), identity="abc/seed=0", config_key="abc")
    with pytest.raises(
        WeightSourceError, match=r"cannot be read.*set aside as .*weights\.pt\.unreadable: run again"
    ):
        load_weights(of_replicate)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pt.unreadable"]


def test_a_damaged_file_of_the_user_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"")
    with pytest.raises(WeightSourceError, match=r"cannot be read.*name another file under resume_from"):
        load_weights(WeightSource(path=str(path), identity=sha256_of(path), config_key="file"))
    assert path.exists()
