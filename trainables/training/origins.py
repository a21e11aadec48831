"""Weights of other replicates that one starts with: a backbone trained before it, or what it fine-tunes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.architectures.base import LanguageModel
from trainables.training.checkpoints import FORMAT_VERSION, save_checkpoint

BACKBONE = "backbone"
"""Role of the backbone that was trained before."""
RESUME = "resume"
"""Role of the replicate that is fine-tuned."""


class OriginError(ValueError):
    """Weights that are missing, or do not fit; the message says which, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where weights lie, and whose they must be."""

    path: str
    identity: str
    """`<config_id>/seed=<k>`, or `sha256:<hash>` of a file that the user named."""
    named: str
    """What it is to the configuration that starts with it, whatever the seed: a part of its `config_id`."""


def sha256_of(path: Path) -> str:
    """Return what identifies a file of weights by its content."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def save_weights(path: Path, model: Mapping[str, Tensor], *, identity: str, code: str) -> None:
    """Write what a replicate has learnt, whole or not at all."""
    save_checkpoint(path, {"identity": identity, "code": code, "model": dict(model)})


def load_weights(origin: Origin) -> dict[str, Tensor]:
    """Read weights that `save_weights` wrote, into host memory.

    Raises:
        OriginError: If there are none, or they are of something else.
    """
    path = Path(origin.path)
    if not path.is_file():
        raise OriginError(f"{path}: no weights there; move its sweep's journal away, so that it is trained again")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("format_version") != FORMAT_VERSION:
        raise OriginError(f"{path}: format {state.get('format_version')}, this version reads {FORMAT_VERSION}")
    found = sha256_of(path) if origin.identity.startswith("sha256:") else state["identity"]
    if found != origin.identity:
        raise OriginError(f"{path} holds the weights of {found}, not of {origin.identity}")
    weights: dict[str, Tensor] = state["model"]
    return weights


def start_from(model: LanguageModel, origins: Mapping[str, Origin], groups: Sequence[str]) -> None:
    """Give a model the weights that it starts with.

    Args:
        model: Initialised.
        origins: By role.
        groups: Names of `LanguageModel.state_groups` to take over in the role `resume`; empty: all.

    Raises:
        OriginError: If they are missing, or do not fit.
    """
    for role, origin in sorted(origins.items()):  # the backbone first
        state = load_weights(origin)
        try:
            if role == RESUME:
                _resume(model, state, groups)
            else:
                model.take_over(role, state)
        except ValueError as error:
            raise OriginError(f"{origin.path}: {error}") from error


def _resume(model: LanguageModel, state: Mapping[str, Tensor], groups: Sequence[str]) -> None:
    known = model.state_groups
    unknown = [group for group in groups if group not in known]
    if unknown:
        raise ValueError(f"resume_from.states: no group {', '.join(unknown)}; known: {', '.join(known)}")
    prefixes = tuple(prefix for group in groups or known for prefix in known[group])
    own = model.state_dict()
    taken = {name: value for name, value in state.items() if name.startswith(prefixes)}
    wanted = {name for name in own if name.startswith(prefixes)} - model.frozen_state
    missing = sorted(wanted.symmetric_difference(taken))
    if missing:
        names = ", ".join(missing[:3])
        raise ValueError(f"resume_from: only one of the two models has {names}; choose other states")
    for name, value in taken.items():
        if own[name].shape != value.shape:
            raise ValueError(
                f"resume_from: '{name}' has shape {tuple(value.shape)} there and {tuple(own[name].shape)} here; "
                "choose other states, or equal sizes"
            )
    model.load_state_dict({**own, **taken})
