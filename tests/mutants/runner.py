"""Runs planted defects, each in a copy of the working tree, never in the tree itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from types import TracebackType

from tests.mutants import forks
from tests.mutants.guard import NOTES
from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
MUTANT_SECONDS = 240
BASELINE_SECONDS = 1200
TESTS_FAILED = 1
"""Pytest's exit code where tests ran and some failed; others mean that something else went wrong."""

NO_DEFECTS_OF_THE_CODE = frozenset({"ImportError", "ModuleNotFoundError", "NameError", "SyntaxError"})
"""Errors that say that the mutant itself is malformed: every test would find those."""

PYTEST = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.mutants.guard", "--tb=short")


@dataclass(frozen=True)
class PytestRun:
    """How a call of pytest ended."""

    exit_code: int | None
    """None: it did not end in time."""
    failures: dict[str, str]
    """{node id: type of the error} of tests that failed while they ran, not while they were set up."""
    num_passed: int
    seconds: float
    output: str


@dataclass(frozen=True)
class Finding:
    """What became of one mutant."""

    mutant: Mutant
    is_caught: bool
    remark: str
    """The test that caught it, or why it does not count as caught."""
    seconds: float


class Worker:
    """A copy of the working tree, and a process that runs tests in it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.tree = Path(self._stack.enter_context(TemporaryDirectory(prefix="phasesweep-mutant-")))
        self._notes = Path(self._stack.enter_context(TemporaryDirectory(prefix="phasesweep-notes-")))

    def __enter__(self) -> Worker:
        copy_tree(self.tree)
        # No bytecode: a file that changes twice within a second would be taken for the one before.
        settings = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(self.tree)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", forks.__file__],
            env={**os.environ, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # closes its input, and so ends it
        self._stack.close()

    def run_tests(self, node_ids: Iterable[str], *, timeout_seconds: float, stop_at_first: bool) -> PytestRun:
        """Run tests of the tree in a process of their own."""
        notes, output = self._notes / "notes.jsonl", self._notes / "output.txt"
        notes.write_text("", encoding="utf-8")
        order = {
            "tree": str(self.tree),
            "arguments": [*PYTEST, *(["-x"] if stop_at_first else []), *node_ids],
            "environment": {NOTES: str(notes)},
            "output": str(output),
            "timeout_seconds": timeout_seconds,
        }
        started = time.monotonic()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        exit_code = json.loads(self._process.stdout.readline())["exit_code"]
        told = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
        calls = [note for note in told if note["phase"] == "call"]
        return PytestRun(
            exit_code=exit_code,
            failures={note["node_id"]: note["error"] for note in calls if note["outcome"] == "failed"},
            num_passed=sum(note["outcome"] == "passed" for note in calls),
            seconds=time.monotonic() - started,
            output=output.read_text(encoding="utf-8", errors="replace"),
        )

    def try_mutant(self, mutant: Mutant) -> Finding:
        """Plant a defect, run its test, and take the defect out again.

        Raises:
            StaleMutantError: If the defect cannot be planted.
        """
        path = self.tree / mutant.file
        original, planted = path.read_text(encoding="utf-8"), mutant.planted(self.tree)
        path.write_text(planted, encoding="utf-8")
        try:
            run = self.run_tests([mutant.caught_by], timeout_seconds=MUTANT_SECONDS, stop_at_first=True)
        finally:
            path.write_text(original, encoding="utf-8")
        return judge(mutant, run)


def copy_tree(target: Path) -> None:
    """Copy what git tracks or would track to `target`: the working tree as it is, without caches."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # a deleted file stays listed until it is committed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def judge(mutant: Mutant, run: PytestRun) -> Finding:
    """Decide whether `run` has caught the mutant: by a failure inside the named test, and nothing less."""
    caught = {node_id: error for node_id, error in run.failures.items() if mutant.catches(node_id)}
    malformed = NO_DEFECTS_OF_THE_CODE & set(caught.values())
    if run.exit_code is None:
        remark = f"no answer from {mutant.caught_by} in {MUTANT_SECONDS} s"
    elif run.exit_code == TESTS_FAILED and caught and not malformed:
        return Finding(mutant, True, next(iter(caught)), run.seconds)
    elif malformed:
        remark = f"malformed: {', '.join(sorted(malformed))} in {next(iter(caught))}"
    elif run.exit_code == 0 and run.num_passed:
        remark = f"SURVIVED {mutant.caught_by}"
    else:
        last = run.output.strip().splitlines()[-1:] or ["no output"]
        remark = f"pytest ended with {run.exit_code} and no failure in {mutant.caught_by}: {last[0]}"
    return Finding(mutant, False, remark, run.seconds)


def try_all(mutants: Sequence[Mutant], workers: Sequence[Worker]) -> Iterator[Finding]:
    """Yield what becomes of each mutant, in order, with all workers at work."""
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def attempt(mutant: Mutant) -> Finding:
        worker = free.get()
        try:
            return worker.try_mutant(mutant)
        finally:
            free.put(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        yield from pool.map(attempt, mutants)
