"""Verdicts in words: cells, what stands below them, and Markdown."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from analysis.records.journal import merge
from analysis.report.verdicts import MEANINGS, cells, effect, notes, sentences, verdicts_markdown
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import Reason, Verdict
from tests.support.sweeps.journals import METRIC, journal_events

CLAIM = {
    "id": "K1", "statement": "phases help", "source": "a paper", "kind": "superiority", "settled_at": "gpu",
    "metric": METRIC, "arm": "kuramoto", "against": ["baseline"], "published_effect": -0.5,
}  # fmt: skip
EVENTS = journal_events({"baseline": 2.5, "kuramoto": 2.4}, claims=[CLAIM])


def verdict(**changes: object) -> Verdict:
    return replace(judge_all(merge(EVENTS))[0], **changes)  # type: ignore[arg-type]


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(get_args(Reason))


def test_a_row_says_what_why_how_much_and_when() -> None:
    ((name, outcome, because, shown, n, declared),) = cells([verdict()])
    assert (name, outcome, because, n, declared) == ("K1", "supported", "scale", "5", "before")
    assert shown.startswith("−0.0999 [") and shown.endswith("]")
    assert cells([verdict(effect=None, because=(), n=0)])[0][2:5] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        (
            {"effect": -0.25, "ci_low": -0.3, "ci_high": -0.2, "effect_kind": "relative change"},
            "−25.00 % [−30.00, −20.00]",
        ),
        ({"effect": 1607.2, "ci_low": None, "effect_kind": "value"}, "1607"),
        ({"effect": 0.25, "ci_low": 0.1, "ci_high": 0.4, "effect_kind": "share"}, "0.2500 [0.1000, 0.4000]"),
        ({"effect": 0.0, "ci_low": -0.0038, "ci_high": 0.0038}, "0.00000 [−0.00380, +0.00380]"),
    ],
)
def test_effects_in_their_own_units(changes: dict[str, object], shown: str) -> None:
    assert effect(verdict(**changes)) == shown


def test_below_stands_what_the_cells_leave_out() -> None:
    lines = notes([verdict(verdict="inconclusive", because=("control", "power"), control="K0", seeds_needed=8)])
    assert lines[0].startswith(
        "K1: phases help (the control that decides: K0; an effect as large as published, −0.5, is excluded"
    )
    assert "8 pairs of seeds would find its effect with power .8 (here 5)" in lines[0]
    assert lines[1:] == [f"because control: {MEANINGS['control']}", f"because power: {MEANINGS['power']}"]
    assert "pairs of seeds" not in " ".join(sentences(verdict(seeds_needed=8)))


def test_markdown_is_of_the_claims_that_the_journal_describes() -> None:
    text = verdicts_markdown(merge(EVENTS))
    assert text.startswith("| claim | verdict | because | effect | n | declared |")
    assert "| `K1` | supported | scale |" in text
    with pytest.raises(ValueError, match="describes no claims"):
        verdicts_markdown(merge(journal_events({"baseline": 2.5, "kuramoto": 2.4})))
