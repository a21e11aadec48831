"""Sums over the past with exponential decay, in O(T): the real-valued core of the phase scan.

    s_t = x_t + a_t s_{t−1} = Σ_{j≤t} (a_{j+1} ⋯ a_t) x_j,  or over the last W positions only.

Decays a in [0, 1] are given as logarithms (0: nothing is forgotten, −inf: everything is). Only products of decays
are formed, never their inverses or differences of sums over the whole past: nothing overflows however strong
the decay, and a windowed sum stays precise however large the terms that have left the window.

Shapes: any leading dimensions, T positions, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 32
"""Positions that are summed at once; the sums are then carried from block to block."""
SMALLEST_LOG_DECAY = -1e3
"""Its exponential is 0 in float64 too; unlike −inf it can be multiplied by 0."""


class ScanState(NamedTuple):
    """The state after some positions: enough to continue as if the sequence were passed at once. Of constant
    size."""

    memory: Tensor
    """The last sum, (..., D); with a window W the last W − 1 terms, (..., W−1, D), zero-padded at the start."""
    log_decay: Tensor | None = None
    """With a window, and a decay for each position: the decays of those terms. None otherwise."""

    @property
    def num_bytes(self) -> int:
        """Return the size of the state in bytes."""
        return sum(part.numel() * part.element_size() for part in self if part is not None)


def widened(x: Tensor) -> Tensor:
    """Return `x` in float32 or wider: a sum over time in half precision loses digits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def decayed_sum(
    x_TD: Tensor,
    *,
    log_decay: Tensor | float | None = None,
    window: int | None = None,
    state: ScanState | None = None,
) -> tuple[Tensor, ScanState]:
    """Return the decayed sum of `x_TD` over the past at every position, and the state after the last one.

    Args:
        x_TD: The terms, (..., T, D).
        log_decay: Natural logarithm, at most 0, of the factor a_t by which the past is multiplied before x_t is
            added. A number or a tensor of any shape that broadcasts to `x_TD`: () one for all, which is fastest;
            (D,) one for each channel; (T, 1) for each position; (..., T, D) or (..., T, 1) for each token. None:
            no decay.
        window: Number of positions W that are summed, the current one included; None for the whole past.
        state: Returned by an earlier call with the same kind of decay and the same window; None at the start of
            a sequence.

    Returns:
        The sums, (..., T, D), float32 or wider, and the state.

    Raises:
        ValueError: If the decay is a number above 0, the window is below 1, or the state does not match.
    """
    if isinstance(log_decay, float | int) and log_decay > 0:
        raise ValueError(f"log_decay must be at most 0 (a decay of at most 1), got {log_decay}")
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1 position, got {window}")
    x_TD = widened(x_TD)
    per_position = isinstance(log_decay, Tensor) and log_decay.ndim > 1
    log_TD = torch.as_tensor(0.0 if log_decay is None else log_decay, dtype=x_TD.dtype, device=x_TD.device)
    log_TD = log_TD[(None,) * (x_TD.ndim - log_TD.ndim)]
    if state is not None:
        _check_state(state, x_TD, window, per_position=per_position)
    with torch.autocast(x_TD.device.type, enabled=False):  # a sum over time needs all of float32's digits
        if window is not None:
            return _continue_window(x_TD, log_TD, window, state, per_position=per_position)
        if state is not None:
            first_1D = x_TD[..., :1, :] + log_TD[..., :1, :].exp() * state.memory.unsqueeze(-2)
            x_TD = torch.cat((first_1D, x_TD[..., 1:, :]), dim=-2)
        sum_TD = _scan(x_TD, log_TD)
    return sum_TD, ScanState(sum_TD[..., -1, :])


def _check_state(state: ScanState, x_TD: Tensor, window: int | None, *, per_position: bool) -> None:
    """Refuse a state that would be broadcast to another shape than it had."""
    expected = (*x_TD.shape[:-2], *(() if window is None else (window - 1,)), x_TD.shape[-1])
    if state.memory.shape != expected:
        raise ValueError(
            f"the state has shape {tuple(state.memory.shape)}, not {expected}: it must come from a call with the "
            "same kind of values and normaliser, and the same window"
        )
    if window is not None and per_position != (state.log_decay is not None):
        raise ValueError(
            "the state must come from a call with the same kind of decay: one for each position, or not"
        )


