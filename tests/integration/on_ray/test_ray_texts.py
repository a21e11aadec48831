"""Ray says some things in words only, by which the driver decides: here Ray itself says them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.exceptions import RayActorError

from cluster.connection.session import STARTUP_TIMEOUT_MESSAGE
from sweeps.run.engine import is_node_lost
from tests.support.machine.ray_cluster import ray_cluster

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@ray.remote(num_cpus=1, resources={"elsewhere": 1})
class Elsewhere:
    """An actor that runs on the second node only."""

    def answer(self) -> int:
        return 1

    def work(self) -> None:
        time.sleep(600)


@ray.remote(num_cpus=0)
class Owner:
    """An actor that has started another one."""

    def start(self) -> object:
        self.owned = Owned.remote()
        ray.get(self.owned.answer.remote())
        return self.owned


@ray.remote(num_cpus=0)
class Owned:
    def answer(self) -> int:
        return os.getpid()

    def work(self) -> None:
        time.sleep(600)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with ray_cluster() as made:
        yield made


def last_words_of(work: Any) -> str:
    """Return what Ray says of the actor that was at `work` when it died, as Tune gets it of a trial."""
    with pytest.raises(RayActorError) as death:
        ray.get(work, timeout=600)
    return str(death.value)


def test_a_lost_machine_and_a_lost_owner_are_recognised(cluster: Cluster) -> None:
    node = cluster.add_node(num_cpus=1, resources={"elsewhere": 1})
    ray.init(address=cluster.address, log_to_driver=False)
    actor = Elsewhere.remote()
    assert ray.get(actor.answer.remote(), timeout=600) == 1
    work = actor.work.remote()
    time.sleep(2)
    cluster.remove_node(node, allow_graceful=False)
    words = last_words_of(work)
    assert is_node_lost(words), words
    while "temporarily unavailable" in words:  # until Ray has noticed
        time.sleep(1)
        words = last_words_of(actor.answer.remote())
    assert "its node has died" in words and is_node_lost(words), words

    owner = Owner.remote()
    owned = ray.get(owner.start.remote(), timeout=600)
    work = owned.work.remote()
    time.sleep(2)
    ray.kill(owner)
    words = last_words_of(work)
    assert is_node_lost(words), words

    killed = Owned.remote()
    pid = ray.get(killed.answer.remote(), timeout=600)
    work = killed.work.remote()
    time.sleep(2)
    os.kill(pid, signal.SIGKILL)
    words = last_words_of(work)
    assert not is_node_lost(words), f"a process that dies alone is no lost machine: {words}"


SLOW_START = """
import threading, time, psutil, ray

def suspend():
    while True:
        for child in psutil.Process().children(recursive=True):
            try:
                if child.name() == "raylet":
                    child.suspend()
                    return
            except psutil.NoSuchProcess:
                continue

threading.Thread(target=suspend, daemon=True).start()
try:
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
except Exception as error:
    print(error)
finally:
    for child in psutil.Process().children(recursive=True):
        child.kill()
"""


def test_a_session_that_starts_too_slowly_is_recognised() -> None:
    done = subprocess.run([sys.executable, "-c", SLOW_START], capture_output=True, text=True, check=False)
    assert STARTUP_TIMEOUT_MESSAGE in done.stdout, done.stdout + done.stderr
