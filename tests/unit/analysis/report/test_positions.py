"""Figures by position: every part of every arm is in the data, in order, and a metric without parts is refused."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.records.journal import JournalState, merge
from analysis.report.positions import by_band, by_cell
from tests.support.sweeps.journals import METRIC, replicate_events, sweep_event

BANDS = [f"{METRIC}_band_{band}" for band in (2, 10, 1)]
CELLS = [f"{METRIC}_length_{length}_depth_{depth}" for length in (1024, 512) for depth in (0, 100)]
ARMS = ("rope", "spiral", "never_run")


def state_with(names: list[str]) -> JournalState:
    """Return a journal whose arms score part `names[i]` as i, `spiral` ten more."""
    sweep = sweep_event(ARMS, seeds=(0, 1))
    whole = next(metric for metric in sweep["metrics"] if metric["name"] == METRIC)
    sweep["metrics"] += [{**whole, "name": name} for name in names]
    events = [sweep]
    for shift, arm in ((0.0, "rope"), (10.0, "spiral")):
        for seed in (0, 1):
            run = replicate_events(arm, seed, 2.5)
            last = [event for event in run if event["event"] == "report"][-1]
            last["metrics"] |= {name: shift + index for index, name in enumerate(names)}
            events += run
    return merge(events)


@pytest.mark.parametrize(
    ("draw", "names", "expected"),
    [
        (by_band, BANDS, [("1", 2), ("2", 0), ("10", 1)]),
        (by_cell, CELLS, [("512-0", 2), ("512-100", 3), ("1024-0", 0), ("1024-100", 1)]),
    ],
)
def test_every_part_of_every_arm_is_in_the_data(
    draw: Callable[..., list[Path]], names: list[str], expected: list[tuple[str, int]], tmp_path: Path
) -> None:
    figure, data = draw(state_with(names), METRIC, tmp_path / "parts.svg")
    assert figure.stat().st_size > 1000
    with data.open(newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    means = {(arm, "-".join(rest[:-4])): rest[-4] for arm, *rest in rows}
    assert list(means) == [(arm, part) for arm in ARMS for part, _ in expected]
    assert [means["rope", part] for part, _ in expected] == [str(value) for _, value in expected]
    assert [means["spiral", part] for part, _ in expected] == [str(10 + value) for _, value in expected]
    assert {means["never_run", part] for part, _ in expected} == {""}


def test_a_metric_without_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="as a whole, not by position"):
        by_band(state_with(CELLS), None, tmp_path / "bands.svg")
