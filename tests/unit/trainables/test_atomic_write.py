"""Files appear whole, are on disk before they have their name, and leave nothing behind when writing fails."""

import errno
import os
from pathlib import Path

import pytest

from trainables import atomic_write
from trainables.atomic_write import atomic_path, write_text_atomic


def test_the_new_text_replaces_the_old_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_text_atomic(path, "old")
    write_text_atomic(path, "ω = 1\n")
    assert path.read_text(encoding="utf-8") == "ω = 1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_half_way_keeps_the_old_file_and_removes_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(b"old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            assert temporary.parent == tmp_path and temporary.suffix == ".tmp"
            temporary.write_bytes(b"ne")
            raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(OSError, match="no space left"):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_synced_around_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noting_fsync(descriptor: int) -> None:
        done.append("folder" if Path(f"/proc/self/fd/{descriptor}").readlink() == tmp_path else "file")
        fsync(descriptor)

    def noting_replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(Path, "replace", noting_replace)
    write_text_atomic(tmp_path / "study.yaml", "format_version: 1\n")
    assert done == ["file", "rename", "folder"]


@pytest.mark.parametrize(("number", "raises"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synced_is_no_reason_to_fail_but_a_broken_disk_is(
    number: int, raises: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(atomic_write.os, "fsync", refuse_folders)
    path = tmp_path / "a"
    if raises:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_text_atomic(path, "text")
    else:
        write_text_atomic(path, "text")
    assert path.read_text(encoding="utf-8") == "text"


def test_a_file_that_cannot_be_synced_does_not_get_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "invalid")

    monkeypatch.setattr(atomic_write.os, "fsync", refuse)
    with pytest.raises(OSError, match="invalid"):
        write_text_atomic(tmp_path / "a", "text")
    assert list(tmp_path.iterdir()) == []
