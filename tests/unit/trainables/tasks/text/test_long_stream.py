"""Reading a long text in chunks: how much is read, what is counted, and that nothing else of the task changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.text import LanguageConfig

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"corpus": "synthetic", "context_length": 8, "max_bytes": 4000, "val_fraction": 0.2}


class Remembers(LanguageModel):
    """Carries the last `window` tokens on, or all of them."""

    def __init__(self, vocab_size: int, window: int | None) -> None:
        super().__init__()
        self.vocab_size, self.window, self.chunks = vocab_size, window, list[int]()

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        return ModelOutput(torch.zeros(*tokens_BT.shape, self.vocab_size), torch.zeros(()))

    def stream(self, tokens_BT: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        self.chunks.append(tokens_BT.shape[1])
        seen_BT = tokens_BT if state is None else torch.cat((state, tokens_BT), 1)
        kept_BT = seen_BT if self.window is None else seen_BT[:, -self.window :].clone()
        return self.forward(tokens_BT).logits_BTV, kept_BT


def build(**fields: Any) -> Task:
    return LanguageConfig.model_validate({**SMALL, **fields}).build(None)


@pytest.mark.parametrize(("window", "state_bytes"), [(5, 5 * 8), (None, 2001 * 8)])
def test_the_state_is_counted_after_exactly_the_length(window: int | None, state_bytes: int) -> None:
    task = build(stream={"length": 2001, "chunk": 300})
    model = Remembers(task.vocab_size, window).eval()
    found = task.evaluate(model, EvaluationRequest("val", CPU))
    assert sum(model.chunks) == 2001  # longer than the validation split, which is read again
    assert max(model.chunks) == 300
    assert found["val/stream_state_bytes"] == state_bytes
    assert found["val/stream_memory_mib"] > 1
    assert found["val/stream_tokens_per_second"] > 0
    declared = {metric.name: metric for metric in task.metrics if "stream" in metric.name}
    assert declared.keys() == {name for name in found if "stream" in name}
    assert [name for name, metric in declared.items() if metric.exact] == ["val/stream_state_bytes"]


def test_it_is_read_once_and_only_for_the_whole_validation_split() -> None:
    task = build(stream={"length": 64}, test_fraction=0.2)
    model = Remembers(task.vocab_size, 3).eval()
    assert not any(
        "stream" in name for name in task.evaluate(model, EvaluationRequest("val", CPU, max_sequences=4))
    )
    assert not any("stream" in name for name in task.evaluate(model, EvaluationRequest("test", CPU)))
    assert model.chunks == []


def test_scores_and_identity_are_those_of_the_task_without_it() -> None:
    plain, streamed = build(), build(stream={"length": 64})
    model = Remembers(plain.vocab_size, 3).eval()
    before, after = (task.evaluate(model, EvaluationRequest("val", CPU)) for task in (plain, streamed))
    assert {name: value for name, value in after.items() if "stream" not in name} == before
    assert "stream" not in LanguageConfig.model_validate(SMALL).canonical()


def test_a_model_without_a_state_is_told_so() -> None:
    class Whole(Remembers):
        def stream(self, tokens_BT: Tensor, state: Any = None) -> None:  # type: ignore[override]
            return None

    task = build(stream={"length": 64})
    with pytest.raises(ValueError, match="cannot continue a sequence"):
        task.evaluate(Whole(task.vocab_size, 3).eval(), EvaluationRequest("val", CPU))
