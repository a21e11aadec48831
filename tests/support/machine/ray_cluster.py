"""A Ray cluster of several nodes on this machine, started and joined by the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ray
from ray.cluster_utils import Cluster

END_SECONDS = 60


@contextmanager
def ray_cluster() -> Iterator[Cluster]:
    """Start a head node with one core and without a dashboard; at the end every process of the cluster has ended.

    A dashboard that is slow to start is forgotten by Ray, and nobody would wait for its end.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield made
    finally:
        ray.shutdown()
        started = [one for node in made.list_all_nodes() for kind in node.all_processes.values() for one in kind]
        made.shutdown()
        for one in started:  # on a busy machine Ray itself gives up waiting
            one.process.wait(END_SECONDS)
