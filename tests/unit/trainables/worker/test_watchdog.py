"""A wait that is too long ends the process and says where it hung; everything else leaves no trace."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainables.worker import watchdog
from trainables.worker.watchdog import hang_location, read_stack_dump, watched

HANGS = """
import os, sys, threading, time
from pathlib import Path
from trainables.worker.watchdog import watched

def events():
    yield "started"
    os.open(sys.argv[1], os.O_RDONLY)  # nobody writes there: a read that never comes back
    yield "never"

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
for event in watched(events(), seconds=0.3, stacks=Path(sys.argv[2])):
    print(event, flush=True)
    time.sleep(0.6)  # between two events nothing is watched, however long it takes
"""


def test_a_hang_ends_the_process_and_leaves_its_stacks(tmp_path: Path) -> None:
    fifo, stacks = tmp_path / "fifo", tmp_path / "stacks.txt"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", HANGS, str(fifo), str(stacks)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "started\n")
    text = stacks.read_text(encoding="utf-8")
    assert text.count("Thread 0x") == 2
    assert hang_location(text) == 'File "<string>", line 8 in events'
    assert read_stack_dump(stacks) == text
    assert read_stack_dump(stacks) == ""


def test_a_watch_that_ends_leaves_no_file(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.txt"
    seen = []
    for event in watched(iter([1, 2]), seconds=30, stacks=stacks):
        seen.append(event)
        assert stacks.read_text(encoding="utf-8") == ""
        assert read_stack_dump(stacks) == "", "an empty file is no hang"
    assert seen == [1, 2]
    assert not stacks.exists()


def test_an_exception_passes_and_disarms(tmp_path: Path) -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise RuntimeError("a bug")

    stacks = tmp_path / "stacks.txt"
    watch = watched(fails(), seconds=0.2, stacks=stacks)
    assert next(watch) == 1
    with pytest.raises(RuntimeError, match="a bug"):
        next(watch)
    time.sleep(0.4)  # it would have ended this process by now
    assert not stacks.exists()


def test_stacks_without_python_code_have_no_place() -> None:
    assert hang_location("Timeout (0:00:01)!\n") == "in no Python code"


def test_the_thread_that_works_on_a_replicate_is_told_by_this_file_wherever_it_lies() -> None:
    assert watchdog.__file__.endswith(f"/{watchdog.OUR_WORK}")
    others = 'Thread 0x01:\n  File "/ray/thread.py", line 3 in run'
    ours = (
        f'Thread 0x02:\n  File "/lib/pathlib.py", line 9 in open\n  File "{watchdog.__file__}", line 5 in watched'
    )
    for threads in ((ours, others), (others, ours)):
        assert hang_location("\n\n".join(threads)) == 'File "/lib/pathlib.py", line 9 in open'
