"""The expected best of n random candidates: of those that nobody chose, at the rung that chose nobody."""

from __future__ import annotations

import itertools

import pytest

from analysis.results.search.expected_best import ExpectedBest, FirstScore, expected_best


def first(score: float | None, by: str = "sobol", *, failed: bool = False) -> FirstScore:
    return FirstScore(by=by, score=score, has_failed=failed)


def found(candidates: list[FirstScore], **changed: object) -> ExpectedBest:
    given = {"steps": 50, "seeds": 1, "direction": "minimise", **changed}
    return expected_best(candidates, **given)  # type: ignore[arg-type]


def test_it_is_the_mean_of_the_best_over_all_choices_of_n() -> None:
    scores = [2.9, 2.7, 3.1, 2.8, 2.75, 3.0]
    table = found([first(score) for score in scores])
    expected = {n: [min(each) for each in itertools.combinations(scores, n)] for n in (1, 2)}
    assert {one.n: one.expected for one in table.best_of} == {
        n: pytest.approx(sum(bests) / len(bests)) for n, bests in expected.items()
    }
    assert table.n_random == 6 and table.refused is None
    highest = found([first(score) for score in scores], direction="maximise")
    assert highest.best_of[1].expected > highest.best_of[0].expected


def test_what_a_model_or_somebody_proposed_does_not_count() -> None:
    chosen = [first(0.1, by) for by in ("tpe", "gp", "nsga2", "enqueue", "the study", "grid")]
    drawn = [first(score, by) for score, by in ((2.0, "sobol"), (2.2, "random"), (2.4, "sobol"), (2.6, "sobol"))]
    assert found(chosen + drawn) == found(drawn)
    refused = found(chosen + drawn[:3])
    assert refused.best_of == () and refused.refused == (
        "3 of 9 candidates are random or from Sobol, and 4 are needed"
    )


def test_failures_are_worse_than_every_score() -> None:
    drawn = [first(None, failed=True), first(2.0), first(2.2), first(2.4)]
    table = found(drawn)
    assert table.n_failed == 1 and [one.n for one in table.best_of] == [2], "of one, all may be a failure"
    assert table.best_of[0].expected == pytest.approx((2.0 + 2.2 + 2.4 + 2.0 + 2.0 + 2.2) / 6)
    most = found([first(None, failed=True)] * 3 + [first(2.0)])
    assert most.refused == "3 of 4 random candidates failed"


def test_while_one_trains_or_objectives_are_several_nothing_is_said() -> None:
    drawn = [first(2.0), first(2.1), first(2.2), first(2.3)]
    assert found([*drawn, first(None)]).refused == "1 of 5 random candidates have no score yet"
    assert found(drawn, num_objectives=2).refused == "of 2 objectives there is no single best"
