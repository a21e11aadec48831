"""The replicate that verifies a kit: the cheapest, without what measures the machine, and how near is near."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import JournalState, merge
from sweeps.cli.evidence.expected import EXPECTED, Expected, difference, nominate
from tests.support.sweeps.journals import METRIC, config_id, journal_events

ARMS = {"baseline": 2.5, "other": 2.4}


def state(**changes: Any) -> JournalState:
    return merge(journal_events(ARMS, seeds=range(3), **changes))


def nominated(found: JournalState) -> Expected:
    assert found.sweep is not None
    expected = nominate(found, found.sweep)
    assert expected is not None
    return expected


def test_it_is_the_cheapest_that_has_finished() -> None:
    assert (nominated(state()).arm, nominated(state()).seed) == ("baseline", 0)  # seconds grow with the seed
    without_it = state(statuses={("baseline", 0): "crashed", ("other", 0): "diverged"})
    assert nominated(without_it).seed == 1


def test_nothing_that_has_finished_is_nothing_to_verify() -> None:
    found = state(statuses={(arm, seed): "crashed" for arm in ARMS for seed in range(3)})
    assert found.sweep is not None
    assert nominate(found, found.sweep) is None


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    expected = nominated(state())
    (tmp_path / EXPECTED).write_text(json.dumps(expected.to_json()), encoding="utf-8")
    assert Expected.read(tmp_path) == expected
    with pytest.raises(ValueError, match="cannot be read"):
        Expected.read(tmp_path / "elsewhere")


def test_speed_and_memory_are_not_compared() -> None:
    found = state()
    replicate = found.replicates[config_id("baseline"), 0]
    replicate.final_metrics["train/tokens_per_second"] = 1000.0
    assert "train/tokens_per_second" not in nominated(found).metrics


def test_equal_bits_a_near_value_and_a_far_one() -> None:
    found = state()
    expected = nominated(found)
    replicate = found.replicates[expected.config_id, expected.seed]
    assert difference(expected, replicate).metrics == {}
    value = replicate.final_metrics[METRIC]
    for change, is_near in ((0.003 * value, True), (0.005 * value, False)):
        replicate.final_metrics[METRIC] = value + change
        seen = difference(expected, replicate)
        assert [*seen.metrics] == [METRIC] and seen.numerics == {}
        assert seen.is_within(expected.tolerance) is is_near
    del replicate.final_metrics[METRIC]
    assert not difference(expected, replicate).is_within(expected.tolerance)


def test_numerics_that_differ_are_named_but_for_the_processor() -> None:
    found = state()
    expected = nominated(found)
    numerics = {**expected.numerics, "cpu": "another", "threads": 2}
    seen = difference(replace(expected, numerics=numerics), found.replicates[expected.config_id, expected.seed])
    assert seen.numerics == {"threads": "2 | 1"}
