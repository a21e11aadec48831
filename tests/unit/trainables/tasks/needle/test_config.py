"""Which fields of the needle task a fidelity sets, which make another configuration, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.models.configs import small_needle
from trainables.config.training import BudgetConfig
from trainables.config.trial import TrialConfig, config_id
from trainables.tasks.needle.config import NeedleConfig


def test_fidelity_only_sets_defaults_and_names_the_primary_metric() -> None:
    published = small_needle(fidelity="as_published")
    switches = ("marker", "placement", "num_train", "retrieval_weight")
    assert [getattr(small_needle(), name) for name in switches] == [True, "anywhere", None, 0.0]
    assert [getattr(published, name) for name in switches] == [False, "inner_chunks", 1000, 0.5]
    assert published.violates == {"loss", "echo"}
    assert small_needle(retrieval_weight=0.5).violates == {"loss"}
    by_hand = small_needle(marker=False, placement="inner_chunks", num_train=1000, retrieval_weight=0.5)

    def identity(task: NeedleConfig) -> str:
        budget = BudgetConfig(steps=1, batch_size=1, report_every=1)
        trial = TrialConfig.model_validate(
            {"architecture": {"name": "transformer"}, "task": task, "budget": budget}
        )
        return config_id(trial, task.build(None).data_hash)

    assert identity(by_hand) == identity(published) != identity(small_needle())
    assert identity(small_needle(curriculum_steps_per_stage=7)) == identity(small_needle())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_reserved": 14}, "must leave at least 5 symbols"),
        ({"query": False}, "query=false asks for nothing"),
        (
            {"fidelity": "as_published", "query": False},
            "needs fidelity: as_published, marker: false and scored: all",
        ),
        ({"num_test": 5}, "must be 0 or at least 20"),
        ({"top_k": 33}, "top_k=33 must be at most vocab_size=32"),
        ({"curriculum": [8, 4]}, "must ascend and stay below chunk_length=10"),
        ({"curriculum": [4, 10]}, "must ascend and stay below chunk_length=10"),
        ({"curriculum": [1]}, "has 1 positions in 4 chunks of 1 "),
        ({"needle_length": 40}, "needs 5: take more or longer ones"),
        ({"placement": "inner_chunks", "context_chunks": 2}, "has 0 positions"),
    ],
)
def test_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        small_needle(**fields)
