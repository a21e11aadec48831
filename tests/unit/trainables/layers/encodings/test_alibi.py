"""ALiBi's slopes and bias."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.layers.encodings.alibi import alibi_bias, slopes


@pytest.mark.parametrize(
    ("num_heads", "expected"),
    [
        (8, [2.0**-k for k in range(1, 9)]),
        (6, [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]),
        (12, [*(2.0**-k for k in range(1, 9)), 0.70711, 0.35355, 0.17678, 0.08839]),
        (1, [2.0**-8]),
    ],
)
def test_slopes(num_heads: int, expected: list[float]) -> None:
    assert slopes(num_heads) == pytest.approx(expected, abs=5e-6)


def test_bias_falls_with_the_distance_and_hides_the_future() -> None:
    bias_HTS = alibi_bias(2, torch.tensor([4, 5]), torch.arange(6))
    assert bias_HTS.shape == (2, 2, 6)
    for head, slope in enumerate(slopes(2)):
        for row, query in enumerate((4, 5)):
            expected = [-slope * (query - key) if key <= query else -math.inf for key in range(6)]
            assert bias_HTS[head, row].tolist() == pytest.approx(expected)


def test_without_a_mask_later_keys_count_by_their_distance() -> None:
    bias_HTS = alibi_bias(1, torch.tensor([1]), torch.arange(3), causal=False)
    assert bias_HTS.flatten().tolist() == pytest.approx([-slopes(1)[0], 0.0, -slopes(1)[0]])
