"""No trial dies of a neighbour: the driver's rules against a ledger that draws the true demands itself."""

from __future__ import annotations

import ast
import functools
import inspect
import sys

import pytest

from tests.support.machine import ledger
from tests.support.machine.ledger import Job, Ledger
from tests.support.sweeps.simulation import (
    GIB,
    Outcome,
    cluster_of,
    contract,
    equal_fractions,
    gpus_of,
    mixed_jobs,
    simulate,
)

EIGHT_GPUS = cluster_of(("large", 4, 94.5), ("small", 4, 24.0))
ONE_GPU = cluster_of(("large", 1, 94.5))


def test_the_ledger_knows_nothing_of_the_code_under_test() -> None:
    """It imports the standard library only, so no common mistake can make the two agree."""
    tree = ast.walk(ast.parse(inspect.getsource(ledger)))
    names = [
        name
        for node in tree
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or "."] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    ]
    assert {"random", "sys"} < set(names)
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]


@functools.cache
def thousand_trials(seed: int, *, caps: bool) -> Outcome:
    jobs = mixed_jobs(1000, seed)
    return simulate(jobs, contract(jobs, EIGHT_GPUS), Ledger(gpus_of(EIGHT_GPUS), seed, caps=caps))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_thousand_trials_hurt_no_neighbour(seed: int) -> None:
    outcome = thousand_trials(seed, caps=True)
    assert outcome.num_hurt == 0
    assert len(outcome.finished) + len(outcome.given_up) == 1000
    assert len(outcome.deaths) > 20, "demands beyond the reservation must have been drawn"
    assert len(outcome.given_up) < 20
    assert all("that is the most that one GPU offers" in message for message in outcome.given_up.values())
    assert set(outcome.retries) == {"micro_batch_size", "memory"}


@pytest.mark.parametrize("seed", SEEDS)
def test_without_caps_neighbours_die(seed: int) -> None:
    """Else the ledger would record no deaths whatever the rules were."""
    assert thousand_trials(seed, caps=False).num_hurt > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_the_makespan_is_near_the_least_there_is(seed: int) -> None:
    """Within 1.25 of the area bound: every attempt on its part of the cluster, with nothing ever idle."""
    outcome = thousand_trials(seed, caps=True)
    assert outcome.makespan_seconds <= 1.25 * outcome.area_seconds


class ExactLedger(Ledger):
    """Every trial needs what was said of it."""

    def demand_mib(self, job: Job, micro_batch_size: int) -> float:
        return job.estimate_mib


FOUR_RUNS = [Job(f"run {number}", estimate_mib=36 * GIB, seconds=100.0) for number in range(4)]


def test_the_accident_by_equal_fractions() -> None:
    gpus = ExactLedger(gpus_of(ONE_GPU), 0, caps=False)
    outcome = simulate(FOUR_RUNS, equal_fractions(FOUR_RUNS, ONE_GPU, 4), gpus)
    assert outcome.finished == {"run 3"}, "three that reach 36 GiB die together; the last has the GPU for itself"
    assert len(outcome.deaths) == 3


def test_the_accident_under_the_contract() -> None:
    gpus = ExactLedger(gpus_of(ONE_GPU), 0, caps=True)
    outcome = simulate(FOUR_RUNS, contract(FOUR_RUNS, ONE_GPU), gpus)
    assert len(outcome.finished) == 4
    assert outcome.deaths == []
    assert outcome.makespan_seconds == 200.0, "two at a time"
