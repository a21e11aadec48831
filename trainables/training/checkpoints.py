"""Checkpoints that appear whole or not at all."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import torch

FORMAT_VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint that belongs to something else; the message says to what."""


class OtherCodeError(CheckpointError):
    """A checkpoint of the right replicate, computed by other code: no beginning for this one."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        torch.save({"format_version": FORMAT_VERSION, **state}, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_checkpoint(path: Path, *, identity: str, code: str) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote; its tensors are in host memory.

    Args:
        path: The file.
        identity: What the checkpoint must say it is of; guards against continuing another replicate.
        code: Hash of the code that is to continue it.

    Raises:
        OtherCodeError: If other code has computed it.
        CheckpointError: If it is of another format or of another replicate.
    """
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    if state.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"{path}: format {state.get('format_version')}, this version reads {FORMAT_VERSION}")
    if state["identity"] != identity:
        raise CheckpointError(f"{path} is of '{state['identity']}', not of '{identity}'; remove it to start anew")
    if state.get("code") != code:
        raise OtherCodeError(f"{path} was computed by code {state.get('code', 'unknown')}, this is {code}")
    return state
