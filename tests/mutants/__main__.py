"""`python -m tests.mutants`: every planted defect must turn its named test red, or the exit code is 1."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.mutants.catalogue import MUTANTS, named
from tests.mutants.mutant import Mutant, StaleMutantError
from tests.mutants.runner import BASELINE_SECONDS, ROOT, TESTS_FAILED, Worker, try_all


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every chosen mutant is caught, else 1."""
    given = _parse(arguments)
    mutants = named(given.only) if given.only else MUTANTS
    if given.list:
        for mutant in mutants:
            print(f"{mutant.name}\n  {mutant.meaning}\n  {mutant.file}\n  {mutant.caught_by}")
        return 0
    stale = list(_stale(mutants))
    if stale:
        print("stale mutants: the source has moved on, they must follow", *stale, sep="\n  ")
        return 1
    started = time.monotonic()
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker()) for _ in range(min(given.jobs, len(mutants)))]
        sound = _sound(workers[0], mutants)
        num_caught = _report(sound, workers)
    print(f"{num_caught} of {len(mutants)} mutants caught in {time.monotonic() - started:.0f} s")
    return 0 if num_caught == len(mutants) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="this mutant; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at work at a time (default 2)")
    parser.add_argument("--list", action="store_true", help="print the mutants and start nothing")
    given = parser.parse_args(arguments)
    if given.jobs < 1:
        parser.error("--jobs must be at least 1")
    unknown = set(given.only or ()) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no mutant {', '.join(sorted(unknown))}; see --list")
    return given


def _stale(mutants: Sequence[Mutant]) -> list[str]:
    found = []
    for mutant in mutants:
        try:
            mutant.planted(ROOT)
        except StaleMutantError as error:
            found.append(str(error))
    return found


def _sound(worker: Worker, mutants: Sequence[Mutant]) -> list[Mutant]:
    """Return the mutants whose named tests pass without them: only then does their failure mean anything."""
    node_ids = sorted({mutant.caught_by for mutant in mutants})
    run = worker.run_tests(node_ids, timeout_seconds=BASELINE_SECONDS, stop_at_first=False)
    if run.exit_code == 0:
        print(f"{len(node_ids)} named tests pass without a mutant, in {run.seconds:.0f} s", flush=True)
        return list(mutants)
    print(run.output)
    sound = [mutant for mutant in mutants if not any(mutant.catches(node_id) for node_id in run.failures)]
    if run.exit_code != TESTS_FAILED or len(sound) == len(mutants):
        print("the named tests cannot be run without a mutant: fix them first")
        return []
    for mutant in mutants:
        if mutant not in sound:
            print(f"left out: {mutant.name}, because {mutant.caught_by} fails without it", flush=True)
    return sound


def _report(mutants: Sequence[Mutant], workers: Sequence[Worker]) -> int:
    """Try the mutants, print a line for each as it is known, and return how many were caught."""
    names = max((len(mutant.name) for mutant in mutants), default=0)
    files = max((len(mutant.file) for mutant in mutants), default=0)
    print(f"{'mutant':<{names}}  {'file':<{files}}  seconds  caught by")
    num_caught = 0
    for finding in try_all(mutants, workers):
        mutant = finding.mutant
        print(
            f"{mutant.name:<{names}}  {mutant.file:<{files}}  {finding.seconds:7.1f}  {finding.remark}", flush=True
        )
        if not finding.is_caught:
            print(f"{'':<{names}}  planted: {mutant.meaning}", flush=True)
        num_caught += finding.is_caught
    return num_caught


if __name__ == "__main__":
    sys.exit(main())
