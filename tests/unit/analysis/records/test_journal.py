"""The journal reader: what counts, what is ignored, what is an error."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from analysis.records.description import ContrastInfo, ExternalInfo, JournalError
from analysis.records.journal import clean_metrics, merge, read_events, read_journal
from tests.support.sweeps.journals import (
    EPOCH,
    METRIC,
    config_id,
    journal_events,
    replicate_events,
    sweep_event,
    write_journal,
)

ARM = config_id("baseline")


def test_reads_a_folder_of_drivers_and_a_single_file_alike(tmp_path: Path) -> None:
    events = journal_events({"baseline": 2.5, "treatment": 2.4}, seeds=range(2))
    own = [e for e in events if e["event"] == "sweep" or e["seed"] == 0]
    others = [{**e, "sweep_id": "b"} for e in events if e["event"] == "sweep" or e["seed"] == 1]
    write_journal(tmp_path / "journal" / "a.jsonl", own)
    write_journal(tmp_path / "journal" / "b.jsonl", others)
    one = write_journal(tmp_path / "all.jsonl", [*own, *others])
    assert read_journal(tmp_path / "journal") == read_journal(one)


def test_a_journal_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no journal at"):
        read_journal(tmp_path / "nowhere")


@pytest.mark.parametrize("torn", [b'{"time": 17', b'{"time": 1, "message": "\xce', b"\x00\x00\x00", b"12"])
def test_a_torn_last_line_is_ignored(tmp_path: Path, torn: bytes) -> None:
    path = write_journal(tmp_path / "a.jsonl", [sweep_event(), *replicate_events("baseline", 0, 2.5)])
    whole = read_journal(path)
    with path.open("ab") as stream:
        stream.write(torn)
    assert read_journal(path) == whole


def test_a_last_line_that_lacks_only_its_newline_counts(tmp_path: Path) -> None:
    path = write_journal(tmp_path / "a.jsonl", [sweep_event(), *replicate_events("baseline", 0, 2.5)])
    path.write_text(path.read_text().rstrip("\n"))
    assert read_journal(path).replicates[ARM, 0].status == "finished"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"time": 17', "not JSON"),
        (b"", "not JSON"),
        (b"\xff{}", "not JSON"),
        (b"[1]", "needs time, sweep_id and event"),
        (b'{"time": 1, "sweep_id": "a", "event": "exploded"}', "unknown event 'exploded'"),
        (b'{"time": 1, "sweep_id": "a", "event": "finished", "seed": 1}', "'finished' lacks config_id"),
        (
            b'{"time": 1, "sweep_id": "a", "event": "report", "config_id": "c", "seed": 1}',
            "'report' lacks metrics, step",
        ),
        (
            b'{"time": 1, "sweep_id": "a", "event": "report", "config_id": "c", "seed": 1, "step": 1, '
            b'"metrics": {"x": NaN}}',
            "NaN is no JSON number",
        ),
    ],
)
def test_any_other_unreadable_line_is_an_error_that_names_it(tmp_path: Path, line: bytes, message: str) -> None:
    path = write_journal(tmp_path / "a.jsonl", [sweep_event()])
    path.write_bytes(path.read_bytes() + line + b"\n" + path.read_bytes())
    with pytest.raises(JournalError, match=message) as error:
        list(read_events(path))
    assert f"{path}:2" in str(error.value)


@pytest.mark.parametrize("change", [{"colour": "red"}, {"arms": [{"arm": "x"}]}, {"contrasts": [{"arm": "x"}]}])
def test_a_description_of_another_version_is_an_error(change: dict[str, object]) -> None:
    with pytest.raises(JournalError, match="another version of phasesweep"):
        merge([{**sweep_event(), **change}])


def test_contrasts_and_external_values_are_read_and_may_be_absent() -> None:
    contrast = {"arm": "a", "against": "b", "meaning": "what a has"}
    external = {"name": "nanoGPT", "metric": METRIC, "values": [1.5, 2.5], "source": "its README"}
    state = merge([sweep_event(contrasts=[contrast], external=[external])])
    assert state.sweep is not None
    assert state.sweep.contrasts == (ContrastInfo(**contrast),)
    assert state.sweep.external == (ExternalInfo(**{**external, "values": (1.5, 2.5)}),)
    before = merge([sweep_event()]).sweep
    assert before is not None
    assert (before.contrasts, before.external) == ((), ())


def test_a_continued_replicate_replaces_the_steps_it_repeats() -> None:
    first = replicate_events("baseline", 0, 2.5, status=None, steps=(0, 10, 20, 30, 40))  # dies after 20
    second = replicate_events("baseline", 0, 2.7, start=EPOCH + 500, steps=(10, 20, 30))
    replicate = merge([*first, *second]).replicates[ARM, 0]
    assert [report.step for report in replicate.reports] == [0, 10, 20, 30]
    assert replicate.final_metrics[METRIC] == pytest.approx(2.7)
    assert replicate.starts == 2


def test_a_result_is_final_whatever_a_second_attempt_says() -> None:
    first = replicate_events("baseline", 0, 2.5)
    second = replicate_events("baseline", 0, 9.9, status="crashed", start=EPOCH + 500)
    once, twice = merge(first).replicates[ARM, 0], merge([*first, *second]).replicates[ARM, 0]
    assert twice.final_metrics == once.final_metrics
    assert (twice.status, twice.seconds, twice.reports) == ("finished", once.seconds, once.reports)
    assert (twice.starts, twice.crashes) == (2, 1)


def test_a_failure_gives_way_to_a_later_result() -> None:
    events = replicate_events("baseline", 0, 2.5, status="oom")
    events += replicate_events("baseline", 0, 2.5, start=EPOCH + 500)
    replicate = merge(events).replicates[ARM, 0]
    assert (replicate.status, replicate.message) == ("finished", "")


def test_the_newest_description_counts_and_an_interrupt_changes_nothing() -> None:
    old, new = sweep_event(["baseline"]), sweep_event(["baseline", "treatment"], time=EPOCH + 9, sweep_id="b")
    interrupt = {"time": EPOCH + 10, "sweep_id": "b", "event": "interrupted"}
    state = merge([new, interrupt, old])
    assert state.sweep is not None
    assert [arm.arm for arm in state.sweep.arms] == ["baseline", "treatment"]
    assert state.sweep.baseline.arm == "baseline"
    assert state.replicates == {}


def test_ties_in_time_are_broken_by_driver_not_by_the_order_of_reading() -> None:
    first = replicate_events("baseline", 0, 2.5, status="crashed", sweep_id="a")
    second = replicate_events("baseline", 0, 2.7, status="timed_out", sweep_id="b")
    assert merge([*second, *first]) == merge([*first, *second])
    assert merge([*second, *first]).replicates[ARM, 0].status == "timed_out"


def test_unknown_metric_names_the_known_ones() -> None:
    state = merge([sweep_event()])
    assert state.sweep is not None
    assert state.sweep.metric(METRIC).direction == "minimise"
    with pytest.raises(KeyError, match="val/perplexity"):
        state.sweep.metric("val/nonsense")


def test_clean_metrics_keeps_json_finite_and_tells_what_it_left_out() -> None:
    finite, bad = clean_metrics({"a": 1.0, "c": math.inf, "b": math.nan})
    assert (finite, bad) == ({"a": 1.0}, ["b", "c"])
    json.dumps(finite, allow_nan=False)


def reopened(anew: bool, *, time: float = EPOCH + 400) -> dict[str, object]:
    fields = {"config_id": ARM, "seed": 0, "reason": "changed", "anew": anew}
    return {"time": time, "sweep_id": "b", "event": "reopened", **fields}


@pytest.mark.parametrize("anew", [True, False])
def test_a_reopened_replicate_has_no_end_until_it_has_run_again(anew: bool) -> None:
    first = replicate_events("baseline", 0, 2.5, status="crashed")
    first += replicate_events("baseline", 0, 2.5, start=EPOCH + 200)
    open_again = merge([*first, reopened(anew)]).replicates[ARM, 0]
    assert (open_again.status, open_again.ended_at, open_again.started_at) == (None, None, None)
    assert (open_again.starts, open_again.reruns, open_again.crashes) == (2, 1, 0)
    assert bool(open_again.reports) is not anew
    second = replicate_events("baseline", 0, 2.7, start=EPOCH + 500, steps=(0, 10))
    replicate = merge([*first, reopened(anew), *second]).replicates[ARM, 0]
    assert (replicate.status, replicate.starts) == ("finished", 3)
    assert [report.step for report in replicate.reports] == [0, 10]
    assert replicate.final_metrics[METRIC] == pytest.approx(2.7)


def test_what_a_reopened_replicate_has_not_repeated_stays_if_it_continues() -> None:
    first = replicate_events("baseline", 0, 2.5, status="timed_out", steps=(0, 10, 20, 30))
    second = replicate_events("baseline", 0, 2.7, start=EPOCH + 500, steps=(10, 20))
    kept = merge([*first, reopened(anew=False), *second]).replicates[ARM, 0]
    assert [report.step for report in kept.reports] == [0, 10, 20]
    anew = merge([*first, reopened(anew=True), *second]).replicates[ARM, 0]
    assert [report.step for report in anew.reports] == [10, 20]


def test_the_newest_attempt_says_where_it_runs() -> None:
    start, *_ = replicate_events("baseline", 0, 2.5, status=None)
    replicate = merge([start, {**start, "time": EPOCH + 9, "host": "there", "pid": 7}]).replicates[ARM, 0]
    assert (replicate.host, replicate.pid) == ("there", 7)


def test_seeds_of_an_earlier_sweep_stay_in_the_description(tmp_path: Path) -> None:
    """A sweep of other seeds in the same folder adds replicates; what was computed before stays in every table."""
    write_journal(tmp_path / "a.jsonl", [sweep_event(("baseline", "treatment"), seeds=(0, 1))])
    later = sweep_event(("baseline", "other"), seeds=(5,), sweep_id="20261123-b", time=EPOCH + 10)
    write_journal(tmp_path / "b.jsonl", [later])
    state = read_journal(tmp_path)
    assert state.sweep is not None
    assert {arm.arm: arm.seeds for arm in state.sweep.arms} == {"baseline": (0, 1, 5), "other": (5,)}