def _continue_window(
    x_TD: Tensor, log_TD: Tensor, window: int, state: ScanState | None, *, per_position: bool
) -> tuple[Tensor, ScanState]:
    """Sum over the last `window` positions, with the terms in the state before the new ones."""
    num_new, num_old = x_TD.shape[-2], 0
    if per_position:
        log_TD = log_TD.expand(*log_TD.shape[:-2], num_new, -1)
    if state is not None:
        num_old = state.memory.shape[-2]
        x_TD = torch.cat((state.memory, x_TD), dim=-2)
        if state.log_decay is not None:
            log_TD = torch.cat((state.log_decay, log_TD), dim=-2)
    sum_TD = _windowed(x_TD, log_TD, window)[..., num_old:, :]
    return sum_TD, ScanState(_last(x_TD, window - 1), _last(log_TD, window - 1) if per_position else None)


def _last(x_TD: Tensor, count: int) -> Tensor:
    """Return the last `count` positions, zero-padded at the start if there are fewer."""
    seq_len = x_TD.shape[-2]
    return functional.pad(x_TD[..., max(seq_len - count, 0) :, :], (0, 0, max(count - seq_len, 0), 0))


def _windowed(x_TD: Tensor, log_TD: Tensor, window: int) -> Tensor:
    """Sum over windows in O(T), whatever their width, by additions only.

    Time is cut into blocks of one window. A window ends inside one block and begins inside the block before it: it
    is a sum from the start of a block, plus a sum to the end of one. (The difference of two sums over the whole
    past would be simpler, but loses digits to cancellation.)

    Source: van Herk (1992) and Gil & Werman (1993), for running minima.
    """
    seq_len = x_TD.shape[-2]
    if seq_len <= window:
        return _scan(x_TD, log_TD)
    x_NWD, log_NWD = _blocks(x_TD, window), _blocks(log_TD, window)
    from_start_NWD = _scan(x_NWD, log_NWD)
    log_NWD = log_NWD.clamp(min=SMALLEST_LOG_DECAY).expand(*log_NWD.shape[:-2], window, -1)
    since_start_NWD = _running_sum(log_NWD)
    until_end_NWD = functional.pad(_running_sum(log_NWD.flip(-2)).flip(-2)[..., 1:, :], (0, 0, 0, 1))
    to_end_NWD = _running_sum((until_end_NWD.exp() * x_NWD).flip(-2)).flip(-2)
    before_NWD = functional.pad(to_end_NWD[..., :-1, 1:, :], (0, 0, 0, 1, 1, 0))
    sum_NWD = torch.addcmul(from_start_NWD, since_start_NWD.exp(), before_NWD)
    return sum_NWD.flatten(-3, -2)[..., :seq_len, :]


