"""Arms over several studies, against plain arithmetic on what was written into the journals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.records.journal import merge
from analysis.results.aggregates import aggregate, score_of
from analysis.results.sweeps import Side
from tests.support.sweeps.journals import journal_events

FIRST = {"baseline": 2.5, "treatment": 2.4, "control": 2.45, "only_here": 2.6}
SECOND = {"baseline": 3.5, "treatment": 3.1, "control": 3.2}


def side(means: Mapping[str, float], title: str, **given: Any) -> Side:
    state = merge(journal_events(means, **given))
    assert state.sweep is not None
    return Side(title, state, state.sweep)


def test_arms_that_all_studies_have_are_aggregated() -> None:
    a, b = side(FIRST, "a"), side(SECOND, "b")
    table = aggregate([a, b])
    assert [row.arm for row in table.arms] == ["baseline", "treatment", "control"]
    assert (table.left_out, table.baseline, table.studies) == (("only_here",), "baseline", ("a", "b"))
    chance = a.sweep.metric(a.sweep.primary_metric).chance
    assert chance
    for row in table.arms:
        assert row.mean is not None
        values = [
            1 - replicate.final_metrics[one.sweep.primary_metric] / chance
            for one in (a, b)
            for arm in one.sweep.arms
            if arm.arm == row.arm
            for seed in arm.seeds
            if (replicate := one.state.replicates[arm.config_id, seed])
        ]
        assert row.mean.value == pytest.approx(np.mean(values))
        assert row.interquartile_mean is not None
        assert row.interquartile_mean.value == pytest.approx(stats.trim_mean(values, 0.25))
        assert row.optimality_gap is not None
        assert row.optimality_gap.value == pytest.approx(1 - np.mean(values))
        assert (row.runs, row.failed) == (len(values), 0)
    ranks = {row.arm: row.mean_rank for row in table.arms}
    assert ranks == {"treatment": 1.0, "control": 2.0, "baseline": 3.0}
    assert table.ranking is not None
    assert (table.ranking.blocks, table.ranking.count) == ("studies", 2)


def test_contrasts_are_one_family_over_all_studies() -> None:
    table = aggregate([side(FIRST, "a"), side(SECOND, "b")])
    named = [(one.study, one.arm) for one in table.contrasts]
    assert named == [("a", "treatment"), ("a", "control"), ("b", "treatment"), ("b", "control")]
    p_values = [one.p for one in table.contrasts]
    assert all(p is not None for p in p_values)
    expected = stats.false_discovery_control([p for p in p_values if p is not None], method="by")
    assert [one.p_false_discovery_dependent for one in table.contrasts] == pytest.approx(list(expected))
    assert [one.p_false_discovery for one in table.contrasts] <= [one.p_holm for one in table.contrasts]


def test_a_failure_is_counted_and_nothing_is_aggregated_from_the_survivors() -> None:
    failed = side(SECOND, "b", statuses={("treatment", 1): "diverged"})
    table = aggregate([side(FIRST, "a"), failed])
    row = next(row for row in table.arms if row.arm == "treatment")
    assert (row.failed, row.mean, row.improvement, row.mean_rank, row.profile) == (1, None, None, None, None)
    assert "1 diverged" in row.note
    assert row.failed_ci_low > 0
    assert [one.p is None for one in table.contrasts] == [False, False, True, False]


def test_of_one_study_ranks_are_within_seeds_and_seeds_can_be_chosen() -> None:
    table = aggregate([side(FIRST, "a")], seeds=[1, 2, 4])
    assert {row.runs for row in table.arms} == {3}
    assert table.ranking is not None
    assert (table.ranking.blocks, table.ranking.count) == ("seeds", 3)
    with pytest.raises(ValueError, match="seed 99 is none of baseline in a; it has 0, 1"):
        aggregate([side(FIRST, "a")], seeds=[1, 99])


def test_scores_go_from_chance_to_perfect() -> None:
    one = side(FIRST, "a")
    metric = replace(one.sweep.metric(one.sweep.primary_metric), chance=8.0, items=None)
    loss = score_of(replace(metric, direction="minimise", unit="bits/byte"), one)
    assert loss(np.array([8.0, 4.0, 0.0])) == pytest.approx([0, 0.5, 1])
    perplexity = score_of(replace(metric, direction="minimise", unit="perplexity"), one)
    assert perplexity(np.array([8.0, 8**0.5, 1.0])) == pytest.approx([0, 0.5, 1])
    rate = score_of(replace(metric, direction="maximise", unit="1", chance=0.2), one)
    assert rate(np.array([0.2, 0.6, 1.0])) == pytest.approx([0, 0.5, 1])
    for lacking, named in (
        (replace(metric, chance=None), "chance level"),
        (replace(metric, direction="none"), "better side"),
    ):
        with pytest.raises(ValueError, match=named):
            score_of(lacking, one)


def test_studies_without_a_common_arm_say_what_there_is() -> None:
    with pytest.raises(ValueError, match="no arm is in all studies; in a: baseline, treatment"):
        aggregate([side(FIRST, "a"), side({"other": 2.0, "another": 2.1}, "b")])
