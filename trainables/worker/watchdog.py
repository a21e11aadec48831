"""A hang is never silent: a process that waits too long for a report ends, and leaves its stacks behind.

The timer runs in a thread of the interpreter that needs no Python lock, so it detects every kind of hang:
a blocked read, a lock that is never released, a kernel that does not return.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

BEYOND_WATCHDOG_SECONDS = 60.0
"""Additional time that a rank waits for another, so that the one that hangs leaves its stacks first."""

OUR_WORK = str(Path(*Path(__file__).parts[-2:]))
"""This file's name in stacks: it identifies the thread that runs the replicate; others belong to Ray and
PyTorch."""


def watched(events: Iterator[T], *, seconds: float, stacks: Path) -> Iterator[T]:
    """Yield what `events` yields, and end this process if it waits longer than `seconds` for one of them.

    The time between an event and the request for the next one does not count: a worker may be idle.

    Args:
        events: What to watch.
        seconds: The longest wait.
        stacks: File that then contains the stack of every thread. It is empty while all is well, and removed after
            the last event, or whenever the iteration ends.
    """
    with stacks.open("w", encoding="utf-8") as file:
        try:
            while True:
                faulthandler.dump_traceback_later(seconds, exit=True, file=file)
                try:
                    event = next(events, None)
                finally:
                    faulthandler.cancel_dump_traceback_later()
                if event is None:
                    break
                yield event
        finally:
            stacks.unlink(missing_ok=True)


def read_stack_dump(path: Path) -> str:
    """Return the stacks that a hang left in `path`, and remove the file; empty if there was no hang."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    if text:
        path.unlink()
    return text


def hang_location(stacks: str) -> str:
    """Return where the replicate hung: the innermost line of the thread that ran it."""
    threads = [block.splitlines() for block in stacks.split("\n\n")]
    ours = [lines for lines in threads if any(OUR_WORK in line for line in lines)] or threads[-1:]
    frames = [line.strip() for line in ours[0] if line.strip().startswith("File ")]
    return frames[0] if frames else "in no Python code"
