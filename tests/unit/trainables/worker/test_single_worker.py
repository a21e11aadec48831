"""The trainable as Tune drives it: one actor, one assignment after another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.models.configs import small_assignment, small_config
from trainables.training.loop import train
from trainables.worker.assignment import CONFIG_KEY, EVENT_KEY
from trainables.worker.single_worker import ReplicateTrainable

TIMED = "train/tokens_per_second"


def tune_config(folder: Path, seed: int) -> dict[str, Any]:
    return {CONFIG_KEY: small_assignment(folder, seed=seed, replicate_dir=str(folder / f"seed={seed}")).to_json()}


def last_event(trainable: ReplicateTrainable) -> dict[str, Any]:
    """Step to the end of the trial."""
    while True:
        result = trainable.step()
        if result["done"]:
            event: dict[str, Any] = json.loads(result[EVENT_KEY])
            return event


def test_a_reused_actor_computes_what_a_fresh_process_does(tmp_path: Path) -> None:
    """The second replicate of an actor starts from its own seed, with nothing of the first one's."""
    # Without Tune's own __init__, which looks for a session; what is ours starts with `setup`.
    actor = ReplicateTrainable.__new__(ReplicateTrainable)
    actor.setup(tune_config(tmp_path, seed=1))
    first = last_event(actor)
    assert actor.reset_config(tune_config(tmp_path, seed=2))
    second = last_event(actor)
    config = small_config()
    for seed, event in ((1, first), (2, second)):
        alone = list(train(config, seed, config.task.build(None)))[-1]
        assert event["outcome"] == "finished"
        assert {**event["metrics"], TIMED: 0} == {**alone.metrics, TIMED: 0}
