"""The zone of a claim agrees with its verdict, and says where the effect must lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import read_journal
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import Verdict
from tests.unit.analysis.verdicts.test_judge import around, claim, verdict

JOURNALS = sorted(Path("docs/results").glob("*.jsonl"))
PAIR: dict[str, Any] = {"arm": "a", "against": "b"}
ABSOLUTE: dict[str, Any] = {**PAIR, "margin": 0.1, "margin_unit": "absolute"}


def lies_in(value: float, zone: tuple[float | None, float | None]) -> bool:
    low, high = zone
    return (low is None or value > low) and (high is None or value < high)


@pytest.mark.parametrize(
    ("kind", "fields", "zone"),
    [
        ("superiority", PAIR, (None, 0.0)),
        ("superiority", {**PAIR, "direction": "higher"}, (0.0, None)),
        ("superiority", ABSOLUTE, (None, -0.1)),
        ("superiority", {**ABSOLUTE, "margin_unit": "relative"}, None),
        ("non_inferiority", ABSOLUTE, (None, 0.1)),
        ("equivalence", ABSOLUTE, (-0.1, 0.1)),
        ("threshold", {"arm": "a", "bound": 2.5, "direction": "higher"}, (2.5, None)),
        ("interval", {"arm": "a", "bounds": [2.0, 3.0]}, (2.0, 3.0)),
    ],
)
def test_where_the_effect_must_lie(kind: str, fields: dict[str, Any], zone: Any) -> None:
    found = verdict({"b": around(2.5), "a": around(2.2)}, claim(kind, **fields))
    assert found.zone == zone
    assert found.unit == "bits/character"
    if zone is not None and found.verdict == "supported":
        assert found.ci_low is not None and found.ci_high is not None
        assert lies_in(found.ci_low, zone) and lies_in(found.ci_high, zone)


def judged() -> list[Verdict]:
    return [one for path in JOURNALS for one in judge_all(read_journal(path)) if one.zone is not None]


def test_supported_is_an_interval_within_the_zone_on_every_committed_journal() -> None:
    found = [one for one in judged() if one.ci_low is not None and one.ci_high is not None]
    assert len(found) > 10
    for one in found:
        assert one.zone is not None and one.ci_low is not None and one.ci_high is not None
        inside = lies_in(one.ci_low, one.zone) and lies_in(one.ci_high, one.zone)
        assert inside or one.verdict != "supported", one.id
        assert not inside or one.verdict == "supported" or "control" in one.because, one.id
