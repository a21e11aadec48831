"""The phase scan in the dtypes and under the transformations of training."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import Tensor

from trainables.layers.phase_scan import Pair, cumulative_phase, phase_scan

LENGTH = 16_384


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def angle_between(phase: Tensor, other: Tensor) -> float:
    """Return the largest distance on the circle, in radians."""
    turn = torch.remainder(phase.double() - other.double() + math.pi, 2 * math.pi) - math.pi
    return float(turn.abs().max())


LOG_DECAYS = {
    "none": None,
    "one for all": -math.pi / LENGTH,
    "channel": -1e-3 * draw(2, seed=9, dtype=torch.float32).abs(),
    "token": -1e-2 * draw(1, LENGTH, 2, seed=9, dtype=torch.float32).abs(),
}


@pytest.mark.parametrize(("dtype", "window"), [(torch.float32, None), (torch.float32, 64), (torch.bfloat16, None)])
@pytest.mark.parametrize("log_decay", LOG_DECAYS.values(), ids=LOG_DECAYS)
def test_long_sequences_keep_float32s_digits(
    log_decay: Tensor | float | None, window: int | None, dtype: torch.dtype
) -> None:
    """From the frequencies on; bfloat16 costs what it costs to round the inputs, and nothing in the scan."""
    x, frequency = draw(1, LENGTH, 2, dtype=dtype), 1 + draw(1, LENGTH, 2, seed=1, dtype=dtype)
    magnitude = draw(1, LENGTH, 2, seed=2, dtype=dtype).abs()

    def scan(wide: torch.dtype) -> Pair:
        phase, _ = cumulative_phase(frequency.to(wide))
        decay = log_decay.to(dtype).to(wide) if isinstance(log_decay, Tensor) else log_decay
        turn = {"write_phase": phase, "read_phase": phase, "magnitude": magnitude.to(wide)}
        return phase_scan(x.to(wide), log_decay=decay, window=window, **turn)[0]

    exact = scan(torch.float64)
    scale = float(exact.re.square().mean().sqrt())
    for one, other in zip(scan(dtype), exact, strict=True):
        assert one.dtype == torch.float32
        assert float((one - other).abs().max()) < 2e-5 * scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_phases_are_exact_to_a_rounding_after_16_thousand_positions(spread: float, dtype: torch.dtype) -> None:
    frequency = (1.1 + spread * draw(1, LENGTH, 2)).to(dtype)
    phase, last = cumulative_phase(frequency)
    assert phase.dtype == torch.float32
    assert float(phase.abs().max()) <= math.pi + 1e-6
    exact = frequency.double().cumsum(1)
    assert angle_between(phase, exact) < 3e-7
    assert angle_between(last, exact[:, -1]) < 1e-9
    if dtype == torch.float32:
        assert angle_between(frequency.cumsum(1), exact) > 1e-4  # so the helper is needed


def test_phases_go_on_from_part_to_part() -> None:
    frequency = draw(2, 100, 3)
    whole, last = cumulative_phase(frequency)
    head, middle = cumulative_phase(frequency[:, :37])
    tail, end = cumulative_phase(frequency[:, 37:], start=middle)
    assert angle_between(torch.cat((head, tail), 1), whole) < 1e-12
    assert angle_between(end, last) < 1e-12


def test_the_gradient_of_a_phase_reaches_all_earlier_frequencies() -> None:
    frequency, weight = draw(2, 100, 3).requires_grad_(), draw(2, 100, 3, seed=1)
    phase, _ = cumulative_phase(frequency)
    (gradient,) = torch.autograd.grad((phase * weight).sum(), frequency)
    torch.testing.assert_close(gradient, weight.flip(1).cumsum(1).flip(1))


@pytest.mark.parametrize("window", [None, 64])
def test_gradients_of_long_sequences_keep_float32s_digits(window: int | None) -> None:
    tensors = [draw(), draw(1, LENGTH, 2, seed=1), draw(1, LENGTH, 2, seed=2)]

    def gradients(dtype: torch.dtype) -> tuple[Tensor, ...]:
        log_decay, x, phase = (tensor.float().to(dtype).requires_grad_() for tensor in tensors)
        return torch.autograd.grad(objective(0.01 * log_decay, x, phase, window), (x, phase))

    for one, exact in zip(gradients(torch.float32), gradients(torch.float64), strict=True):
        assert float((one - exact).abs().max()) < 1e-4 * float(exact.square().mean().sqrt())


def test_float32_survives_autocast() -> None:
    x = draw(1, 1000, 2, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = phase_scan(x)
    assert torch.equal(y.re, phase_scan(x)[0].re)


def objective(log_decay: Tensor, x: Tensor, phase: Tensor, window: int | None = None) -> Tensor:
    y, _ = phase_scan(
        x,
        log_decay=-log_decay.square(),
        write_phase=phase,
        read_phase=2 * phase,
        magnitude=phase.cos() + 2,
        window=window,
        normalise="sum",
    )
    return (y.re.sin() + y.im.square()).sum()


@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("shape", [(), (3,), (2, 100, 1)])
@pytest.mark.parametrize("shared_input", [True, False])
def test_fused_seeds_equal_one_after_the_other(
    shape: tuple[int, ...], shared_input: bool, window: int | None
) -> None:
    seeds = 3
    log_decay, phase = draw(seeds, *shape), draw(2, 100, 3, seed=1)
    x = draw(2, 100, 3, seed=2) if shared_input else draw(seeds, 2, 100, 3, seed=2)
    gradient = torch.func.grad(functools.partial(objective, window=window), argnums=(0, 1, 2))
    axes = (0, None if shared_input else 0, None)
    fused = torch.func.vmap(gradient, in_dims=axes)(log_decay, x, phase)
    for seed in range(seeds):
        alone = gradient(log_decay[seed], x if shared_input else x[seed], phase)
        for one, other in zip(fused, alone, strict=True):
            torch.testing.assert_close(one[seed], other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(), (3,), (2, 300, 3)])
def test_equal_bits_from_run_to_run(shape: tuple[int, ...]) -> None:
    def run() -> list[Tensor]:
        tensors = [draw(*shape, dtype=torch.float32), draw(2, 300, 3, seed=1), draw(2, 300, 3, seed=2)]
        leaves = [tensor.float().requires_grad_() for tensor in tensors]
        loss = objective(*leaves)
        return [loss.detach(), *torch.autograd.grad(loss, leaves)]

    torch.use_deterministic_algorithms(True)
    try:
        runs = run(), run()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's compiler about itself
@pytest.mark.parametrize(("shape", "window"), [((), None), ((2, 100, 3), 7)])
def test_compiles_into_one_graph(shape: tuple[int, ...], window: int | None) -> None:
    leaves = [draw(*shape), draw(2, 100, 3, seed=1), draw(2, 100, 3, seed=2)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    compiled = torch.compile(objective, fullgraph=True)
    fast, slow = compiled(*leaves, window), objective(*leaves, window)
    torch.testing.assert_close(fast, slow)
    for one, other in zip(torch.autograd.grad(fast, leaves), torch.autograd.grad(slow, leaves), strict=True):
        torch.testing.assert_close(one, other)
