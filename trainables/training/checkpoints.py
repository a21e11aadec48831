"""Checkpoints that are written atomically, and whose damage is detected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from trainables.atomic_write import atomic_path
from trainables.training.archives import damage

FORMAT_VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint of something else; the message says of what."""


class OtherCodeError(CheckpointError):
    """A checkpoint of the right replicate, computed by other code: it must not be continued."""


class UnreadableCheckpointError(CheckpointError):
    """A file that is empty, incomplete or damaged: nothing can be continued from it."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: a reader sees the old file or the new one, even after a power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file of ours: PyTorch's own writer does not say why it failed, such as on a full disk.
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        torch.save({"format_version": FORMAT_VERSION, **state}, file)


def read_state(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; tensors are in host memory.

    Raises:
        UnreadableCheckpointError: If the file is damaged.
    """
    if problem := damage(path):
        raise UnreadableCheckpointError(f"{path} cannot be read: {problem}")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def set_aside(path: Path) -> Path:
    """Rename an unreadable file, so that it is not read again but can be inspected.

    Returns:
        Its new path; of several processes that do this at once, one renames it.
    """
    aside = path.with_name(f"{path.name}.unreadable")
    if path.exists():
        path.replace(aside)
    return aside


def load_checkpoint(path: Path, *, identity: str, code: str) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote; tensors are in host memory.

    Args:
        path: The file.
        identity: Identity that the checkpoint must have; guards against continuing another replicate.
        code: Hash of the code that is to continue it.

    Raises:
        UnreadableCheckpointError: If it is damaged.
        OtherCodeError: If other code has computed it.
        CheckpointError: If it is of another format or of another replicate.
    """
    state = read_state(path)
    if state.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format {state.get('format_version')}, this version reads {FORMAT_VERSION}")
    if state["identity"] != identity:
        raise CheckpointError(f"{path} is of '{state['identity']}', not of '{identity}'; remove it to start again")
    if state.get("code") != code:
        raise OtherCodeError(f"{path} was computed by code {state.get('code', 'unknown')}, this is {code}")
    return state
