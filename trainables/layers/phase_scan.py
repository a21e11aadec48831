"""The phase scan: a decaying sum over the past whose terms rotate.

    y_t = Σ_{j≤t} w(t, j) · e^{i(θ_j − θ'_t)} · m_j v_j  [ / M_t or √M_t ]
    w(t, j) = a_{j+1} ⋯ a_t,   M_t = Σ_{j≤t} w(t, j) m_j

Resonant memory (PVM), temporal phase integration (TPI), the attractor and the exponential moving average are
this one map: they differ in the decay a, the write phase θ, the read phase θ', the magnitude m, the normaliser
and the window. Complex numbers are pairs of real tensors, so that any real dtype, `torch.compile`,
`torch.func.vmap` and DDP work as they do elsewhere. Time and memory are O(T).

Shapes: B batch, T positions, D channels; a phase, decay or magnitude may have any shape that broadcasts to the
values (B, T, D). Phases are in radians.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from trainables.layers.angles import wrap
from trainables.layers.decayed_sum import ScanState, decayed_sum, widened
from trainables.layers.fields import Normalise

NORMALISER_EPSILON = 1e-8
"""Added to the normaliser. Source: TPI as published (dfbbc17)."""


class Pair(NamedTuple):
    """Complex numbers as two real tensors of one shape."""

    re: Tensor
    im: Tensor

    @classmethod
    def of_halves(cls, x: Tensor) -> Self:
        """Pair channel k with channel k + D/2.

        Raises:
            ValueError: If the number of channels is odd.
        """
        if x.shape[-1] % 2:
            raise ValueError(f"channels are rotated in pairs: their number must be even, got {x.shape[-1]}")
        return cls(*x.chunk(2, dim=-1))

    def joined(self) -> Tensor:
        """Return real parts, then imaginary parts, along the channels: the inverse of `of_halves`."""
        return torch.cat((self.re, self.im), dim=-1)

    def rotated(self, phase: Tensor) -> Pair:
        """Multiply by e^{i·phase}; the phase is in radians and has any shape that broadcasts."""
        return Pair(*_Rotation.apply(self.re, self.im, phase, 1))


class _Rotation(torch.autograd.Function):
    """(re + i·im) e^{±i·phase}, with im None where it is 0.

    One function, because the gradient of a rotation is the rotation back: automatic differentiation of the
    products would keep four more tensors and take three times as many passes over memory.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(re: Tensor, im: Tensor | None, phase: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        return _rotate(re, im, phase, sign)

    @staticmethod
    def setup_context(
        ctx: Any, inputs: tuple[Tensor, Tensor | None, Tensor, int], output: tuple[Tensor, Tensor]
    ) -> None:
        re, im, phase, ctx.sign = inputs
        ctx.is_real, ctx.shape = im is None, re.shape
        ctx.save_for_backward(phase, *output)

    @staticmethod
    def backward(ctx: Any, grad_re: Tensor, grad_im: Tensor) -> tuple[Tensor | None, ...]:
        phase, re, im = ctx.saved_tensors
        grad_phase = None
        if ctx.needs_input_grad[2]:
            turning = torch.addcmul(grad_im * re, grad_re, im, value=-1).sum_to_size(phase.shape)
            grad_phase = turning if ctx.sign > 0 else -turning
        if ctx.is_real:
            back_re = torch.addcmul(grad_re * phase.cos(), grad_im, phase.sin(), value=ctx.sign)
            return back_re.sum_to_size(ctx.shape), None, grad_phase, None
        back_re, back_im = _rotate(grad_re, grad_im, phase, -ctx.sign)
        return back_re.sum_to_size(ctx.shape), back_im.sum_to_size(ctx.shape), grad_phase, None


def _rotate(re: Tensor, im: Tensor | None, phase: Tensor, sign: int) -> tuple[Tensor, Tensor]:
    cos, sin = phase.cos(), phase.sin()
    if im is None:
        return re * cos, re * sin if sign > 0 else -re * sin
    return torch.addcmul(re * cos, im, sin, value=-sign), torch.addcmul(im * cos, re, sin, value=sign)


def phase_scan(
    values: Tensor | Pair,
    *,
    log_decay: Tensor | float | None = None,
    write_phase: Tensor | None = None,
    read_phase: Tensor | None = None,
    magnitude: Tensor | None = None,
    window: int | None = None,
    normalise: Normalise = "none",
    state: ScanState | None = None,
) -> tuple[Pair, ScanState]:
    """Return y at every position and the state after the last one.

    Calls on consecutive parts of a sequence, each with the state of the one before, give the same as one call on
    all of it; with T = 1 that is inference one token at a time, in O(D), or O(W·D) with a window W.

    Args:
        values: v, (B, T, D): real, or a pair, such as the channels (k, k + D/2) that the PVM rotates.
        log_decay: log a, at most 0: a number, or () one for all, which is fastest; (D,) one for each channel;
            (T, 1) for each position; (B, T, D) or (B, T, 1) for each token. None: no decay.
        write_phase: θ, by which a value is rotated when it is written. None: 0.
        read_phase: θ', by which the sum is rotated back when it is read; the PVM, which rotates what it reads
            forward, passes −θ'. None: 0.
        magnitude: m ≥ 0. None: 1.
        window: Positions in the sum, the current one included. None: all of the past.
        normalise: Divide by M + 1e-8 (`sum`), or by √(M + 1e-8) (`sqrt`).
        state: Returned by the call on the preceding positions, with the same options. None at the start.

    Returns:
        y as a pair, float32 or wider: the caller narrows it; and the state, of a size independent of T.

    Raises:
        ValueError: If the decay is a number above 0, or the window is below 1.
    """
    parts = _written(values, write_phase, magnitude)
    if normalise != "none":
        weight = torch.ones_like(parts[0]) if magnitude is None else widened(magnitude).expand_as(parts[0])
        parts.append(weight)
    sums, state = decayed_sum(torch.stack(parts), log_decay=log_decay, window=window, state=state)
    re, *rest = sums.unbind()
    if normalise != "none":
        mass = rest.pop() + NORMALISER_EPSILON
        scale = mass.rsqrt() if normalise == "sqrt" else mass.reciprocal()
        re, rest = re * scale, [im * scale for im in rest]
    im = rest[0] if rest else None
    if read_phase is not None:
        return Pair(*_Rotation.apply(re, im, widened(read_phase), -1)), state
    return Pair(re, torch.zeros_like(re) if im is None else im), state


def _written(values: Tensor | Pair, phase: Tensor | None, magnitude: Tensor | None) -> list[Tensor]:
    """Return e^{iθ} m v as real and imaginary part; only the former if nothing is complex."""
    parts = [widened(part) for part in (values if isinstance(values, Pair) else (values,))]
    if magnitude is not None:
        parts = [widened(magnitude) * part for part in parts]
    if phase is None:
        return parts
    return list(_Rotation.apply(parts[0], parts[1] if len(parts) > 1 else None, widened(phase), 1))


def cumulative_phase(frequency_TD: Tensor, *, start: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Accumulate frequencies to phases in [−π, π), and return the last phase to continue from.

    The sum is formed in float64 and wrapped there: in float32 a phase of 16,384 positions at one radian each is
    off by a milliradian, and in bfloat16 by many turns.

    Args:
        frequency_TD: ω_t in radians a position, (..., T, D).
        start: Second result of the call on the preceding positions. None at the start of a sequence.

    Returns:
        θ_t = Σ_{j≤t} ω_j modulo 2π, (..., T, D), float32 or wider; and θ at the last position, (..., D), float64.
    """
    wide = torch.promote_types(frequency_TD.dtype, torch.float32)
    state = None if start is None else ScanState(start)
    sum_TD, _ = decayed_sum(frequency_TD.double(), state=state)
    phase_TD = wrap(sum_TD)
    return phase_TD.to(wide), phase_TD[..., -1, :]
