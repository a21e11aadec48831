"""Checkpoints that appear whole or not at all, and say so when they are damaged nevertheless."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from trainables.atomic_write import atomic_path

FORMAT_VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint that belongs to something else; the message says to what."""


class OtherCodeError(CheckpointError):
    """A checkpoint of the right replicate, computed by other code: no beginning for this one."""


class UnreadableCheckpointError(CheckpointError):
    """A file that is empty, torn or damaged: nothing can be continued from it."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path` atomically: a reader sees the old file or the new one, also after a power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save({"format_version": FORMAT_VERSION, **state}, temporary)


def read_state(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; its tensors are in host memory.

    Args:
        path: The file.
        mapped: Leave the tensors on disk until they are used.

    Raises:
        UnreadableCheckpointError: If the file is damaged.
    """
    if damage := _damage(path):
        raise UnreadableCheckpointError(f"{path} cannot be read: {damage}")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    return state


def _damage(path: Path) -> str:
    """Return what of a file is not as `torch.save` wrote it, by the checksums in it; empty if nothing.

    Asked before it is loaded: `torch.load` looks at no checksum, and a lack of memory is no damage.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        return f"it is empty or torn ({path.stat().st_size} bytes; {error})"
    return f"its part {damaged} is damaged" if damaged else ""


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be read, so that nothing meets it again and somebody may look at it.

    Returns:
        Its new path; of several processes that do this at once, one renames it.
    """
    aside = path.with_name(f"{path.name}.unreadable")
    if path.exists():
        path.replace(aside)
    return aside


def load_checkpoint(path: Path, *, identity: str, code: str) -> dict[str, Any]:
    """Read a checkpoint that `save_checkpoint` wrote; its tensors are in host memory.

    Args:
        path: The file.
        identity: What the checkpoint must say it is of; guards against continuing another replicate.
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
