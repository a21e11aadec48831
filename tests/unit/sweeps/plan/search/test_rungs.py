"""Rungs: more steps, then more seeds; what they cost; how many are expected at each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.records.searching import Rung
from sweeps.plan.search import rungs as module
from sweeps.plan.search.rungs import RungError, cost, expected_climbs, ladder_rungs, rungs_of, starts_of
from sweeps.studies.schema.search import SchedulerSpec


def test_the_ladder_grows_in_steps_and_then_in_seeds() -> None:
    rungs = ladder_rungs(steps=400, report_every=50, first=0.25, eta=2, seeds=8)
    assert [(rung.steps, rung.seeds) for rung in rungs] == [
        (100, 1),
        (200, 1),
        (400, 1),
        (400, 2),
        (400, 4),
        (400, 8),
    ]
    assert cost(rungs[0], 400) == 0.25 and cost(rungs[-1], 400) == 8


def test_rungs_are_at_reports_and_each_once() -> None:
    rungs = ladder_rungs(steps=100, report_every=40, first=0.25, eta=2, seeds=1)
    assert [rung.steps for rung in rungs] == [40, 100]
    assert ladder_rungs(steps=100, report_every=7, first=1, eta=2, seeds=1) == (Rung(steps=100, seeds=1),)


@pytest.mark.parametrize(("steps", "first"), [(100, 0.1), (0, 1.0)])
def test_a_rung_without_a_report_is_refused(steps: int, first: float) -> None:
    with pytest.raises(RungError):
        ladder_rungs(steps=steps, report_every=50, first=first, eta=2, seeds=1)


def test_schedulers() -> None:
    fifo = rungs_of(SchedulerSpec(name="fifo", seeds=3), steps=100, report_every=25)
    assert fifo == (Rung(steps=100, seeds=3),)
    asha = rungs_of(SchedulerSpec(name="asha", first=0.25, eta=4), steps=100, report_every=25)
    assert asha == (Rung(steps=25, seeds=1), Rung(steps=100, seeds=1))


@given(st.integers(1, 100), st.sampled_from([2, 3, 4]), st.sampled_from([1, 2, 4, 8]), st.floats(8, 200))
def test_what_is_expected_can_be_paid(configurations: int, eta: int, seeds: int, replicates: float) -> None:
    rungs = ladder_rungs(steps=400, report_every=20, first=0.25, eta=eta, seeds=seeds)
    found = expected_climbs(rungs, eta=eta, replicates=replicates, configurations=configurations)
    counts = list(found.scored)
    assert len(counts) == len(rungs) and counts[0] <= configurations
    assert found.replicates <= replicates + 1e-9
    assert counts == sorted(counts, reverse=True)


def test_a_budget_of_a_million_is_looked_at_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    costed = []

    def counted(*arguments: Any) -> float:
        costed.append(arguments)
        return total_cost(*arguments)

    total_cost = module._total_cost
    monkeypatch.setattr(module, "_total_cost", counted)
    rungs = ladder_rungs(steps=400, report_every=20, first=0.25, eta=2, seeds=8)
    found = expected_climbs(rungs, eta=2, replicates=1e6, configurations=None)
    assert 0.99e6 < found.replicates <= 1e6 and len(costed) < 50


def test_hyperband_begins_at_every_rung_at_about_equal_cost() -> None:
    scheduler = SchedulerSpec(name="hyperband")
    rungs = rungs_of(scheduler, steps=400, report_every=50)
    assert [rung.steps for rung in rungs] == [100, 200, 400]
    assert starts_of(scheduler, rungs) == (0, 1, 2, 0)
    assert starts_of(SchedulerSpec(), rungs) == (0,)
    found = expected_climbs(rungs, eta=2, replicates=12, configurations=None, starts=starts_of(scheduler, rungs))
    assert found.begun == (9, 5, 4) and found.scored == (9, 5 + 4, 4 + 4)
    assert found.replicates == 9 * 0.25 + (5 * 0.5 + 4 * 0.25) + (4 + 4 * 0.5)


def test_the_median_is_asked_at_every_report() -> None:
    rungs = rungs_of(SchedulerSpec(name="median", first=0.5), steps=100, report_every=20)
    assert [rung.steps for rung in rungs] == [60, 80, 100] and {rung.seeds for rung in rungs} == {1}
    with pytest.raises(ValueError, match="one in two"):
        SchedulerSpec(name="median", eta=3)
