"""The table over training: means with intervals at steps, and nulls in brackets."""

from __future__ import annotations

import pytest

from analysis.records.journal import merge
from analysis.report.steps import cells, note, shown_steps, steps_markdown
from analysis.results.curves import curves_of
from tests.unit.analysis.results.test_curves import PROBE, probed_events


def test_the_table_shows_the_first_and_last_step_or_those_asked_for() -> None:
    state = merge(probed_events())
    curves = curves_of(state, PROBE["name"])
    assert shown_steps(curves) == [0, 100, 200, 400, 500]
    assert shown_steps(curves, [0, 300]) == [0, 300]
    with pytest.raises(ValueError, match="reports probe/order_oscillators at step 7; it is reported at 0, 100"):
        shown_steps(curves, [0, 7])
    headers, rows = cells(curves, [0, 500])
    assert headers == ["arm", "step 0", "step 500"]
    assert rows == [["baseline", "–", "–"], ["kuramoto_K1", "0.0100 ± 0.0248 (0.1570)", "0.5100 ± 0.0248 (0.1570)"]]
    assert "in brackets the value of a model without structure" in note(curves)
    assert steps_markdown(state, PROBE["name"]).splitlines()[3].endswith("| 0.5100 ± 0.0248 (0.1570) |")
