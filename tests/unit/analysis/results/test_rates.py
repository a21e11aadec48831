"""Rates of hits from journal to table: compared as logits, and shown as shares of items."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from analysis.records.description import MetricInfo, SweepInfo
from analysis.records.journal import JournalState, merge
from analysis.report.tables import notes_for_display, render_text, rows_for_display
from analysis.results.arms import summarise, transform_of
from analysis.results.sweeps import Side, compare_sweeps
from analysis.statistics.inference import mean_interval, paired_comparison
from analysis.statistics.transforms import LINEAR, LOG, Logit, clopper_pearson
from tests.support.sweeps.journals import EPOCH, replicate_events, sweep_event
from trainables.tasks.needle.config import NeedleConfig
from trainables.tasks.needle.task import NeedleTask

RATE = "val/needle_exact_match"
M = 1000
THOUSAND = Logit(M)


def rates(*hits: float) -> list[float]:
    return [hit / M for hit in hits]


def test_averages_and_logits_that_disagree_settle_nothing() -> None:
    """Five seeds are better by a factor of three of almost nothing, the sixth is worse by more than they gain."""
    arms = {"baseline": rates(1, 1, 2, 1, 2, 950), "treatment": rates(3, 4, 6, 3, 8, 930)}
    row = summarise(journal(arms)).rows[1]
    assert row.p_adjusted is not None and row.p_adjusted < 0.05
    assert row.delta == pytest.approx(-0.0005)
    assert row.delta_ci_low is not None and row.delta_ci_high is not None
    assert row.delta_ci_low <= row.delta < 0 < row.delta_ci_high
    assert row.reading == "not separable at this n"
    assert "averages and typical seeds differ in opposite directions" in row.note


def test_the_scale_follows_what_the_task_declares() -> None:
    described: dict[str, Any] = {"name": "x", "direction": "maximise", "meaning": "x"}
    assert transform_of(MetricInfo(**described, unit="share", items=200)) == Logit(200)
    assert transform_of(MetricInfo(**described, unit="perplexity")) == LOG
    assert transform_of(MetricInfo(**described, unit="share")) == LINEAR


def journal(arms: Mapping[str, Sequence[float]], *, items: int | None = M, keep_key: bool = True) -> JournalState:
    """Return the state of a sweep of arms with these rates, one a seed; the first is the baseline."""
    metric: dict[str, Any] = {
        "name": RATE,
        "unit": "share",
        "direction": "maximise",
        "meaning": "needles",
        "chance": None,
    }
    if keep_key:
        metric["items"] = items
    seeds = range(len(next(iter(arms.values()))))
    events = [sweep_event(list(arms), seeds=seeds, metrics=[metric], primary_metric=RATE)]
    for arm, values in arms.items():
        for seed, value in zip(seeds, values, strict=True):
            made = replicate_events(arm, seed, None, steps=(0, 10), start=EPOCH + 1 + seed)
            made[-2]["metrics"][RATE] = value
            events += made
    return merge(events)


ARMS = {"baseline": rates(0, 0, 0), "found": rates(90, 120, 150), "lost": rates(0, 0, 0), "perfect": [1.0] * 3}


def test_table_of_rates() -> None:
    table = summarise(journal(ARMS))
    assert (table.items, table.delta_kind) == (M, "difference")
    row = {row.arm: row for row in table.rows}
    assert (row["baseline"].mean, row["baseline"].ci_low) == (0.0, 0.0)
    assert row["baseline"].ci_high == pytest.approx(0.003682, abs=1e-6)
    assert row["found"].reading == "better"
    assert row["found"].differences == pytest.approx({0: 0.09, 1: 0.12, 2: 0.15})
    assert (row["lost"].reading, row["lost"].p, row["lost"].delta) == ("not attainable", None, 0.0)
    assert (row["perfect"].reading, row["perfect"].p, row["perfect"].delta) == ("not attainable", None, 1.0)
    assert "nothing varies" in row["perfect"].note
    assert all("Clopper-Pearson on one seed's 1,000 items" in row[arm].note for arm in ("baseline", "perfect"))
    text = re.sub(r"\s+", " ", render_text(table))
    assert "rates over 1,000 items a seed" in text
    assert "a mean is the average over seeds, Δ the difference of two" in text
    assert "they are of the typical seed's rate" in text
    assert "baseline: no seed has any hits: the interval is Clopper-Pearson on one seed's 1,000 items" in text


def test_table_shows_no_rate_outside_0_and_1() -> None:
    _, rows = rows_for_display(summarise(journal({"baseline": rates(0, 0, 9), "found": rates(991, 1000, 1000)})))
    numbers = [float(n) for row in rows for n in re.findall(r"[−\d.]+", f"{row[1]} {row[2]}".replace("−", "-"))]
    assert numbers and all(0 <= number <= 1 for number in numbers)


def test_an_old_journal_without_items_is_read_as_before() -> None:
    old = summarise(journal(ARMS, keep_key=False))
    assert old.items is None
    row = old.rows[1]
    expected = mean_interval(ARMS["found"])
    assert expected is not None
    assert row.mean == pytest.approx(0.12)
    assert (row.ci_low, row.ci_method) == (expected.low, "t")
    assert not any("items a seed" in note for note in notes_for_display(old))


def side(state: JournalState, title: str) -> Side:
    assert isinstance(state.sweep, SweepInfo)
    return Side(title, state, state.sweep)


@pytest.mark.parametrize("is_old", [(False, False), (True, False), (False, True)])
def test_sweeps_are_compared_by_rates_if_either_says_how_many_items(is_old: tuple[bool, bool]) -> None:
    a, b = (side(journal(ARMS, keep_key=not old), name) for old, name in zip(is_old, "ab", strict=True))
    pair = (a.sweep.arms[0], b.sweep.arms[1])
    found = compare_sweeps(a, b, [pair], [()])
    assert found.items == M
    expected = paired_comparison(ARMS["found"], ARMS["baseline"], scale=THOUSAND)
    assert (found.pairs[0].delta, found.pairs[0].p) == (expected.difference, expected.p)
    assert found.pairs[0].a.ci_method == "Clopper-Pearson on one seed's 1,000 items"
    assert found.pairs[0].b.ci_method == "t on the logit scale"


def test_each_side_of_a_comparison_has_its_own_items() -> None:
    a, b = side(journal({"x": [0.0] * 3}), "a"), side(journal({"x": [0.0] * 3}, items=200), "b")
    (pair,) = compare_sweeps(a, b, [(a.sweep.arms[0], b.sweep.arms[0])], [()]).pairs
    assert (pair.a.ci_high, pair.b.ci_high) == (clopper_pearson(0, M)[1], clopper_pearson(0, 200)[1])


def test_a_needle_is_one_item_however_many_tokens_it_has() -> None:
    fields = {"vocab_size": 32, "chunk_length": 10, "needle_length": 3, "num_val": 100, "num_test": 40}
    task = NeedleTask(NeedleConfig.model_validate(fields))
    items = {metric.name: metric.items for metric in task.metrics}
    assert {items[f"val/{name}"] for name in ("needle_exact_match", "needle_token_accuracy", "echo_rate")} == {100}
    assert (items["test/needle_exact_match"], items["test/partial_success"]) == (40, 40)
    assert (items["val/echo_rate_first50"], items["test/echo_rate_first50"]) == (50, 40)
    by_depth = [items[f"val/needle_exact_match_depth_{depth}"] for depth in range(1, 6)]
    needle_start_N = task.examples["val"].needle_start_N
    assert by_depth == [int((task.layout.depth_bins(needle_start_N, 5) == depth).sum()) for depth in range(5)]
    assert not any(items[name] for name in items if "nats" in name or "perplexity" in name or "_subset/" in name)
