"""How synchronised phases are, and the same statistic for independent uniform phases (its null).

Every order parameter is |mean of e^{iθ}| over some axis; a finite sample of independent phases does not give
0 but about sqrt(π / 4n), so a value means nothing without the null of *that* statistic at *that* size.
Phases are phase_BHNT in radians.

Source:
    Strogatz (2000), Physica D 143, pages 1-20. The published statistics: PhaseGPT, `interpret_model.py`
    (angles averaged over heads) and `calculate_order_parameter` (pooled).
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from trainables.layers.fields import NULL_DRAWS
from trainables.randomness import generator


def resultant(phase: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Return R = |mean of e^{iθ}| over `dim`, between 0 and 1. Its gradient at R = 0 is 0, never NaN."""
    parts = torch.stack((phase.cos().mean(dim), phase.sin().mean(dim)))
    return torch.linalg.vector_norm(parts, dim=0)


def over_oscillators(phase_BHNT: Tensor) -> Tensor:
    """Return R over the oscillators of a head at one position, averaged over batch and positions: R_H."""
    return resultant(phase_BHNT, 2).mean((0, 2))


def over_positions(phase_BHNT: Tensor) -> Tensor:
    """Return R over the positions of one oscillator, averaged over batch and oscillators: R_H."""
    return resultant(phase_BHNT, 3).mean((0, 2))


def pooled(phase_BHNT: Tensor) -> Tensor:
    """Return R over positions and oscillators together, averaged over the batch: R_H."""
    return resultant(phase_BHNT, (2, 3)).mean(0)


def head_averaged(phase_BHNT: Tensor) -> Tensor:
    """Return the published statistic: R over oscillators of angles averaged *arithmetically* over heads.

    The average shrinks the angles toward 0, so that independent phases look synchronised: .875 for 12 heads
    of 32 oscillators. Needs wrapped phases.
    """
    return resultant(phase_BHNT.mean(1), 1).mean()


@functools.cache
def expected_resultant(count: int) -> float:
    """Return E[R] of `count` independent uniform phases: exactly 1 for 1 and 2/π for 2, then ~ sqrt(π / 4n).

    E|S| of a planar walk of n unit steps is ∫ (1 − J0(k)^n) / k² dk over k > 0. Computed to about 1e-6.

    Source:
        Kluyver (1906), "A local probability problem"; the integral follows from E J0(k|S|) = J0(k)^n.
    """
    from scipy.integrate import simpson
    from scipy.special import j0

    if count == 1:
        return 1.0
    end, num_points = 1000.0, 200_001
    u = np.linspace(0.0, end, num_points)[1:]  # k = u / sqrt(n), so that the integrand keeps its width
    inner = np.concatenate(([0.25], (1.0 - j0(u / math.sqrt(count)) ** count) / u**2))
    return float((simpson(inner, dx=end / (num_points - 1)) + 1.0 / end) / math.sqrt(count))


@functools.cache
def expected_head_averaged(num_heads: int, num_oscillators: int) -> float:
    """Return E of `head_averaged` under independent uniform phases, by a seeded simulation."""
    with _disable_current_modes():  # a cached constant: must not be computed with fake tensors
        draw = generator(0, "null", "head_averaged", str(num_heads), str(num_oscillators))
        phase = (2 * torch.rand(NULL_DRAWS, num_heads, num_oscillators, 1, generator=draw) - 1) * math.pi
        return float(head_averaged(phase))


def measure(phase_BHNT: Tensor) -> dict[str, Tensor]:
    """Return every order parameter of wrapped phases with its null, by the name it is reported under."""
    _, num_heads, num_oscillators, num_positions = phase_BHNT.shape
    nulls = {
        "order_oscillators_null": expected_resultant(num_oscillators),
        "order_positions_null": expected_resultant(num_positions),
        "order_pooled_null": expected_resultant(num_oscillators * num_positions),
        "order_published_null": expected_head_averaged(num_heads, num_oscillators),
    }
    return {
        "order_oscillators": over_oscillators(phase_BHNT),
        "order_positions": over_positions(phase_BHNT),
        "order_pooled": pooled(phase_BHNT),
        "order_published": head_averaged(phase_BHNT),
        **{name: torch.tensor(value) for name, value in nulls.items()},
    }
