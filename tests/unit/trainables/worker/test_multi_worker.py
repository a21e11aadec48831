"""What the driver of several workers makes of their failures; no Ray is started."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from ray.train import ControllerError, WorkerGroupError
from torch import distributed as dist

from tests.support.models.configs import small_assignment
from trainables.training.parallel.ranks import is_lost_peer
from trainables.worker.multi_worker import RankDiedError, RankFailedError, _failure
from trainables.worker.replicate_folder import FollowerFolder, ReplicateFolder
from trainables.worker.watchdog import read_stack_dump


def failed(rank: int, message: str, *, outcome: str = "crashed", is_consequence: bool = False) -> RankFailedError:
    event = {"event": "report", "outcome": outcome, "message": message, "step": 0, "metrics": {}}
    return RankFailedError(rank, event, is_consequence)


def last_event(folder: Path, *failures: RankFailedError) -> dict[str, Any]:
    """Return what the driver reports when these ranks have failed."""
    told: dict[int, Exception] = {failure.rank: failure for failure in failures}
    return _failure(small_assignment(folder, workers=4), WorkerGroupError("", told), seconds=1.0, has_started=True)


def test_the_cause_is_reported_and_not_what_followed_from_it(tmp_path: Path) -> None:
    lost = failed(0, "RuntimeError: Connection closed by peer", is_consequence=True)
    crash, oom = failed(1, "ValueError: no"), failed(2, "MemoryError: ", outcome="oom")
    assert last_event(tmp_path, lost)["message"] == "rank 0: RuntimeError: Connection closed by peer"
    assert last_event(tmp_path, lost, crash)["message"] == "rank 1: ValueError: no"
    assert last_event(tmp_path, lost, crash, oom)["outcome"] == "oom"


def test_a_failure_survives_the_way_to_the_driver() -> None:
    error = failed(1, "ValueError: no")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.rank, copy.event, copy.is_consequence) == (1, error.event, False)


def test_a_dead_rank_is_raised_with_its_last_words(tmp_path: Path) -> None:
    told: dict[int, Exception] = {
        0: failed(0, "gone", is_consequence=True),
        1: RuntimeError("worker died\nby SIGKILL"),
    }
    with pytest.raises(RankDiedError, match=r"^rank 1 of 2: worker died by SIGKILL$"):
        _failure(small_assignment(tmp_path, workers=2), WorkerGroupError("", told), seconds=1.0, has_started=True)


def test_the_stacks_of_all_ranks_that_hung_are_kept_the_culprit_s_first(tmp_path: Path) -> None:
    given = small_assignment(tmp_path, workers=3)
    first, second = ReplicateFolder(Path(given.replicate_dir)), FollowerFolder(Path(given.replicate_dir), 1)
    first.create()
    first.stacks.write_text('File "torch/distributed/distributed_c10d.py", line 1 in all_reduce', encoding="utf-8")
    second.stacks.write_text('File "my_layer.py", line 2 in forward', encoding="utf-8")
    with pytest.raises(RankDiedError):
        _failure(given, WorkerGroupError("", {0: RuntimeError("exited")}), seconds=1.0, has_started=True)
    stacks = read_stack_dump(first.stacks)
    assert stacks.index("my_layer.py") < stacks.index("all_reduce")
    assert not second.stacks.exists()


def test_a_failure_of_ray_train_itself_is_a_crash_with_its_traceback_on_disk(tmp_path: Path) -> None:
    given = small_assignment(tmp_path, workers=2)
    ReplicateFolder(Path(given.replicate_dir)).create()
    event = _failure(given, ControllerError(ValueError("no such thing")), seconds=1.0, has_started=False)
    assert (event["outcome"], event["seconds"]) == ("crashed", 1.0)
    assert "no such thing" in event["message"]
    assert "ControllerError" in (Path(given.replicate_dir) / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seconds", "has_started", "outcome"),
    [(99.0, False, "crashed"), (101.0, False, "timed_out"), (101.0, True, "crashed")],
)
def test_workers_that_ray_never_grants_have_timed_out(
    seconds: float, has_started: bool, outcome: str, tmp_path: Path
) -> None:
    given = small_assignment(tmp_path, workers=2, report_timeout_seconds=100.0)
    error = ControllerError(RuntimeError("The worker group startup timed out"))
    event = _failure(given, error, seconds=seconds, has_started=has_started)
    assert event["outcome"] == outcome
    assert ("its 2 workers did not start within 100 s" in event["message"]) is (outcome == "timed_out")


TCP = "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/"
"""How torch 2.13 begins what a rank raises whose peer was killed, closed its end, or did not answer in time."""


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (dist.DistBackendError("NCCL error: remote process exited"), True),
        (dist.DistNetworkError("The client socket has timed out"), True),
        (RuntimeError(f"{TCP}pair.cc:553] Connection closed by peer [127.0.0.1]:16088. This is typically"), True),
        (RuntimeError(f"{TCP}pair.cc:537] Read error [127.0.0.1]:15033: Connection reset by peer. This"), True),
        (RuntimeError(f"{TCP}unbound_buffer.cc:78] Timed out waiting 6000ms for recv operation"), True),
        (RuntimeError("[enforce fail at /third_party/gloo/gloo/transport/tcp/pair.cc:456] 16 vs 8"), False),
        (RuntimeError("my layer has no gloo kernel: Connection closed by peer"), False),
        (RuntimeError("cannot read /data/gloo/transport/notes:12] of the corpus"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError(f"{TCP}pair.cc:553] Connection closed by peer"), False),
    ],
)
def test_what_only_says_that_another_rank_has_gone(error: Exception, is_lost: bool) -> None:
    assert is_lost_peer(error) is is_lost
