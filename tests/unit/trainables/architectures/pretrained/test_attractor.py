"""Attractors at the attention of the last layers: against the published matrices, position after position."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.models.pretrained import VOCAB, built, logits, relative, tokens
from trainables.architectures.pretrained.config import PretrainedConfig


@pytest.mark.parametrize(
    "fields",
    [
        {"injection": "cross_attention", "policy": "fixed"},
        {"injection": "residual", "constant": "golden"},
        {"injection": "projection", "state_width": 5},
        {"read": "final", "length": None},
    ],
)
def test_adds_what_the_published_matrices_give(fields: dict[str, Any]) -> None:
    model, plain = built(attractor={"last_layers": 1, **fields}), built()
    attractor = model.attractors[0].attractor
    plain.load_state_dict(model.state_dict(), strict=False)

    def add(module: Any, args: Any, options: dict[str, Any], output: Any) -> Any:
        h_BTD, y_BTD = options["hidden_states"], output[0]
        return (y_BTD + attractor.reference(h_BTD, y_BTD), *output[1:])

    without = logits(plain, tokens())
    plain.model.model.layers[1].self_attn.register_forward_hook(add, with_kwargs=True)
    assert relative(logits(model, tokens()), logits(plain, tokens())) < 1e-5
    assert relative(without, logits(plain, tokens())) > 1e-2


@pytest.mark.parametrize("train_attractor", [True, False])
def test_is_trained_unless_it_stays_as_it_was_drawn(train_attractor: bool) -> None:
    model = built(attractor={"last_layers": 2}, train_attractor=train_attractor, trained="nothing")
    names = {name for name, value in model.named_parameters() if value.requires_grad}
    assert names == {name for name, _ in model.named_parameters() if train_attractor and "attractor" in name}
    assert bool(names) == train_attractor


def test_what_needs_the_whole_input_cannot_be_read_on() -> None:
    model = built(fidelity="as_published", attractor={"last_layers": 1})
    assert model.stream(tokens()) is None and model.prefill(tokens()) is None
    with pytest.raises(ValueError, match="needs the whole input at once, and a cache gives it a part"):
        model.model(tokens(), use_cache=True)
    changed_BT = tokens().clone()
    changed_BT[:, -1] = (changed_BT[:, -1] + 1) % VOCAB
    assert not torch.equal(logits(model, tokens())[:, 0], logits(model, changed_BT)[:, 0]), (
        "the final state is seen"
    )


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"attractor\.last_layers=4: model 'untrained:llama' has 2 layers"):
        PretrainedConfig(num_layers=2, attractor={}).build(vocab_size=9, max_seq_len=8)  # type: ignore[arg-type]
