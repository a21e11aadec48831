"""Slow implementations of the phase scan from its definition, with which `phase_scan` is compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.layers.fields import Normalise
from trainables.layers.phase_scan import NORMALISER_EPSILON, Pair


def phase_scan_pairwise(
    values: Tensor | Pair,
    *,
    log_decay: Tensor | float | None = None,
    write_phase: Tensor | None = None,
    read_phase: Tensor | None = None,
    magnitude: Tensor | None = None,
    window: int | None = None,
    normalise: Normalise = "none",
) -> Pair:
    """Compute `phase_scan` for each pair of positions, with explicit T×T tensors; same arguments, no state."""
    re, im = values if isinstance(values, Pair) else (values, torch.zeros_like(values))
    zero, one = torch.zeros_like(re), torch.ones_like(re)
    theta = zero if write_phase is None else write_phase.expand_as(re)
    theta_read = zero if read_phase is None else read_phase.expand_as(re)
    m = one if magnitude is None else magnitude.expand_as(re)
    log = zero if log_decay is None else torch.as_tensor(log_decay, dtype=re.dtype).expand_as(re)
    weight_TTD = _weights(log, window)
    turn_TTD = theta.unsqueeze(-3) - theta_read.unsqueeze(-2)  # [t, j]
    cos_TTD, sin_TTD = weight_TTD * turn_TTD.cos(), weight_TTD * turn_TTD.sin()
    re, im = (m * re).unsqueeze(-3), (m * im).unsqueeze(-3)
    y = Pair((cos_TTD * re - sin_TTD * im).sum(-2), (sin_TTD * re + cos_TTD * im).sum(-2))
    return _normalised(y, (weight_TTD * m.unsqueeze(-3)).sum(-2), normalise)


def _normalised(y: Pair, mass_TD: Tensor, normalise: Normalise) -> Pair:
    """Divide by the sum of the weights, by its root, or by nothing."""
    if normalise == "none":
        return y
    by_TD = (mass_TD + NORMALISER_EPSILON) ** (0.5 if normalise == "sqrt" else 1.0)
    return Pair(y.re / by_TD, y.im / by_TD)


def _weights(log_TD: Tensor, window: int | None) -> Tensor:
    """Return w(t, j) = exp(Σ_{j<i≤t} log_i) as [t, j]; 0 in the future and before the window."""
    total_TD = log_TD.cumsum(-2)
    position_T = torch.arange(log_TD.shape[-2], device=log_TD.device)
    age_TT = position_T[:, None] - position_T
    hidden_TT = age_TT < 0 if window is None else (age_TT < 0) | (age_TT >= window)
    exponent_TTD = total_TD.unsqueeze(-2) - total_TD.unsqueeze(-3)
    return exponent_TTD.masked_fill(hidden_TT.unsqueeze(-1), -torch.inf).exp()


def phase_scan_recurrence(
    values: Tensor | Pair,
    *,
    log_decay: Tensor | float | None = None,
    write_phase: Tensor | None = None,
    read_phase: Tensor | None = None,
    magnitude: Tensor | None = None,
    window: int | None = None,
    normalise: Normalise = "none",
) -> Pair:
    """Compute `phase_scan` one position after the other; same arguments, no state."""
    re, im = values if isinstance(values, Pair) else (values, torch.zeros_like(values))
    zero = torch.zeros_like(re)
    m = zero + (1.0 if magnitude is None else magnitude)
    decay = (zero + (0.0 if log_decay is None else log_decay)).exp()
    term = Pair(m * re, m * im)
    term = term if write_phase is None else term.rotated(zero + write_phase)
    turn_back = None if read_phase is None else zero - read_phase
    terms = [tuple(part.unbind(-2)) for part in (term.re, term.im, m)]
    sums = [torch.stack(_sums(part, decay.unbind(-2), window), dim=-2) for part in terms]
    y = Pair(sums[0], sums[1])
    y = y if turn_back is None else y.rotated(turn_back)
    return _normalised(y, sums[2], normalise)


def _sums(term_T: Sequence[Tensor], decay_T: Sequence[Tensor], window: int | None) -> list[Tensor]:
    """Return the decayed sum at every step; with a window, its terms are kept and decayed one by one."""
    sum_D, kept_WD = torch.zeros_like(term_T[0]), torch.zeros_like(term_T[0])[None][:0]
    sums = []
    for term_D, decay_D in zip(term_T, decay_T, strict=True):
        if window is None:
            sum_D = decay_D * sum_D + term_D
        else:
            kept_WD = torch.cat((decay_D * kept_WD, term_D[None]))[-window:]
            sum_D = kept_WD.sum(0)
        sums.append(sum_D)
    return sums
