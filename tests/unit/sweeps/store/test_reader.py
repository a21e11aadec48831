from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.records.description import JournalError
from analysis.records.journal import read_journal
from sweeps.store.reader import JournalReader
from tests.support.sweeps.journals import EPOCH, journal_events, replicate_events, sweep_event, write_journal

ARMS = ("baseline", "coupling_2")


def two_drivers() -> tuple[list[dict], list[dict]]:
    """Two drivers whose events alternate in time; the second continues a replicate that the first lost."""
    first = [sweep_event(ARMS, seeds=(0, 1), sweep_id="a")]
    first += replicate_events("baseline", 0, 2.4, sweep_id="a", start=EPOCH + 1)
    first += replicate_events("coupling_2", 0, 2.7, sweep_id="a", status=None, start=EPOCH + 3)
    second = [sweep_event(ARMS, seeds=(0, 1), sweep_id="b", time=EPOCH + 2)]
    second += replicate_events("baseline", 1, 2.5, sweep_id="b", start=EPOCH + 4)
    second += replicate_events("coupling_2", 0, 2.71, sweep_id="b", start=EPOCH + 25)
    return first, second


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_reading_bit_by_bit_equals_reading_at_once(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "journal"
    texts = {}
    for name, events in zip(("a", "b"), two_drivers(), strict=True):
        path = write_journal(folder / f"{name}.jsonl", events)
        texts[path] = path.read_bytes()
        path.write_bytes(b"")
    reader = JournalReader(folder)
    written = dict.fromkeys(texts, 0)
    growth = st.tuples(st.sampled_from(sorted(texts)), st.integers(1, 3000))  # bytes: lines are cut anywhere
    for path, step in data.draw(st.lists(growth, max_size=12)):
        written[path] = min(written[path] + step, len(texts[path]))
        path.write_bytes(texts[path][: written[path]])
        reader.poll()
    for path, text in texts.items():
        path.write_bytes(text)
    reader.poll(final=True)
    assert reader.view.state == read_journal(folder)
    assert reader.num_events == sum(text.count(b"\n") for text in texts.values())


def test_the_last_line_without_its_end_counts_only_when_final(tmp_path: Path) -> None:
    path = write_journal(tmp_path / "journal" / "a.jsonl", journal_events({"baseline": 2.4}, seeds=(0,)))
    text = path.read_bytes()
    path.write_bytes(text.removesuffix(b"\n"))
    reader = JournalReader(path.parent)
    reader.poll()
    assert reader.view.state.replicate("baseline-id", 0).status is None
    reader.poll(final=True)
    path.write_bytes(text)
    reader.poll()
    assert reader.num_events == text.count(b"\n")
    assert reader.view.state == read_journal(path.parent)


def test_an_interrupted_driver_marks_its_replicates(tmp_path: Path) -> None:
    events = [sweep_event(ARMS, seeds=(0,), sweep_id="a")]
    events += replicate_events("baseline", 0, 2.4, sweep_id="a", status=None)
    path = write_journal(tmp_path / "a.jsonl", events)
    reader = JournalReader(tmp_path)
    reader.poll()
    replicate = reader.view.state.replicate("baseline-id", 0)
    assert reader.view.interrupted_at(replicate) is None
    events.append({"time": EPOCH + 99, "sweep_id": "a", "event": "interrupted"})
    write_journal(path, events)
    assert reader.poll() == {("baseline-id", 0)}
    assert reader.view.interrupted_at(replicate) == EPOCH + 99


def test_an_unreadable_line_is_an_error_every_time(tmp_path: Path) -> None:
    path = write_journal(tmp_path / "a.jsonl", journal_events({"baseline": 2.4}, seeds=(0,)))
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    reader = JournalReader(tmp_path)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"a\.jsonl"):
            reader.poll()


def test_what_every_replicate_repeats_is_kept_once(tmp_path: Path) -> None:
    write_journal(tmp_path / "a.jsonl", journal_events({"baseline": 2.4}, seeds=(0, 1)))
    reader = JournalReader(tmp_path)
    reader.poll()
    first, second = reader.view.state.replicates.values()
    assert first.config_id is second.config_id
    assert all(a is b for a, b in zip(first.final_metrics, second.final_metrics, strict=True))
    assert first.numerics["device"] is second.numerics["device"]
