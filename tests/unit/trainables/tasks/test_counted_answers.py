"""Rates say what they count: the number of answers that are declared is the number that is averaged."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trainables.contract.tasks import TwoTokenModel
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.copying.config import CopyConfig
from trainables.tasks.facts.config import WORD_LENGTH, FactsConfig
from trainables.tasks.needle.config import NeedleConfig
from trainables.tasks.recall.config import RecallConfig

SIZES: dict[str, Any] = {"num_val": 60, "num_test": 20}
TASKS = {
    "copy": CopyConfig.model_validate({**SIZES, "num_symbols": 8, "delay": 5, "scored_symbols": [4]}),
    "needle": NeedleConfig.model_validate({**SIZES, "vocab_size": 32, "chunk_length": 10, "needle_length": 3}),
    "recall": RecallConfig.model_validate(
        {**SIZES, "vocab_size": 32, "num_pairs": 4, "context_length": 40, "num_queries": 3, "scored_pairs": [2]}
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_rate_is_a_whole_number_of_hits_over_what_is_declared_as_counted(name: str) -> None:
    """The model is a fixed function of the last two tokens, without ties: each answer is right or wrong."""
    task = TASKS[name].build(None)
    scores = task.evaluate(TwoTokenModel(task.vocab_size).eval(), EvaluationRequest("val", torch.device("cpu")))
    rates = [metric for metric in task.metrics if metric.items is not None and metric.name in scores]
    for metric in rates:
        hits = scores[metric.name] * (metric.scored or metric.items)
        assert hits == pytest.approx(round(hits), abs=1e-4), metric.name
    assert any(
        scores[m.name] * m.items != pytest.approx(round(scores[m.name] * m.items), abs=1e-4) for m in rates
    ), "over the items alone some rate is no whole number, or this test could not fail"


def test_letters_of_a_fact_are_counted_one_by_one() -> None:
    counted = {m.name: (m.items, m.scored) for m in FactsConfig.model_validate(SIZES).build(None).metrics}
    assert counted["val/fact_letter_accuracy"] == (60, 60 * WORD_LENGTH)
    assert counted["val/fact_exact_match"] == (60, None)
