"""Work that waits for Ray: nothing of it is left when the session ends."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import pytest

from cluster.connection import session

QUEUE = queue.SimpleQueue


class SlowQueue:
    """A queue whose writer is delayed after it has written, as on a busy machine."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = QUEUE()

    def put(self, item: Any) -> None:
        self._queue.put(item)
        time.sleep(0.3)

    def get(self, timeout: float) -> Any:
        return self._queue.get(timeout=timeout)


def test_the_thread_has_ended_before_ray_is_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """It frees the handles of actors, and one that is freed during `ray.shutdown` ends the process."""
    monkeypatch.setattr(session.queue, "SimpleQueue", SlowQueue)
    session.run_while_ray_is_alive(lambda: None)
    assert "ray-work" not in {thread.name for thread in threading.enumerate()}
