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


def tang(values: Sequence[float], draws: int) -> float:
    """Return the expected largest of `draws` values drawn from `values` without replacement.

    It estimates without bias what the best of `draws` independent values is; the estimator of Dodge et al. (2019),
    who draw with replacement, is too small. A failure is -inf: the result is, if a draw may hold failures only.

    Source:
        Tang et al. (2020), ACL, "Showing Your Work Doesn't Always Work".
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    if ordered.size == 0 or not (ordered < math.inf).all():
        raise ValueError("needs at least one value, all finite or -inf")
    if not 1 <= draws <= len(ordered):
        raise ValueError(f"{draws} of {len(ordered)} values cannot be drawn without replacement")
    weights = np.array([math.comb(i, draws - 1) / math.comb(len(ordered), draws) for i in range(len(ordered))])
    return float(ordered[draws - 1 :] @ weights[draws - 1 :])
