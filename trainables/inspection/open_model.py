"""A configuration's model, with the weights of a replicate or as it starts, and the task that it is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from trainables.architectures.base.model import LanguageModel
from trainables.config.initial_weights import RESUME
from trainables.config.trial import TrialConfig
from trainables.randomness import initialise
from trainables.tasks.base.task import Task
from trainables.training.archives import sha256_of
from trainables.training.initial_weights import WeightSource, WeightSourceError, start_from


@dataclass(frozen=True)
class OpenedModel:
    """A model in evaluation mode, and its task."""

    model: LanguageModel
    task: Task
    device: torch.device
    is_trained: bool
    """Whether it has the weights of a replicate."""
    trained_length: int
    """Tokens of the sequences that it is trained on."""


def open_model(
    config: TrialConfig,
    seed: int,
    *,
    weights: Path | None,
    length: int | None,
    data_dir: Path | None,
) -> OpenedModel:
    """Build a configuration's model.

    Args:
        config: The configuration.
        seed: Of its replicate.
        weights: The trained weights that it kept; None: as it starts.
        length: Tokens of the sequences it is measured on; None: those of training.
        data_dir: Folder with local corpora.

    Raises:
        DataError: If the task's data is unavailable.
        ValueError: If the task has no sequences of another length, the model cannot read that many, or it starts
            with weights of other replicates.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trained_on = config.task.build(data_dir).for_seed(seed)
    task = trained_on if length is None else config.task.of_length(length).build(data_dir).for_seed(seed)
    longest = max(task.max_length, trained_on.max_length)
    model: LanguageModel = config.architecture.build(vocab_size=task.vocab_size, max_seq_len=longest)
    model.answer_length, model.mode = task.answer_length, config.architecture.mode
    initialise(model, seed)
    if weights is not None:
        _load(model, weights, longest, trained_on.max_length)
    elif config.roles:
        raise WeightSourceError(
            f"it starts with weights of others ({', '.join(sorted(config.roles))}), and kept none of its own: run "
            "it with resources.keep_weights=true"
        )
    return OpenedModel(
        model=model.to(device).eval(),
        task=task,
        device=device,
        is_trained=weights is not None,
        trained_length=trained_on.context_length,
    )


def _load(model: LanguageModel, weights: Path, longest: int, trained_on: int) -> None:
    source = WeightSource(path=str(weights), identity=sha256_of(weights), config_key="")
    try:
        start_from(model, {RESUME: source}, [], as_trained=True)
    except WeightSourceError as error:
        if longest == trained_on:
            raise
        raise WeightSourceError(
            f"its weights are for sequences of {trained_on} tokens, not {longest}: learned positions, for "
            f"one, have no longer ones ({error})"
        ) from error
