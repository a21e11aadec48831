"""Initial weights from other replicates: a pretrained backbone, or the model that is fine-tuned."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.code_hash import code_hash
from trainables.config.initial_weights import RESUME
from trainables.training.archives import sha256_of
from trainables.training.checkpoints import (
    FORMAT_VERSION,
    UnreadableCheckpointError,
    read_state,
    save_checkpoint,
    set_aside,
)


class WeightSourceError(ValueError):
    """Weights that are missing or do not match; the message says which, and what to do."""


@dataclass(frozen=True, kw_only=True)
class WeightSource:
    """A file with weights, and the identity that they must have."""

    path: str
    identity: str
    """`<config_id>/seed=<k>`, or `sha256:<hash>` of a file that the user named."""
    config_key: str
    """Part of the `config_id` of the configuration that starts from it, independent of the seed."""


class Weights(NamedTuple):
    """Contents of a file written by `save_weights`."""

    state: dict[str, Tensor]
    """The whole state, with the names of `state_dict`."""
    buffers: frozenset[str]
    """Names that are not parameters: counters and averages that belong to the training they came from."""


def save_weights(
    path: Path, model: Mapping[str, Tensor], *, buffers: Collection[str], identity: str, code: str
) -> None:
    """Write a replicate's trained weights atomically.

    Args:
        path: The file.
        model: The state of the model.
        buffers: Names in it that are not parameters.
        identity: Identity of the replicate.
        code: Hash of the code that trained it.
    """
    state = {"identity": identity, "code": code, "model": dict(model), "buffers": sorted(buffers)}
    save_checkpoint(path, state)


def check_weights(path: Path) -> None:
    """Check that `save_weights` wrote a file that is intact (see `archives.damage`), without reading its tensors.

    Raises:
        WeightSourceError: If it did not; the message says what is wrong.
    """
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, ValueError, pickle.UnpicklingError) as error:  # an archive of something else
        raise WeightSourceError(
            f"{path} holds no weights of phasesweep: {str(error).splitlines()[0][:200]}"
        ) from error
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise WeightSourceError(f"{path} holds no weights of phasesweep")
    _check_format(path, state)


def _check_format(path: Path, state: Mapping[str, object]) -> None:
    found = state.get("format_version")
    if found != FORMAT_VERSION:
        raise WeightSourceError(f"{path}: format {found}, this version reads {FORMAT_VERSION}")


def load_weights(source: WeightSource) -> Weights:
    """Read weights that `save_weights` wrote, into host memory.

    Raises:
        WeightSourceError: If they are missing, of another replicate, or damaged; those of another replicate are
            then set aside, so that the next plan trains it again.
    """
    path = Path(source.path)
    if not path.is_file():
        raise WeightSourceError(f"{path}: no weights there; run again, and they are trained first")
    is_file_of_user = source.identity.startswith("sha256:")
    try:
        state = read_state(path)
    except UnreadableCheckpointError as error:
        if is_file_of_user:
            raise WeightSourceError(f"{error}; name another file under resume_from") from error
        raise WeightSourceError(
            f"{error}; set aside as {set_aside(path)}: run again, and it is trained again"
        ) from error
    _check_format(path, state)
    found = sha256_of(path) if is_file_of_user else state["identity"]
    if found != source.identity:
        raise WeightSourceError(f"{path} holds the weights of {found}, not of {source.identity}")
    if not is_file_of_user and state["code"] != code_hash():
        raise WeightSourceError(
            f"{path} was learnt by other code ({state['code']}, this is {code_hash()}); make it again with "
            "resume --changed"
        )
    return Weights(state["model"], frozenset(state.get("buffers", ())))  # older files do not name them


def start_from(
    model: LanguageModel,
    weight_sources: Mapping[str, WeightSource],
    groups: Sequence[str],
    *,
    as_trained: bool = False,
) -> None:
    """Initialise a model from the weights of other replicates.

    Args:
        model: Initialised.
        weight_sources: By role.
        groups: Names of `LanguageModel.state_groups` to load in the role `resume`; empty: all.
        as_trained: Load the whole state instead, counters and averages included: the model is to be scored as it
            was at the end of its training.

    Raises:
        WeightSourceError: If they are missing, or do not match.
    """
    for role, source in sorted(weight_sources.items()):  # the backbone first
        weights = load_weights(source)
        try:
            if role != RESUME:
                model.load_weights_from(role, weights.state)
            elif as_trained:
                _load(model, weights.state, model.state_dict().keys())
            else:
                _resume(model, weights, groups)
        except ValueError as error:
            raise WeightSourceError(f"{source.path}: {error}") from error


def _resume(model: LanguageModel, weights: Weights, groups: Sequence[str]) -> None:
    """Load the parameters of `groups`; counters and averages are reset, as the optimiser is."""
    known = model.state_groups
    unknown = [group for group in groups if group not in known]
    if unknown:
        raise ValueError(f"resume_from.states: no group {', '.join(unknown)}; known: {', '.join(known)}")
    chosen = tuple(groups or known)
    prefixes = tuple(prefix for group in chosen for prefix in known[group])
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    left = weights.buffers | (model.state_dict().keys() - parameters)
    taken = {name: value for name, value in weights.state.items() if name.startswith(prefixes) and name not in left}
    _load(model, taken, {name for name in parameters if name.startswith(prefixes)})
    model.resumed(chosen)


def _load(model: LanguageModel, taken: Mapping[str, Tensor], wanted: Collection[str]) -> None:
    """Load `taken`, which must be the state called `wanted`, but for what is restored from elsewhere."""
    missing = sorted((set(wanted) - model.frozen_state).symmetric_difference(taken))
    if missing:
        names = ", ".join(missing[:3])
        raise ValueError(f"resume_from: only one of the two models has {names}; choose other states")
    own, parameters = model.state_dict(), dict(model.named_parameters(remove_duplicate=False))
    for name, value in taken.items():
        if name in parameters and own[name].shape != value.shape:
            raise ValueError(
                f"resume_from: '{name}' has shape {tuple(value.shape)} there and {tuple(own[name].shape)} here; "
                "choose other states, or equal sizes"
            )
    model.load_state_dict({**own, **taken})
