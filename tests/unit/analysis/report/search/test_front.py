"""The figure of a Pareto front: every candidate in all objectives, and names for the front."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.records.journal import merge
from analysis.report.search.front import front_figure
from analysis.results.candidates import ArmCandidates, candidates_of
from tests.support.sweeps.journals import METRIC
from tests.support.sweeps.search_journal import search_events, several_objectives


def found(events: list[dict[str, Any]]) -> ArmCandidates:
    (only,) = candidates_of(merge(events))
    return only


def test_the_front_shows_every_candidate_in_all_objectives() -> None:
    (axes,) = front_figure(found(several_objectives())).axes
    drawn = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])): line.get_marker() for line in axes.lines}
    assert drawn == {(2.0, 100.0): "o", (1.8, 200.0): "o", (1.9, 250.0): "o", (1.5, 400.0): "D"}
    assert sorted(text.get_text() for text in axes.texts) == ["#0", "#1", "#3"], "the front has names"
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        f"{METRIC} (lower is better)", "num_parameters (lower is better)",
    )  # fmt: skip
    with pytest.raises(ValueError, match="several objectives"):
        front_figure(found(search_events()))
