from __future__ import annotations

import pytest
import torch

from trainables.layers.cumulative import BLOCK, cumulative_mean, cumulative_sum


@pytest.mark.parametrize("length", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 513, BLOCK**2, BLOCK**2 + 1])
def test_equals_torch_cumsum_and_its_gradient(length: int) -> None:
    draw = torch.Generator().manual_seed(length)
    x = torch.randn(2, 3, length, dtype=torch.float64, generator=draw).requires_grad_()
    direction = torch.randn(x.shape, dtype=torch.float64, generator=draw)
    fast, slow = cumulative_sum(x), x.cumsum(-1)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-11)
    torch.testing.assert_close(
        *(torch.autograd.grad((y * direction).sum(), x)[0] for y in (fast, slow)), rtol=0, atol=1e-11
    )


def test_the_future_does_not_reach_a_single_bit() -> None:
    x = torch.randn(300, generator=torch.Generator().manual_seed(0))
    changed = torch.cat((x[:200], 1e6 * x[200:]))
    assert torch.equal(cumulative_mean(x)[0][:200], cumulative_mean(changed)[0][:200])


def test_float32_survives_autocast() -> None:
    ones = torch.ones(1000)  # bfloat16 cannot count to 1000
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(cumulative_sum(ones), torch.arange(1.0, 1001.0))


def test_mean_of_a_constant_is_the_constant() -> None:
    assert torch.equal(cumulative_mean(torch.full((200,), 3.0))[0], torch.full((200,), 3.0))
