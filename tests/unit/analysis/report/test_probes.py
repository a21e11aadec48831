"""The table of what the probes found: means by hand, nulls beside them, nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.records.description import JournalError
from analysis.records.journal import JournalState, merge
from analysis.report.probes import probes_markdown
from tests.support.sweeps.journals import EPOCH, config_id, sweep_event

ARMS = ("baseline", "learnt", "fixed", "lost")
ORDER = "probe/order_positions"


def last_report(arm: str, seed: int, metrics: dict[str, float], status: str = "finished") -> list[dict[str, Any]]:
    common = {"sweep_id": "a", "config_id": config_id(arm), "seed": seed, "time": EPOCH + 1}
    return [{"event": "report", "step": 9, "metrics": metrics, **common}, {"event": status, **common}]


def rows(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    lines = probes_markdown(merge([sweep_event(ARMS, seeds=range(3), sweep_id="a"), *events])).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {first.strip("`"): rest for first, *rest in cells}


def test_numbers_by_hand() -> None:
    events = last_report("baseline", 0, {"probe/leak": -0.0001})
    for seed, order in enumerate((0.1, 0.2, 0.3)):  # sd .1: half an interval is 2.484 of it
        learnt = {"probe/leak": 0.02, ORDER: order, f"{ORDER}_null": 0.111, "probe/coupling": 1.5 + order}
        events += last_report("learnt", seed, learnt)
        events += last_report("fixed", seed, {"probe/leak": 0.02, "probe/coupling": -2.0})
    found = rows([*events, *last_report("lost", 0, {"probe/leak": 5.0}, status="diverged")])
    assert found == {
        "baseline": ["0.000", "–", "–", "–", "–"],
        "learnt": ["0.020", "–", "0.200 ± 0.248 (0.111)", "–", "1.700 ± 0.248"],
        "fixed": ["0.020", "–", "–", "–", "−2.000"],
        "lost": ["–", "–", "–", "–", "–"],  # a diverged replicate is in no mean
    }


def test_the_header_names_the_coupling_not_how_it_came_and_the_note_says_where_it_was_measured() -> None:
    text = probes_markdown(merge([sweep_event(["baseline"])]))
    assert text.startswith(
        "| arm | leak, nats/token | R over oscillators | R over positions | published statistic |"
    )
    assert "| coupling K |" in text
    assert "learn" not in text
    assert "validation windows" in text


def test_without_a_sweep_there_is_nothing_to_name() -> None:
    with pytest.raises(JournalError, match="no `sweep` line"):
        probes_markdown(JournalState())