def _blocks(x_TD: Tensor, width: int) -> Tensor:
    """Cut time into zero-padded blocks: (..., N, width, D). A size of 1 along time stays 1."""
    seq_len = x_TD.shape[-2]
    if seq_len == 1:
        return x_TD.unsqueeze(-3)
    num_blocks = -(-seq_len // width)
    padding = num_blocks * width - seq_len
    padded = functional.pad(x_TD, (0, 0, 0, padding)) if padding else x_TD
    return padded.unflatten(-2, (num_blocks, width))


def _running_sum(x_TD: Tensor) -> Tensor:
    return _scan(x_TD, x_TD.new_zeros((1,) * x_TD.ndim))


def _scan(x_TD: Tensor, log_TD: Tensor) -> Tensor:
    """Return s_t = x_t + exp(log_t) s_{t−1}."""
    sum_TD: Tensor = _Recurrence.apply(log_TD, x_TD, False)
    return sum_TD


class _Recurrence(torch.autograd.Function):
    """s_t = x_t + a_t s_{t−1}, or backwards in time s_t = x_t + a_t s_{t+1}.

    The gradient of one is the other, so only the sums and the decays are saved, not a tensor per step.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(log_TD: Tensor, x_TD: Tensor, backwards: bool) -> Tensor:
        return (_multiply if log_TD.numel() == 1 else _step)(log_TD, x_TD, backwards)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
        log_TD, _, ctx.backwards = inputs
        ctx.save_for_backward(log_TD, output)

    @staticmethod
    def backward(ctx: Any, grad_TD: Tensor) -> tuple[Tensor | None, Tensor, None]:
        log_TD, sum_TD = ctx.saved_tensors
        next_TD = log_TD if log_TD.shape[-2] == 1 else _shifted(log_TD, not ctx.backwards)
        grad_x_TD = _Recurrence.apply(next_TD, grad_TD, not ctx.backwards)
        grad_log_TD = None
        if ctx.needs_input_grad[0]:
            by_decay_TD = (grad_x_TD * _shifted(sum_TD, ctx.backwards)).sum_to_size(log_TD.shape)
            grad_log_TD = log_TD.exp() * by_decay_TD
        return grad_log_TD, grad_x_TD, None


def _shifted(x_TD: Tensor, backwards: bool) -> Tensor:
    """Shift by one position, later or earlier in time, with zeros at the end."""
    return functional.pad(x_TD, (0, 0, -1, 1) if backwards else (0, 0, 1, -1))


def _multiply(log_TD: Tensor, x_TD: Tensor, backwards: bool) -> Tensor:
    """Sum with one decay for all: a product with a triangular matrix, block by block.

    Unlike `torch.cumsum`, and its backward pass, it gives equal bits from run to run on a GPU too.
    """
    seq_len = x_TD.shape[-2]
    width = min(seq_len, BLOCK)
    x_NWD, log = _blocks(x_TD, width), log_TD.reshape(()).clamp(min=SMALLEST_LOG_DECAY)
    age_W = torch.arange(width, dtype=x_TD.dtype, device=x_TD.device)
    weight_WW = (log * (age_W[:, None] - age_W).clamp(min=0)).exp().tril()
    fading_W1 = (log * (age_W + 1)).exp().unsqueeze(-1)
    if backwards:
        weight_WW, fading_W1 = weight_WW.mT, fading_W1.flip(0)
    sum_NWD = weight_WW @ x_NWD
    if x_NWD.shape[-3] > 1:
        end_ND = _multiply(width * log, sum_NWD[..., 0 if backwards else -1, :], backwards)
        sum_NWD = torch.addcmul(sum_NWD, fading_W1, _shifted(end_ND, backwards).unsqueeze(-2))
    return sum_NWD.flatten(-3, -2)[..., :seq_len, :]


def _step(log_TD: Tensor, x_TD: Tensor, backwards: bool) -> Tensor:
    """Sum with varying decays: one step at a time, in all blocks at once.

    There are two passes over the blocks: first for their final sums, then, from the carried sums, for all sums.
    """
    seq_len = x_TD.shape[-2]
    if seq_len <= 2 * BLOCK:
        return torch.stack(_march(log_TD.exp(), x_TD, None, backwards), dim=-2)
    x_NWD, log_NWD = _blocks(x_TD, BLOCK), _blocks(log_TD, BLOCK)
    decay_NWD = log_NWD.exp()
    end_ND = _march(decay_NWD, x_NWD, None, backwards)[0 if backwards else -1]
    log_through_ND = log_NWD.expand(*log_NWD.shape[:-2], BLOCK, -1).sum(-2)
    carried_ND = _shifted(_step(log_through_ND, end_ND, backwards), backwards)
    sum_NWD = torch.stack(_march(decay_NWD, x_NWD, carried_ND, backwards), dim=-2)
    return sum_NWD.flatten(-3, -2)[..., :seq_len, :]


def _march(decay_TD: Tensor, x_TD: Tensor, start_D: Tensor | None, backwards: bool) -> list[Tensor]:
    """Return the sums one by one, in order of time."""
    x: Sequence[Tensor] = x_TD.unbind(-2)
    decay: Sequence[Tensor] = decay_TD.expand(*decay_TD.shape[:-2], len(x), -1).unbind(-2)
    if backwards:
        x, decay = x[::-1], decay[::-1]
    sums = [x[0] if start_D is None else torch.addcmul(x[0], decay[0], start_D)]
    for x_D, decay_D in zip(x[1:], decay[1:], strict=True):
        sums.append(torch.addcmul(x_D, decay_D, sums[-1]))
    return sums[::-1] if backwards else sums
