"""The figure of regret: the curves are those that were computed."""

from __future__ import annotations

import pytest

from analysis.report.search.regret import records, regret_figure
from analysis.statistics.regret import regret_curve

CURVES = {
    "ladder, as the study has it": regret_curve([[(1.0, 0.8), (2.0, 0.3)], [(1.0, 0.4)]], [0.5, 1.0, 2.0]),
    "one seed, all steps": regret_curve([[(2.0, 0.6)], [(2.0, 0.2)]], [1.0, 2.0]),
}


def test_each_strategy_has_a_panel_with_its_median_and_quartiles() -> None:
    figure = regret_figure(CURVES, title="Regret", searches=2, world="bowls")
    own = [next(line for line in axes.lines if line.get_linewidth() > 1) for axes in figure.axes]
    assert [list(line.get_ydata()) for line in own] == [pytest.approx([0.6, 0.35]), pytest.approx([0.4])]
    assert [len(axes.collections) for axes in figure.axes] == [1, 1], "a band of quartiles each"
    assert figure.axes[0].get_ylim()[1] > 0.7, "the upper quartile is in sight"


def test_the_data_beside_it_are_all_that_was_computed() -> None:
    rows = list(records(CURVES))
    assert len(rows) == 5 and rows[0] == ("ladder, as the study has it", 0.5, None, None, None)
    assert rows[1][2:] == pytest.approx((0.6, 0.5, 0.7))


def test_worlds_without_regret_have_no_figure() -> None:
    flat = {"one": regret_curve([[(1.0, 0.0)], [(1.0, 0.0)]], [1.0, 2.0])}
    with pytest.raises(ValueError, match="no search has any regret"):
        regret_figure(flat, title="Regret", searches=2, world="null")
