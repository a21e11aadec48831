"""A metric over training: means of finished seeds at common steps, with a probe's null beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import merge, read_journal
from analysis.results.arms import summarise
from analysis.results.curves import curves_of
from tests.support.sweeps.journals import journal_events

ARMS = {"baseline": 2.5, "kuramoto_K1": 2.4}
PROBE = {
    "name": "probe/order_oscillators",
    "unit": "1",
    "direction": "none",
    "meaning": "order",
    "null": "probe/null",
}
NULL = {"name": "probe/null", "unit": "1", "direction": "none", "meaning": "order of random phases"}


def probed_events(**journal: Any) -> list[dict[str, Any]]:
    """Return a journal whose phase arm reports an order parameter of .1 a hundred steps, plus .01 a seed."""
    events = journal_events(ARMS, seeds=range(3), probes=[PROBE, NULL], **journal)
    for event in events:
        if event["event"] == "report" and event["config_id"] == "kuramoto_K1-id":
            order = event["step"] / 1000 + 0.01 * event["seed"]
            event["metrics"] |= {PROBE["name"]: order, f"{PROBE['name']}/layer1": order + 0.5, NULL["name"]: 0.157}
    return events


def test_a_probe_has_its_null_at_every_step() -> None:
    baseline, arm = curves_of(merge(probed_events()), PROBE["name"]).arms
    assert (baseline.means, baseline.nulls) == ({}, {})
    assert arm.means == pytest.approx({step: step / 1000 + 0.01 for step in range(0, 600, 100)})
    assert arm.nulls == pytest.approx(dict.fromkeys(range(0, 600, 100), 0.157))
    interval = arm.intervals[500]
    assert interval is not None and interval.low < 0.51 < interval.high


def test_one_layer_of_a_probe_is_a_metric_with_the_same_null() -> None:
    state = merge(probed_events())
    *_, arm = curves_of(state, f"{PROBE['name']}/layer1").arms
    assert arm.means[500] == pytest.approx(1.01)
    assert arm.nulls[500] == pytest.approx(0.157)
    assert summarise(state, f"{PROBE['name']}/layer1").rows[1].mean == pytest.approx(1.01)
    with pytest.raises(ValueError, match="has no metric 'probe/orders/layer1'"):
        curves_of(state, "probe/orders/layer1")


def test_seeds_that_stopped_early_leave_the_steps_that_all_have() -> None:
    events = probed_events()
    events = [e for e in events if (e["event"], e.get("seed"), e.get("step", 0) > 300) != ("report", 1, True)]
    *_, arm = curves_of(merge(events), PROBE["name"]).arms
    assert list(arm.means) == list(arm.nulls) == [0, 100, 200, 300]
    assert {seed: max(points) for seed, points in arm.seeds.items()} == {0: 500, 1: 300, 2: 500}


def test_what_is_measured_at_the_end_only_says_how_to_have_it_over_training() -> None:
    with pytest.raises(ValueError, match=r"probe/leak at two steps or more; budget\.probe_at: reports"):
        curves_of(merge(journal_events(ARMS)), "probe/leak")


@pytest.mark.parametrize("metric", ["val/bits_per_byte", "test/bits_per_byte"])
def test_a_study_scored_on_test_is_drawn_on_what_is_reported_on_the_way(metric: str) -> None:
    assert (
        curves_of(merge(journal_events(ARMS, primary_metric=metric)), None).metric.name
        == "val_subset/bits_per_byte"
    )


@pytest.mark.parametrize("name", ["tpi_variants", "tpi_recall", "kuramoto_phase_a"])
def test_every_committed_study_has_its_curves(name: str) -> None:
    curves = curves_of(read_journal(Path(f"docs/results/{name}.jsonl")), None)
    assert curves.metric.name.startswith("val_subset/")
    assert all(len(arm.means) >= 2 for arm in curves.arms)


def test_a_failed_seed_is_no_part_of_the_mean() -> None:
    *_, arm = curves_of(merge(probed_events(statuses={("kuramoto_K1", 2): "diverged"})), PROBE["name"]).arms
    assert arm.unfinished == {2}
    assert arm.means[500] == pytest.approx(0.505)
