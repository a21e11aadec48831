"""Several arms at once: Friedman's test over blocks, critical differences of mean ranks, false discovery rates.

`scipy.stats` takes a second to import; so it is imported where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Friedman:
    """Friedman's test, and what mean ranks must differ by."""

    mean_ranks: tuple[float, ...]
    """Of each arm over blocks; 1 is the best, ties share their mean rank."""
    chi_squared: float
    """Corrected for ties."""
    p: float
    """By the F of Iman and Davenport, as χ² is too cautious; by χ² if all blocks rank the arms alike."""
    critical_difference: float
    """By Nemenyi: two arms whose mean ranks differ by more are different, at the level, all pairs together."""


def friedman(values_BA: np.ndarray, *, better: Literal["higher", "lower"], level: float = 0.05) -> Friedman | None:
    """Test whether arms rank alike over blocks, such as studies.

    Args:
        values_BA: Shape (blocks, arms), at least 2 blocks and 3 arms.
        better: Which values rank first.
        level: Of the critical difference, one of all pairs.

    Returns:
        The test; None with fewer blocks or arms, or if all arms tie in every block.

    Source:
        Demšar (2006), Journal of Machine Learning Research 7:1-30; Iman & Davenport (1980).
    """
    from scipy import special, stats

    blocks, arms = values_BA.shape
    if blocks < 2 or arms < 3:
        return None
    ranks_BA = stats.rankdata(values_BA if better == "lower" else -values_BA, axis=1)
    if np.ptp(ranks_BA, axis=1).max() == 0:
        return None
    tested = stats.friedmanchisquare(*values_BA.T)
    chi_squared, p, most = float(tested.statistic), float(tested.pvalue), blocks * (arms - 1)
    if chi_squared < most * (1 - 1e-12):
        f = (blocks - 1) * chi_squared / (most - chi_squared)
        p = float(special.fdtrc(arms - 1, (arms - 1) * (blocks - 1), f))
    ranks = tuple(float(rank) for rank in ranks_BA.mean(axis=0))
    return Friedman(ranks, chi_squared, p, critical_difference(arms, blocks, level=level))


def critical_difference(arms: int, blocks: int, *, level: float = 0.05) -> float:
    """Return by how much the mean ranks of two of several arms must differ, by Nemenyi.

    Source:
        Demšar (2006), equation 6 and table 5a.
    """
    from scipy import stats

    quantile = float(stats.studentized_range.ppf(1 - level, arms, np.inf)) / math.sqrt(2)
    return quantile * math.sqrt(arms * (arms + 1) / (6 * blocks))


def false_discovery(p_values: Sequence[float], *, dependent: bool) -> list[float]:
    """Return p-values adjusted so that of those below a level at most that share are false, on average.

    Args:
        p_values: Each in [0, 1].
        dependent: Whatever their dependence, by Benjamini and Yekutieli; otherwise independent or positively
            dependent ones, by Benjamini and Hochberg.

    Source:
        Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57:289-300; Benjamini & Yekutieli
        (2001), Annals of Statistics 29:1165-1188.
    """
    from scipy import stats

    if not p_values:
        return []
    return [float(p) for p in stats.false_discovery_control(p_values, method="by" if dependent else "bh")]
