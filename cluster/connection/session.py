"""The Ray session of a driver: a private local one, or the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import gc
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ray
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import Config, GcsClient  # type: ignore[attr-defined]  # its stub is incomplete
from ray.exceptions import AuthenticationError, GetTimeoutError, RayError, RpcError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.connection.address import (
    CONNECT_SECONDS,
    ClusterError,
    answers,
    authenticate,
    join_address,
    token_advice,
)
from cluster.inventory import GpuGroup, Inventory, cluster_inventory, local_inventory
from cluster.memory.cuda_context import with_contexts

OBJECT_STORE_BYTES = 256 * 2**20
"""Trials exchange metrics, not tensors; the default would take 30 % of the node's memory."""

LOOK_SECONDS = 180.0
"""How long a node may take to report its GPUs: it starts a process and opens a CUDA context."""

CHECK_EVERY_SECONDS = 2.0
PATIENCE_SECONDS = 30.0
"""How long Ray may be unresponsive before it counts as dead. After 60 s it ends the process that is waiting."""

STARTUP_TIMEOUT_MESSAGE = "timed out during startup"
"""Part of Ray's error, which has no class of its own, if its processes were not up within 30 s."""


class RayFailure(RuntimeError):  # noqa: N818  Ray's failure, not an error of the call that finds it
    """Ray itself has died; the message says which component."""


@dataclass(frozen=True, kw_only=True)
class SessionResources:
    """What a local session offers to trials: exactly what the plan will use, so that no trial waits forever."""

    cpus: int
    gpus: int
    memory_mib: int


@contextmanager
def ray_session(
    offer: SessionResources, *, address: str | None, worker_environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[None]:
    """Keep a Ray session open for the duration of the block, without output on the terminal.

    Args:
        offer: Resources of a local session.
        address: Cluster to join, or None for a private local session. A local session sets
            `address="local"` explicitly: otherwise a file that a dead cluster left in Ray's temporary
            folder would make Ray connect to it.
        worker_environment: Environment variables of the worker processes.

    Raises:
        ClusterError: If the cluster cannot be joined; the message says what to do.
        RayFailure: If a local session does not start in time.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address:
        _join(address, {**quiet, "runtime_env": {"env_vars": dict(worker_environment)}})
    else:
        os.environ.update(worker_environment)  # inherited by workers; faster than a runtime environment
        _start(offer, quiet)
    try:
        yield
    finally:
        # A handle that is freed while Ray shuts down ends the whole process, from C++ ("The core worker has already
        # been shutdown"). Tune's objects form reference cycles, so collect them here instead of at some later time.
        gc.collect()
        ray.shutdown()


def _start(offer: SessionResources, quiet: dict[str, Any]) -> None:
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
        if STARTUP_TIMEOUT_MESSAGE not in str(error):
            raise
        load = f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
        raise RayFailure(f"Ray did not start within its 30 s: this machine is busy ({load}); try again") from error


def send_token() -> None:
    """Make Ray send this user's token from now on.

    Raises:
        ClusterError: If a token is required and there is none.
    """
    authenticate(os.environ, Path.home())
    Config.initialize("")  # Ray read RAY_AUTH_MODE when it was imported


def _join(address: str, quiet: dict[str, Any]) -> None:
    """Join a cluster, or raise an error that says why not.

    `ray.init` would retry twenty times, for 13 minutes if something else listens there, and then not say that the
    token was the problem; if it finds no token at all, it ends the process. So each is checked once before.
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
    with ray_session(SessionResources(cpus=0, gpus=0, memory_mib=0), address=address):
        nodes = [node for node in ray.nodes() if node["Alive"]]
        looks = {node["NodeID"]: _look_at(node["NodeID"]) for node in nodes if node["Resources"].get("GPU")}
        try:
            gpus = dict(zip(looks, ray.get(list(looks.values()), timeout=LOOK_SECONDS), strict=True))
        except (GetTimeoutError, RayError) as error:
            words = " ".join(str(error).split())
            raise ClusterError(f"a node with GPUs could not be asked for their memory: {words}") from error
        return cluster_inventory((node["Resources"], gpus.get(node["NodeID"], ())) for node in nodes)


def _look_at(node_id: str) -> ray.ObjectRef[tuple[GpuGroup, ...]]:
    """Have a node report its GPUs, how much of their memory is free, and how much a CUDA context takes."""
    there = NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)
    return _gpus_here.options(scheduling_strategy=there).remote()


@ray.remote(num_cpus=0, max_retries=0)
def _gpus_here() -> tuple[GpuGroup, ...]:
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # Ray hides all GPUs from a task that requests none
    return with_contexts(local_inventory()).gpus


def run_while_ray_is_alive(work: Callable[[], None]) -> None:
    """Run `work`, which waits for Ray, in a separate thread, and abandon it if Ray itself dies.

    Raises:
        RayFailure: Ray has died. A call that waits for it may never return: its thread is left behind.
        Exception: Whatever `work` raised.
    """
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def do() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  raised again below, in the thread that waits
            ended.put(error)
        else:
            ended.put(None)

    thread = threading.Thread(target=do, name="ray-work", daemon=True)
    thread.start()
    answered_at = time.monotonic()
    while True:
        try:
            error = ended.get(timeout=CHECK_EVERY_SECONDS)
        except queue.Empty:
            unresponsive = _unresponsive_component()
            if unresponsive is None:
                answered_at = time.monotonic()
            elif time.monotonic() - answered_at > PATIENCE_SECONDS:
                raise RayFailure(unresponsive) from None
            continue
        thread.join()  # it may hold the last handle of an actor, which must be gone before Ray is
        if error is None:
            return
        if unresponsive := _unresponsive_component():
            raise RayFailure(unresponsive) from error
        raise error


def _unresponsive_component() -> str | None:
    """Return which component of Ray is unresponsive; None if there is none."""
    context = ray.get_runtime_context()
    if not answers(context.gcs_address, CONNECT_SECONDS):
        return f"Ray's head at {context.gcs_address} has died"
    if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == context.get_node_id()):
        return "Ray's process on this machine (raylet) has died"
    return None
