"""Analysis of variance over seeds that all went through the same levels."""

from __future__ import annotations

import numpy as np


def effect_p(values_SLL: np.ndarray) -> tuple[float, float] | None:
    """Return F and p of the effect of all level axes together: a main effect, or the interaction of two factors.

    Args:
        values_SLL: Shape (seeds, levels) for a main effect, (seeds, levels, levels) for an interaction. At least
        two
            seeds, and two levels an axis.

    Returns:
        F and its p; None if nothing varies besides the effect.

    Source:
        Girden (1992), ANOVA: Repeated Measures; sphericity is assumed. With two levels, F is t².
    """
    from scipy import special  # not `scipy.stats`, which takes a second to import

    pure_SLL = values_SLL
    for axis in range(1, values_SLL.ndim):
        pure_SLL = pure_SLL - pure_SLL.mean(axis=axis, keepdims=True)
    effect_LL = pure_SLL.mean(axis=0)
    rest_SLL = pure_SLL - effect_LL
    seeds = values_SLL.shape[0]
    df = float(np.prod([levels - 1 for levels in values_SLL.shape[1:]]))
    between, within = seeds * float((effect_LL**2).sum()), float((rest_SLL**2).sum())
    if within <= 1e-24 * float((values_SLL**2).sum()):
        return None
    f = (between / df) / (within / (df * (seeds - 1)))
    return f, float(special.fdtrc(df, df * (seeds - 1), f))
