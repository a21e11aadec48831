"""Regret against budget: quantiles over searches of what each one's leader had cost by then."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.regret import regret_curve


def test_a_leader_counts_from_when_it_leads() -> None:
    (before, at, between, after) = regret_curve([[(1.0, 0.8), (2.0, 0.3)]], [0.5, 1.0, 1.9, 9.0])
    assert (before.median, at.median, between.median, after.median) == (None, 0.8, 0.8, 0.3)


def test_quartiles_are_those_of_numpy() -> None:
    regrets = [0.9, 0.1, 0.4, 0.2, 0.7, 0.35]
    (point,) = regret_curve([[(0.0, regret)] for regret in regrets], [1.0])
    assert [point.quartile_low, point.median, point.quartile_high] == pytest.approx(
        list(np.quantile(regrets, [0.25, 0.5, 0.75]))
    )


def test_searches_without_a_leader_are_worse_than_all() -> None:
    (point,) = regret_curve([[(0.0, 0.1)], [(0.0, 0.2)], [(0.0, 0.3)], [], []], [1.0])
    assert (point.quartile_low, point.median, point.quartile_high) == (0.2, 0.3, None)
