"""Attention by distance and over a window: against a Llama written out, and against Mistral's own window."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.support.models.naive_llama import naive_logits, none, rotary
from tests.support.models.pretrained import built, logits, relative, tokens
from trainables.architectures.pretrained.attention import BIASED, WINDOWED

SLOPES = {2: [2.0**-4, 2.0**-8], 3: [2.0**-4, 2.0**-8, 2.0**-2]}


@pytest.mark.parametrize("num_heads", [2, 3])
@pytest.mark.parametrize("window", [None, 7])
def test_alibi_equals_its_definition(num_heads: int, window: int | None) -> None:
    model = built(encoding={"scheme": "alibi"}, num_heads=num_heads, attention_window=window)
    expected_TV = naive_logits(model.model, tokens(1)[0], none, slope_H=SLOPES[num_heads], window=window)
    assert relative(logits(model, tokens(1))[0].double(), expected_TV) < 1e-5
    plain = built(encoding={"scheme": "none"}, num_heads=num_heads, attention_window=window)
    assert relative(logits(plain, tokens(1))[0].double(), expected_TV) > 0.05


@pytest.mark.parametrize("window", [2, 9, 39, 40, 200])
def test_a_window_equals_its_definition(window: int) -> None:
    model = built(attention_window=window)
    expected_TV = naive_logits(model.model, tokens(1)[0], rotary(10_000.0, 8), window=window)
    assert relative(logits(model, tokens(1))[0].double(), expected_TV) < 1e-5
    changes = relative(logits(built(), tokens(1))[0].double(), expected_TV)
    assert changes > 1e-3 if window < 40 else changes < 1e-5


def test_a_window_equals_that_of_mistral() -> None:
    ours = built(model="untrained:mistral", attention_window=9)
    theirs = built(model="untrained:mistral")
    theirs.model.config.sliding_window = 9
    assert relative(logits(ours, tokens()), logits(theirs, tokens())) < 1e-6
    assert relative(logits(ours, tokens()), logits(built(model="untrained:mistral"), tokens())) > 1e-3


@pytest.mark.parametrize("fields", [{"encoding": {"scheme": "alibi"}}, {"attention_window": 9}, {}])
def test_only_what_needs_it_has_attention_of_ours(fields: dict[str, Any]) -> None:
    name = built(**fields).model.config._attn_implementation
    assert name == (BIASED if "encoding" in fields else WINDOWED if fields else "sdpa")


def test_a_state_with_a_window_stays_as_small_as_the_window() -> None:
    model = built(attention_window=9)
    _, state = model.stream(tokens()[:, :30])
    assert {tuple(layer.keys.shape) for layer in state.cache.layers} == {(2, 3, 8, 8)}
    _, state = model.stream(tokens()[:, 30:], state)
    assert {tuple(layer.keys.shape) for layer in state.cache.layers} == {(2, 3, 8, 8)}
    _, unbounded = built().stream(tokens())
    assert unbounded.cache.layers[0].keys.shape == (2, 3, 40, 8)


def test_the_smaller_of_two_windows_counts() -> None:
    model = built(model="untrained:mistral", attention_window=9)
    model.model.config.sliding_window = 5
    expected_TV = naive_logits(model.model, tokens(1)[0], rotary(10_000.0, 8), window=5)
    assert relative(logits(model, tokens(1))[0].double(), expected_TV) < 1e-5
    _, state = model.stream(tokens())
    assert state.cache.layers[0].keys.shape[2] == 4
    with torch.no_grad():
        again, _ = model.stream(tokens())
    assert relative(again, logits(model, tokens())) < 1e-6
