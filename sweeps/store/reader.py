"""Reads a journal incrementally while drivers write it, with the same result as reading it at once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.records.candidates import SEARCH_EVENTS
from analysis.records.description import JournalError, SweepInfo
from analysis.records.journal import JournalState, parse_line
from analysis.records.replicates import Key, Replicate


@dataclass
class SweepRun:
    """One launch of the study by one driver."""

    sweep_id: str
    info: SweepInfo
    started_at: float
    """Unix seconds, as `last_event_at` and `interrupted_at`."""
    last_event_at: float
    interrupted_at: float | None = None


@dataclass
class JournalView:
    """The state after the events so far: the journal's state, the runs, and the newest event of each replicate."""

    state: JournalState = field(default_factory=JournalState)
    sweeps: dict[str, SweepRun] = field(default_factory=dict)
    """By start time."""
    first_started: dict[Key, float] = field(default_factory=dict)
    owners: dict[Key, str] = field(default_factory=dict)
    """The sweep that started the replicate last."""
    last_event: dict[Key | str, tuple[float, str]] = field(default_factory=dict)
    """(time, sweep_id) of the newest event of each replicate, of each search, and of the sweeps' descriptions."""

    def accepts(self, event: dict[str, Any]) -> bool:
        """Return whether `event` may be added: it is not older than the newest of its replicate. Others commute."""
        return (event["time"], event["sweep_id"]) >= self.last_event.get(_subject(event), (0.0, ""))

    def apply(self, event: dict[str, Any]) -> None:
        """Add one event that `accepts` accepts."""
        self.last_event[_subject(event)] = (event["time"], event["sweep_id"])
        self.state.apply(event)
        sweep = self.sweeps.get(event["sweep_id"])
        if event["event"] == "sweep":
            info = self.state.sweep
            assert info is not None  # state.apply has just set it
            self.sweeps[event["sweep_id"]] = SweepRun(event["sweep_id"], info, event["time"], event["time"])
        elif sweep is None:
            raise JournalError(f"sweep {event['sweep_id']}: an event comes before the sweep's description")
        else:
            sweep.last_event_at = event["time"]
            self._note(event, sweep)

    def _note(self, event: dict[str, Any], sweep: SweepRun) -> None:
        if event["event"] == "interrupted":
            sweep.interrupted_at = event["time"]
        elif event["event"] == "started":
            key = _key(event)
            self.first_started.setdefault(key, event["time"])
            self.owners[key] = event["sweep_id"]

    def interrupted_at(self, replicate: Replicate) -> float | None:
        """Return when the driver that ran `replicate` reported its interruption; None if it did not."""
        sweep = self.sweeps.get(self.owners.get(replicate.key, ""))
        return sweep.interrupted_at if sweep else None


def _subject(event: dict[str, Any]) -> Key | str:
    if event["event"] == "sweep":
        return "sweep"
    if event["event"] == "interrupted":
        return event["sweep_id"]
    if event["event"] in SEARCH_EVENTS:
        return f"search {event['search']}"
    return _key(event)


def _key(event: dict[str, Any]) -> Key:
    return (event["config_id"], event["seed"])


def _share(event: dict[str, Any]) -> dict[str, Any]:
    """Return `event` with equal texts as one object, since every report or replicate repeats most of them."""
    return {name: _shared(value) for name, value in event.items()}


def _shared(value: Any) -> Any:
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {sys.intern(name): _shared(inner) for name, inner in value.items()}
    return value


def read_since(
    path: Path, cursor: Mapping[Path, int], *, final: bool = False
) -> tuple[list[dict[str, Any]], dict[Path, int]]:
    """Return the events of a journal after `cursor`, ordered by time, and the new cursor.

    Args:
        path: A folder of journal files, or one file.
        cursor: How many bytes of each file have been read; 0 for files that it does not name.
        final: Also take a last line without its end of line, if it is complete.

    Raises:
        JournalError: If a line is unreadable.
    """
    found: list[dict[str, Any]] = []
    ends = dict(cursor)
    for file in _files(path):
        events, ends[file] = _read_file(file, ends.get(file, 0), final)
        found += map(_share, events)
    return sorted(found, key=lambda event: (event["time"], event["sweep_id"])), ends


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.glob("*.jsonl"))


def _read_file(file: Path, offset: int, final: bool) -> tuple[list[dict[str, Any]], int]:
    """Return the events of a file after `offset`, and the new offset."""
    with file.open("rb") as stream:
        stream.seek(offset)
        new = stream.read()
    complete, _, reader = new.rpartition(b"\n")
    # A line taken by `final` leaves its end of line, which is read later as an empty line.
    events = [parse_line(line, where=f"{file}, after byte {offset}") for line in complete.split(b"\n") if line]
    end = offset + len(new) - len(reader)
    if final and reader:
        with suppress(JournalError):  # torn: the driver died while writing it, so it never took effect
            events.append(parse_line(reader, where=str(file)))
            end += len(reader)
    return events, end


class JournalReader:
    """Reads a journal bit by bit. The result equals reading it at once, in any order in which files grow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.view = JournalView()
        self.num_events = 0
        self._cursor: dict[Path, int] = {}

    def poll(self, *, final: bool = False) -> set[Key]:
        """Read what is new and return the replicates that it concerns.

        Args:
            final: Also take a last line without its end of line, if it is complete. While a driver writes,
                that line may still grow.

        Raises:
            JournalError: If a line is unreadable.
        """
        try:
            events, self._cursor = read_since(self.path, self._cursor, final=final)
            if not all(self.view.accepts(event) for event in events):
                self._forget()  # another driver's older event about the same replicate has arrived late
                events, self._cursor = read_since(self.path, self._cursor, final=final)
            return self._apply(events)
        except JournalError:
            self._forget()
            raise

    def newest(self, subject: Key | str) -> float:
        """Return the time of the newest event about a replicate or a search; 0 before the first."""
        return self.view.last_event.get(subject, (0.0, ""))[0]

    def has_grown(self) -> bool:
        """Return whether any file holds more than has been read."""
        return any(file.stat().st_size > self._cursor.get(file, 0) for file in _files(self.path))

    def _forget(self) -> None:
        self._cursor = {}
        self.view = JournalView()
        self.num_events = 0

    def _apply(self, events: list[dict[str, Any]]) -> set[Key]:
        for event in events:
            self.view.apply(event)
        self.num_events += len(events)
        stopped = {event["sweep_id"] for event in events if event["event"] == "interrupted"}
        affected = {key for key, owner in self.view.owners.items() if owner in stopped} if stopped else set()
        return affected | {_key(event) for event in events if "seed" in event}
