"""The Ray session of a driver: a private local one, or the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from cluster.inventory import Inventory, cluster_inventory

OBJECT_STORE_BYTES = 256 * 2**20
"""Trials exchange metrics, not tensors; the default would take 30 % of the machine's memory."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a local session offers to trials: exactly what the plan will use, so that nothing waits for ever."""

    cpus: int
    gpus: int
    memory_mib: int


@contextmanager
def ray_session(offer: Offer, *, address: str | None) -> Iterator[None]:
    """Hold a Ray session for the duration of the block, quiet on the terminal.

    Args:
        offer: Resources of a local session.
        address: Cluster to join, or None for a local session of our own. A local session says
            `address="local"` outright: otherwise a file that a dead cluster left in Ray's temporary
            folder would send us to it.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address:
        ray.init(address=address, **quiet)
    else:
        ray.init(
            address="local",
            num_cpus=offer.cpus,
            num_gpus=offer.gpus,
            _memory=offer.memory_mib * 2**20,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    try:
        yield
    finally:
        ray.shutdown()


def cluster_nodes(address: str) -> Inventory:
    """Return what the cluster at `address` offers.

    Raises:
        ConnectionError: If there is no cluster.
    """
    with ray_session(Offer(cpus=0, gpus=0, memory_mib=0), address=address):
        return cluster_inventory(node["Resources"] for node in ray.nodes() if node["Alive"])
