"""A thousand trials on GPUs that another process plays: a ledger held by Ray, apart from the driver's rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import ray

from cluster.connection.session import SessionResources, ray_session
from tests.support.machine.ledger import Ask, Death, Job, Ledger
from tests.support.sweeps.simulation import Outcome, cluster_of, contract, gpus_of, mixed_jobs, simulate

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EIGHT_GPUS = cluster_of(("large", 4, 94.5), ("small", 4, 24.0))
JOBS = mixed_jobs(1000, seed=0)


class LedgerActor:
    """The ledger's interface, answered by its actor; asks of one instant go in one batch."""

    def __init__(self, *, caps: bool) -> None:
        self._actor: Any = ray.remote(num_cpus=0)(Ledger).remote(gpus_of(EIGHT_GPUS), 0, caps=caps)

    def place(self, asks: Sequence[Ask]) -> list[str]:
        return ray.get(self._actor.place.remote(asks)) if asks else []

    def grow(self, job: Job, micro_batch_size: int) -> list[str]:
        return ray.get(self._actor.grow.remote(job, micro_batch_size))

    def leave(self, name: str) -> float:
        return ray.get(self._actor.leave.remote(name))

    def deaths(self) -> list[Death]:
        return ray.get(self._actor.deaths.remote())

    def packages(self) -> set[str]:
        return ray.get(self._actor.packages.remote())


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    with ray_session(SessionResources(cpus=1, gpus=0, memory_mib=512), address=None):
        yield


def thousand_trials(gpus: LedgerActor) -> Outcome:
    return simulate(JOBS, contract(JOBS, EIGHT_GPUS), gpus)


def test_a_thousand_trials_hurt_no_neighbour() -> None:
    gpus = LedgerActor(caps=True)
    outcome = thousand_trials(gpus)
    assert outcome.num_hurt == 0
    assert len(outcome.finished) + len(outcome.given_up) == len(JOBS)
    assert len(outcome.deaths) > 20, "demands beyond the reservation must have been drawn"
    assert outcome.makespan_seconds <= 1.25 * outcome.area_seconds
    loaded = gpus.packages()
    assert "tests" in loaded
    assert not loaded & {"cluster", "sweeps", "trainables", "search_spaces", "analysis"}


def test_without_caps_neighbours_die() -> None:
    assert thousand_trials(LedgerActor(caps=False)).num_hurt > 0
