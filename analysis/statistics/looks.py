"""Looks at results while seeds are added: a group-sequential test that spends its level look by look.

At each look the arms are compared by the seeds so far, at a share of the level; the shares add to at most 1. So, by
Bonferroni's inequality, the probability that any look finds a difference that does not exist stays below the level,
whatever the distribution of the data.

Source:
    Jennison & Turnbull (2000), "Group Sequential Methods", chapter 7 (spending) and 9 (repeated intervals).
"""

from __future__ import annotations

LEVEL = 0.05
"""Two-sided, of all looks together."""


def at_look(p: float, share: float) -> float:
    """Return the p of a look such that it is below `LEVEL` where the look settles the comparison.

    Args:
        p: Of the comparison by the seeds so far, two-sided.
        share: Of the level that this look may spend; 1 if there is only one look.
    """
    return min(1.0, p / share)


def confidence_at_look(confidence: float, share: float) -> float:
    """Return the coverage with which one look is computed so that all looks together cover with `confidence`."""
    return 1 - (1 - confidence) * share
