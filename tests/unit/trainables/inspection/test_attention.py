"""Maps of attention: the weights of every layer, whoever computes them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.inspection.attention import attention_maps
from trainables.registry import ARCHITECTURES


class Attends(LanguageModel):
    """Calls softmax attention with given tensors."""

    def __init__(self, q: Tensor, k: Tensor, **options: object) -> None:
        super().__init__()
        self.q, self.k, self.options = q, k, options

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        functional.scaled_dot_product_attention(self.q, self.k, self.k, **self.options)
        return ModelOutput(torch.zeros(*tokens_BT.shape, 2), torch.zeros(()))


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def tokens(length: int) -> Tensor:
    return torch.zeros(1, length, dtype=torch.long)


@pytest.mark.parametrize("kind", ["causal", "mask", "bias", "grouped", "scaled"])
def test_the_weights_are_those_of_the_call(kind: str) -> None:
    q, k = drawn(2, 4, 12, 6), drawn(2, 2 if kind == "grouped" else 4, 12, 6)
    allowed = torch.ones(12, 12, dtype=torch.bool).tril()
    options: dict[str, object] = {
        "causal": {"is_causal": True},
        "mask": {"attn_mask": allowed},
        "bias": {"attn_mask": torch.zeros(12, 12).masked_fill(~allowed, -math.inf)},
        "grouped": {"is_causal": True, "enable_gqa": True},
        "scaled": {"is_causal": True, "scale": 0.1},
    }[kind]
    (found,) = attention_maps(Attends(q, k, **options), tokens(12))
    # With values that are one-hot, the output of attention is its weights.
    one_hot = torch.eye(12).expand(2, k.shape[1], 12, 12)
    expected = functional.scaled_dot_product_attention(q, k, one_hot, **options).mean((0, 1))
    torch.testing.assert_close(torch.tensor(found.weights_TS), expected, atol=1e-6, rtol=1e-5)


def test_bins_average_queries_and_sum_keys() -> None:
    (found,) = attention_maps(
        Attends(drawn(1, 1, 10, 4), drawn(1, 1, 10, 4), is_causal=True), tokens(10), num_bins=4
    )
    binned = torch.tensor(found.weights_TS)
    assert binned.shape == (4, 4)
    torch.testing.assert_close(binned.sum(1), torch.ones(4))
    assert binned.triu(1)[:, 2:].max() < 1  # later bins hold only what stands before their queries
    assert binned[0, 2:].sum() == 0


def test_attention_that_looks_at_all_alike_looks_as_far_as_it_says() -> None:
    (found,) = attention_maps(Attends(torch.zeros(1, 1, 9, 4), drawn(1, 1, 9, 4), is_causal=True), tokens(9))
    assert found.distance == pytest.approx(found.distance_of_uniform)
    assert found.distance == pytest.approx(sum(t / 2 for t in range(9)) / 9)


@pytest.mark.parametrize(("name", "num_maps"), [("transformer", 3), ("gru", 0), ("pretrained", 3)])
def test_models_are_watched_whoever_wrote_their_layers(name: str, num_maps: int) -> None:
    config = ARCHITECTURES.get(name).model_validate({"d_model": 16, "num_layers": 3, "num_heads": 2})
    model = config.build(vocab_size=7, max_seq_len=20).eval()
    found = attention_maps(model, torch.arange(20)[None] % 7)
    assert [each.layer for each in found] == list(range(num_maps))
    for each in found:
        assert torch.tensor(each.weights_TS).triu(1).abs().max() == 0


def test_reading_on_from_a_cache_is_no_map() -> None:
    model = Attends(drawn(1, 1, 3, 4), drawn(1, 1, 12, 4))
    assert attention_maps(model, tokens(12)) == []
