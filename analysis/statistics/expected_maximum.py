"""The best of several: what choosing alone gives, and what a search of given size is expected to find."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def of_normals(count: int) -> float:
    """Return the expected largest of independent standard normal values.

    It is ∫ x d Φ(x)^count, by the midpoint rule, which is exact to 1e-9 here: the integrand is smooth and vanishes.

    Source:
        Tippett (1925), Biometrika 17:364-387, for its table.
    """
    from scipy import special  # not `scipy.stats`, which takes a second to import

    if count < 1:
        raise ValueError(f"the largest of at least 1 value, got {count}")
    edges = np.linspace(-12.0, 12.0, 4801)
    middle = (edges[1:] + edges[:-1]) / 2
    density = np.exp(-(middle**2) / 2) / math.sqrt(2 * math.pi)
    return float((middle * count * density * special.ndtr(middle) ** (count - 1)).sum() * (edges[1] - edges[0]))


def dodge(values: Sequence[float], draws: int) -> float:
    """Return the expected largest of `draws` values drawn from `values` with replacement.

    Larger is better; negate losses. Of a search it is meant for independent configurations, as of random search.

    Source:
        Dodge et al. (2019), arXiv:1909.03004.
    """
    ordered = _checked(values, draws)
    share_N = np.arange(len(ordered) + 1) / len(ordered)
    return float(ordered @ np.diff(share_N**draws))


def tang(values: Sequence[float], draws: int) -> float:
    """Return the expected largest of `draws` values drawn from `values` without replacement, which is unbiased.

    Source:
        Tang et al. (2020), ACL, "Showing Your Work Doesn't Always Work".
    """
    ordered = _checked(values, draws)
    if draws > len(ordered):
        raise ValueError(f"{draws} of {len(ordered)} values cannot be drawn without replacement")
    weights = [math.comb(i, draws - 1) / math.comb(len(ordered), draws) for i in range(len(ordered))]
    return float(ordered @ np.array(weights))


def _checked(values: Sequence[float], draws: int) -> np.ndarray:
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered.size == 0 or not np.isfinite(ordered).all():
        raise ValueError("needs at least one value, all finite")
    if draws < 1:
        raise ValueError(f"at least 1 value is drawn, got {draws}")
    return ordered
