"""The picture of a verdict: interval and zone stand where the numbers say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.records.journal import merge
from analysis.report.pages.strip import WIDTH, strip_of
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import Verdict
from tests.unit.analysis.report.pages.test_study import events

(FOUND,) = judge_all(merge(events()))


@pytest.mark.parametrize(
    ("zone", "is_inside"),
    [((None, 0.0), True), ((0.0, None), False), ((-0.2, 0.2), True), ((-0.02, 0.02), False), (None, None)],
)
def test_the_interval_lies_in_the_zone_if_its_numbers_do(zone: object, is_inside: bool | None) -> None:
    strip = strip_of(replace(FOUND, zone=zone))  # type: ignore[arg-type]
    assert strip is not None
    row = strip.rows[0]
    assert row.low is not None and row.high is not None
    assert 0 <= row.low < row.x < row.high <= WIDTH
    if is_inside is None:
        assert strip.zone is None
    else:
        assert strip.zone is not None
        assert (strip.zone[0] <= row.low and row.high <= strip.zone[1]) is is_inside


def test_what_was_published_is_left_of_what_was_found() -> None:
    strip = strip_of(FOUND)
    assert strip is not None and strip.published is not None
    assert strip.published.x < strip.rows[0].x
    assert strip.published.label == "published −0.5"


def test_the_whole_one_has_every_comparison_the_other_those_that_decide() -> None:
    def names(verdict: Verdict, *, whole: bool) -> list[tuple[str, bool]]:
        strip = strip_of(verdict, whole=whole)
        assert strip is not None
        return [(row.name, row.is_control) for row in strip.rows]

    assert names(FOUND, whole=True) == [("− baseline", False), ("− K0", True)]
    assert names(replace(FOUND, control=None), whole=False) == [("− baseline", False)]
    assert names(replace(FOUND, control="K0"), whole=False) == [("− baseline", False), ("− K0", True)]


def test_without_an_effect_there_is_none() -> None:
    assert strip_of(replace(FOUND, effect=None)) is None
