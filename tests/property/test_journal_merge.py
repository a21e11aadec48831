"""The state of a journal does not depend on how its drivers' events interleave."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from analysis.records.compact import compact_journal
from analysis.records.journal import JournalState, merge, read_journal
from analysis.records.statuses import FAILURES, RESULTS, STATUSES
from analysis.results.arms import summarise
from tests.support.sweeps.journals import EPOCH, METRIC, config_id, replicate_events, sweep_event, write_journal

ARMS = ("baseline", "treatment")
DRIVERS = ("driver-a", "driver-b", "driver-c")

ATTEMPTS = st.tuples(
    st.sampled_from(ARMS),
    st.integers(min_value=0, max_value=2),
    st.sampled_from([*STATUSES, None]),
    st.integers(min_value=0, max_value=40),  # start: attempts overlap and tie in time
    st.floats(min_value=1.0, max_value=3.0),
)

REOPENINGS = st.tuples(
    st.sampled_from(ARMS),
    st.integers(min_value=0, max_value=2),
    st.integers(min_value=0, max_value=80),
    st.booleans(),
)


@st.composite
def journals(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Return the events of each driver in its own order of time."""
    drivers: dict[str, list[dict[str, Any]]] = {}
    for driver in DRIVERS[: draw(st.integers(min_value=1, max_value=3))]:
        events = [sweep_event(ARMS, seeds=range(3), sweep_id=driver)]
        for arm, seed, status, start, value in draw(st.lists(ATTEMPTS, max_size=4)):
            events += replicate_events(
                arm, seed, value, status=status, sweep_id=driver, start=EPOCH + 1 + start, steps=(0, 10, 20)
            )
        for arm, seed, at, anew in draw(st.lists(REOPENINGS, max_size=2)):
            events.append(
                {
                    "time": EPOCH + 1 + at,
                    "sweep_id": driver,
                    "event": "reopened",
                    "config_id": config_id(arm),
                    "seed": seed,
                    "reason": "changed" if anew else "failed",
                    "anew": anew,
                }
            )
        drivers[driver] = sorted(events, key=lambda event: event["time"])
    return drivers


@given(journals(), st.randoms(use_true_random=False))
def test_any_interleaving_of_drivers_gives_the_same_state(journal, random) -> None:
    queues = [list(events) for events in journal.values()]
    interleaved = []
    while any(queues):
        interleaved.append(random.choice([queue for queue in queues if queue]).pop(0))
    one_after_another = [event for events in journal.values() for event in events]
    assert merge(interleaved) == merge(one_after_another)


def test_the_journals_drawn_here_do_interleave() -> None:
    """Two drivers are at work on one replicate at the same time."""

    def overlap(journal: dict[str, list[dict[str, Any]]]) -> bool:
        spans: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for events in journal.values():
            own: dict[tuple[str, int], list[float]] = {}
            for event in events[1:]:
                own.setdefault((event["config_id"], event["seed"]), []).append(event["time"])
            for key, times in own.items():
                spans.setdefault(key, []).append((times[0], times[-1]))
        return any(len(s) > 1 and max(s)[0] < min(last for _, last in s) for s in spans.values())

    find(journals(), overlap, settings=settings(phases=[Phase.generate]))  # any example will do


@given(journals())
def test_every_end_is_counted_and_results_are_final(journal) -> None:
    """Of those since the replicate was reopened last."""
    events = sorted(
        (event for driver in journal.values() for event in driver), key=lambda e: (e["time"], e["sweep_id"])
    )
    state = merge(events)
    for (config, seed), replicate in state.replicates.items():
        own = [e["event"] for e in events if e.get("config_id") == config and e.get("seed") == seed]
        since = len(own) - own[::-1].index("reopened") if "reopened" in own else 0
        ends = [event for event in own[since:] if event in STATUSES]
        results = [event for event in ends if event in RESULTS]
        assert (replicate.starts, replicate.reruns) == (own.count("started"), own.count("reopened"))
        assert replicate.crashes == ends.count("crashed")
        assert replicate.status == (results[0] if results else ends[-1] if ends else None)


@given(journals())
def test_reports_ascend_whatever_attempts_overlapped(journal) -> None:
    state = merge(event for events in journal.values() for event in events)
    for replicate in state.replicates.values():
        steps = [report.step for report in replicate.reports]
        assert steps == sorted(set(steps))


@given(journals())
def test_no_planned_seed_vanishes_from_the_table(journal) -> None:
    state = merge(event for events in journal.values() for event in events)
    for row in summarise(state).rows:
        assert sum(row.statuses.values()) == 3
        finished = [r for r in state.replicates.values() if r.config_id == row.config_id and r.status == "finished"]
        assert row.n == sum(METRIC in replicate.final_metrics for replicate in finished)
        without = len(finished) - row.n  # an overlapping attempt's report can come after the full score
        assert row.n_failed == without + sum(row.statuses.get(s, 0) for s in ("diverged", *FAILURES))
        assert row.statuses.get("diverged", 0) == sum(
            state.replicate(config_id(row.arm), seed).status == "diverged" for seed in range(3)
        )


@settings(max_examples=30)
@given(journals())
def test_a_compact_journal_summarises_as_the_whole(journal) -> None:
    with TemporaryDirectory() as folder:
        for driver, events in journal.items():
            write_journal(Path(folder) / "journal" / f"{driver}.jsonl", events)
        whole = read_journal(Path(folder) / "journal")
        compact = Path(folder) / "compact.jsonl"
        compact.write_text(compact_journal(Path(folder)))
        again = read_journal(compact)
    for metric in (METRIC, "val/perplexity"):
        assert summarise(again, metric) == summarise(whole, metric)
    assert _ends(again) == _ends(whole)


def _ends(state: JournalState) -> str:
    """Return what is known of each replicate but its reports."""
    known = {f"{key}": {**asdict(r), "reports": len(r.reports) > 0} for key, r in sorted(state.replicates.items())}
    return json.dumps(known)
