"""The figures of a search: what is drawn is what the journal has."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.figure import Figure

from analysis.records.journal import merge
from analysis.report.search.coordinates import coordinates_figure
from analysis.report.search.importance import importance_figure
from analysis.report.search.rungs import ranks_of, rungs_figure
from analysis.report.search.scales import FieldScale
from analysis.report.search.slices import slices_figure
from analysis.report.search.spending import spending_figure
from analysis.results.candidates import ArmCandidates, by_objective, candidates_of
from analysis.results.importance import ArmImportance, FieldImportance, ImportanceTable
from tests.support.sweeps.journals import METRIC
from tests.support.sweeps.search_journal import SEARCH, born, search_events, several_objectives, trained


def found(events: list[dict[str, Any]] | None = None) -> ArmCandidates:
    (only,) = candidates_of(merge(search_events() if events is None else events))
    return only


def said(figure: Figure) -> str:
    axes = [text.get_text() for each in figure.axes for text in each.texts]
    ticks = [label.get_text() for each in figure.axes for label in each.get_xticklabels()]
    return "\n".join([text.get_text() for text in figure.texts] + axes + ticks)


def wide() -> list[dict[str, Any]]:
    """Return a search of two fields: one has no effect in candidate 1, and candidate 3 is far worse."""
    arms = [{"arm": "kuramoto", "search": "abc", "fields": ["optimizer.learning_rate", "architecture.sign"]}]
    events = [{**search_events()[0], "search": {**SEARCH, "arms": arms}}]
    for number, (rate, score) in enumerate([(0.001, 2.0), (0.01, 1.9), (0.1, 1.8), (1.0, 90.0), (0.003, 1.95)]):
        point = {"optimizer.learning_rate": rate} | ({} if number == 1 else {"architecture.sign": "attractive"})
        events.append({**born(number, f"{number:012d}"), "point": point})
        events += trained(f"{number:012d}", 0, 100 + 10 * number, {10: score}, "pruned")
    return events


def test_ranks_are_by_rung_and_the_best_is_first() -> None:
    assert ranks_of(found()) == [{1: 1, 0: 2}, {1: 1}, {1: 1}]
    highest = replace(found(), info=replace(found().info, direction="maximise"))
    assert ranks_of(highest)[0] == {0: 1, 1: 2}


def test_rungs_name_steps_seeds_and_the_winner() -> None:
    text = said(rungs_figure(found()))
    assert "rung 0\n10 steps, 1 seed\n2 scored" in text and "rung 2\n40 steps, 2 seeds\n1 scored" in text
    assert "kuramoto#1, confirmed" in text and "no ρ (1)" in text


def test_before_two_candidates_have_a_score_there_is_nothing_to_rank() -> None:
    first = search_events()[:2] + trained("a" * 12, 0, 10, {10: 2.0}, "pruned")
    with pytest.raises(ValueError, match="too few scores"):
        rungs_figure(found(first))
    with pytest.raises(ValueError, match="no candidate has trained all steps"):
        spending_figure(found(first))


def test_what_was_spent_and_fresh_seeds_stand_on_axes_of_their_own() -> None:
    selection, fresh = spending_figure(found()).axes
    (line,) = (line for line in selection.lines if line.get_drawstyle() == "steps-post")
    assert list(line.get_ydata()) == pytest.approx([1.5, 1.6, 1.6])
    drawn = {round(float(y), 6) for line in selection.lines for y in line.get_ydata()}
    assert not drawn & {2.0, 2.1, 2.2}, "numbers of fresh seeds among those that selected"
    assert "kuramoto#1" in fresh.texts[0].get_text() and "n = 3" in fresh.texts[0].get_text()


def test_slices_and_coordinates_are_of_the_objective_that_is_asked_for() -> None:
    state = merge(several_objectives())
    score, size = by_objective(state, candidates_of(state)[0])
    assert [sorted(row.scores[0].mean for row in view.rows if row.scores[0]) for view in (score, size)] == [
        [1.5, 1.8, 1.9, 2.0], [100.0, 200.0, 250.0, 400.0],
    ]  # fmt: skip
    assert "num_parameters after 40 steps" in said(slices_figure(size)) and METRIC not in said(slices_figure(size))
    assert by_objective(merge(search_events()), found()) == [found()]


def test_a_score_that_is_far_worse_does_not_flatten_the_others() -> None:
    axes = slices_figure(found(wide())).axes[0]
    low, high = axes.get_ylim()
    assert low < 1.8 and high < 3
    beyond = [line for line in axes.lines if line.get_marker() == "^"]
    assert [list(line.get_ydata()) for line in beyond] == [[high]]


def test_slices_of_a_single_field_name_it() -> None:
    figure = slices_figure(found())
    assert figure.axes[0].get_title(loc="left") == "coupling"
    assert "diamond: the winner" in said(figure) and "×: failed" in said(figure)


def test_coordinates_show_where_a_field_has_no_effect() -> None:
    figure = coordinates_figure(found(wide()))
    assert "below an axis: no effect" in said(figure)
    lines = [list(line.get_ydata()) for line in figure.axes[0].lines if len(line.get_ydata()) == 3]
    assert len(lines) == 5 and sum(line[1] < 0 for line in lines) == 1
    with pytest.raises(ValueError, match="no two fields"):
        coordinates_figure(found())


@pytest.mark.parametrize(
    ("values", "is_log"),
    [
        ([10**-exponent for exponent in (1, 2, 3, 4)], True),
        ([0.04 * step for step in range(1, 101)], False),
        ([0.0, 0.001, 1.0], False),
        ([1, 2, 3], False),
    ],
)
def test_an_axis_is_logarithmic_where_values_are_spread_so(values: list[float], is_log: bool) -> None:
    scale = FieldScale(tuple(values))
    assert scale.is_log == is_log
    assert (scale.at(min(values)), scale.at(max(values))) == (0, 1)
    places, labels = scale.ticks(4)
    assert len(places) == len(labels) >= 2 and all(0 <= place <= 1 for place in places)


def test_choices_have_places_of_their_own() -> None:
    scale = FieldScale((True, False, "auto", True))
    assert scale.is_choice and not scale.is_log
    assert len({scale.at(value) for value in (True, False, "auto")}) == 3
    assert math.isclose(FieldScale((3.0, 3.0)).at(3.0), 0.5)


def test_importances_show_what_single_fields_leave_unexplained() -> None:
    arm = ArmImportance(
        arm="a", rung=0, steps=10, seeds=1, n_configurations=30, n_left_out=0, n_adaptive=3,
        fields=(FieldImportance(name="x.y", share=0.6, ci_low=0.5, ci_high=0.7),),
        explained=0.6, unexplained=0.4, noise_share=None, warning="",
    )  # fmt: skip
    table = ImportanceTable(
        study="s",
        scale="laptop",
        metric=METRIC,
        evaluator="fanova",
        evaluator_version="optuna 1",
        seed=0,
        arms=(arm,),
    )
    figure = importance_figure(table)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["x.y", "interactions and noise"]
    assert "0.60 [0.50, 0.70]" in said(figure) and "0.40" in said(figure)


def test_a_search_that_goes_on_can_be_drawn() -> None:
    events = [one for one in search_events() if one["event"] != "selected"]
    assert "kuramoto#1" in said(rungs_figure(found(events)))
