"""The Ray session of a driver: a private local one, or the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import Config, GcsClient  # type: ignore[attr-defined]  # its stub is incomplete
from ray.exceptions import AuthenticationError, RpcError

from cluster.access import CONNECT_SECONDS, ClusterError, answers, authenticate, join_address, token_advice
from cluster.inventory import Inventory, cluster_inventory

OBJECT_STORE_BYTES = 256 * 2**20
"""Trials exchange metrics, not tensors; the default would take 30 % of the machine's memory."""

CHECK_EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
"""How long Ray may not answer before it counts as dead. After 60 s it ends the process that asks."""


class RayFailure(RuntimeError):  # noqa: N818  Ray's failure, not an error of the call that finds it
    """Ray itself has died; the message says what of it."""


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

    Raises:
        ClusterError: If the cluster cannot be joined; the message says what to do.
        RayFailure: If a session of our own does not start in time.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address:
        _join(address, quiet)
    else:
        _start(offer, quiet)
    try:
        yield
    finally:
        ray.shutdown()


def _start(offer: Offer, quiet: dict[str, Any]) -> None:
    try:
        ray.init(
            address="local",
            num_cpus=offer.cpus,
            num_gpus=offer.gpus,
            _memory=offer.memory_mib * 2**20,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    except Exception as error:  # Ray raises no narrower class for this
        if "timed out during startup" not in str(error):
            raise
        load = f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
        raise RayFailure(f"Ray did not start within its 30 s: this machine is busy ({load}); try again") from error


def send_token() -> None:
    """Have Ray send this user's token from now on.

    Raises:
        ClusterError: If a token is demanded and there is none.
    """
    authenticate(os.environ, Path.home())
    Config.initialize("")  # Ray has read RAY_AUTH_MODE when it was imported


def _join(address: str, quiet: dict[str, Any]) -> None:
    """Join a cluster, or say why not.

    `ray.init` would ask twenty times, for 13 minutes if something else listens there, and then not say that it was
    the token; where it finds no token at all, it ends the process. So each is asked first, once.
    """
    join_address(address)
    send_token()
    try:
        known = canonicalize_bootstrap_address_or_die(address)
        if not answers(known, CONNECT_SECONDS):
            raise ClusterError(f"nothing listens at {known}")
        GcsClient(address=known)
        ray.init(address=known, **quiet)
    except AuthenticationError as error:
        raise ClusterError(token_advice(os.environ, Path.home())) from error
    except RpcError as error:
        raise ClusterError(
            f"what listens there is no head node ({error}); the port is that of `ray start --head`"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ClusterError):
            raise
        raise ClusterError(" ".join(str(error).split())) from error


def cluster_nodes(address: str) -> Inventory:
    """Return what the cluster at `address` offers.

    Raises:
        ClusterError: If it cannot be joined; the message says what to do.
    """
    with ray_session(Offer(cpus=0, gpus=0, memory_mib=0), address=address):
        return cluster_inventory(node["Resources"] for node in ray.nodes() if node["Alive"])


def outlive(work: Callable[[], None]) -> None:
    """Do `work`, which waits for Ray, in a thread of its own, and give it up if Ray itself dies.

    Raises:
        RayFailure: Ray has died. A call that waits for it may never return: its thread is left behind.
    """
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def do() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised again below, in the thread that waits
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=do, name="ray-work", daemon=True).start()
    answered_at = time.monotonic()
    while True:
        try:
            error = ended.get(timeout=CHECK_EVERY_SECONDS)
        except queue.Empty:
            silence = _silence()
            if not silence:
                answered_at = time.monotonic()
            elif time.monotonic() - answered_at > PATIENCE_SECONDS:
                raise RayFailure(silence) from None
            continue
        if error is not None:
            raise error
        return


def _silence() -> str:
    """Return what of Ray does not answer; empty if all does."""
    context = ray.get_runtime_context()
    if not answers(context.gcs_address, CONNECT_SECONDS):
        return f"Ray's head at {context.gcs_address} has died"
    if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == context.get_node_id()):
        return "Ray's process on this machine (raylet) has died"
    return ""
