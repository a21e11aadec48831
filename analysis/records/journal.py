"""The journal's event schema, and the state of a study that results from its events.

A journal is a folder of `<sweep_id>.jsonl` files, one per driver, one event a line. The state does not
depend on how the files interleave: events are ordered by (time, sweep_id, line). `sweeps/` writes with this
module, so that format and reader cannot drift apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.records.candidates import SEARCH_EVENTS, Searches
from analysis.records.description import JournalError, SweepInfo
from analysis.records.replicates import Attempt, Key, Replicate, ReportPoint
from analysis.records.statuses import RESULTS, STATUSES

EVENTS: frozenset[str] = frozenset(
    {"sweep", "started", "report", "interrupted", "reopened", *STATUSES, *SEARCH_EVENTS}
)
"""Kinds of events. `reopened` revokes the end of a replicate, because the user requested another run or because a
search lets it train on."""


@dataclass
class JournalState:
    """The state after all events of a journal."""

    sweep: SweepInfo | None = None
    """The newest description, with the seeds of earlier ones of the same configurations."""
    replicates: dict[Key, Replicate] = field(default_factory=dict)
    declared_at: dict[str, float] = field(default_factory=dict)
    """{hash of a claim: Unix seconds at which a driver first described the study with it}."""
    searches: Searches = field(default_factory=Searches)
    _described: SweepInfo | None = field(default=None, repr=False)
    """The newest description, without what searches have added since."""

    def has_ended(self, key: Key) -> bool:
        """Return whether a replicate has ended for good; see `Replicate.has_ended`."""
        replicate = self.replicates.get(key)
        return replicate is not None and replicate.has_ended

    def is_pending(self, key: Key) -> bool:
        """Return whether `run` should run a replicate; see `Replicate.is_pending`."""
        replicate = self.replicates.get(key)
        return replicate is None or replicate.is_pending

    def replicate(self, config_id: str, seed: int) -> Replicate:
        """Return the replicate; an empty one is added if the journal has not named it yet."""
        key = (config_id, seed)
        return self.replicates.setdefault(key, Replicate(config_id, seed))

    def apply(self, event: dict[str, Any]) -> None:
        """Add one event; events must come in order of (time, sweep_id, line)."""
        kind = event["event"]
        if kind == "sweep":
            described = SweepInfo.from_event(event)
            before = self._described
            self._described = described if before is None else described.with_seeds_of(before)
            self.sweep = self.searches.joined_to(self._described)
            for claim in described.claims:
                self.declared_at.setdefault(claim.hash, event["time"])
            for claim_hash, time in described.provenance.get("compact", {}).get("declared_at", {}).items():
                self.declared_at[claim_hash] = min(time, self.declared_at.get(claim_hash, time))
            return
        if kind == "interrupted":
            return
        if kind in SEARCH_EVENTS:
            self.searches.apply(event)
            self.sweep = self.searches.joined_to(self._described) if self._described else None
            return
        replicate = self.replicate(event["config_id"], event["seed"])
        if kind == "started":
            replicate.starts += 1
        if kind == "reopened":
            self.replicates[event["config_id"], event["seed"]] = replicate.reopened(anew=event["anew"])
        elif kind not in {"started", "report"}:
            self._end(replicate, event)
        elif replicate.status in RESULTS:
            return  # a result is final: a second attempt is counted, but changes nothing
        elif kind == "started":
            replicate.started_at = event["time"]
            replicate.add_attempt(Attempt(event["sweep_id"], event.get("step", 0), event.get("numerics", {})))
            replicate.host, replicate.pid = event.get("host", ""), event.get("pid")
            replicate.cap_mib = event.get("cap_mib")
        else:
            replicate.add_report(ReportPoint(event["step"], event["time"], event["metrics"]))

    @staticmethod
    def _end(replicate: Replicate, event: dict[str, Any]) -> None:
        replicate.crashes += event["event"] == "crashed"
        replicate.num_ooms += event["event"] == "oom"
        replicate.num_killed += event.get("killed", False)
        if replicate.status in RESULTS:
            return  # a result is final: a later failure of a second attempt cannot take it back
        replicate.status = event["event"]
        replicate.ended_at = event["time"]
        replicate.seconds = event.get("seconds")
        replicate.cpu_seconds = event.get("cpu_seconds")
        replicate.peak_memory_mib = event.get("peak_memory_mib")
        replicate.message = event.get("message", "")
        replicate.retry = event.get("retry", "")


def parse_line(line: str | bytes, *, where: str) -> dict[str, Any]:
    """Read one line of a journal.

    Raises:
        JournalError: If it is not a JSON object with `time`, `sweep_id` and a known `event`.
    """
    try:
        event = json.loads(line, parse_constant=_refuse_constant)
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors too
        raise JournalError(
            f"{where}: not JSON ({error}); the line is damaged: restore the file, "
            "or delete the line and lose its event"
        ) from error
    if not isinstance(event, dict) or not {"time", "sweep_id", "event"} <= event.keys():
        raise JournalError(f"{where}: an event needs time, sweep_id and event")
    if event["event"] not in EVENTS:
        raise JournalError(f"{where}: unknown event '{event['event']}'; written by a newer phasesweep?")
    missing = _REQUIRED.get(event["event"], {"config_id", "seed"}) - event.keys()
    if missing:
        raise JournalError(f"{where}: '{event['event']}' lacks {', '.join(sorted(missing))}")
    return event


_REQUIRED: dict[str, set[str]] = {
    "sweep": set(),  # SweepInfo.from_event checks it
    "interrupted": set(),
    "reopened": {"config_id", "seed", "reason", "anew"},
    "report": {"config_id", "seed", "step", "metrics"},
    **SEARCH_EVENTS,
}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of one journal file; an incomplete last line (of a killed driver) is ignored.

    Raises:
        JournalError: If any other line is unreadable.
    """
    lines = path.read_bytes().split(b"\n")  # bytes: a torn line may end inside a character
    complete, tail = lines[:-1], lines[-1]
    for number, line in enumerate(complete, start=1):
        yield parse_line(line, where=f"{path}:{number}")
    if tail:
        try:
            yield parse_line(tail, where=f"{path}:{len(lines)}")
        except JournalError:
            return  # torn: the driver died while writing it, so it never took effect


def merge(events: Iterable[dict[str, Any]]) -> JournalState:
    """Combine the events of any number of drivers, whose files may be given in any order.

    Events of one driver must keep their order; equal times are ordered by sweep_id.
    """
    state = JournalState()
    for event in sorted(events, key=lambda e: (e["time"], e["sweep_id"])):
        state.apply(event)
    return state


def read_journal(path: Path) -> JournalState:
    """Read a journal: a folder of `.jsonl` files, or one file (a compact journal).

    Raises:
        FileNotFoundError: If there is none.
        JournalError: If a line is unreadable.
    """
    if path.is_dir():
        files = sorted(path.glob("*.jsonl"))
    elif path.is_file():
        files = [path]
    else:
        raise FileNotFoundError(f"no journal at {path}")
    return merge(event for file in files for event in read_events(file))


def clean_metrics(metrics: dict[str, float]) -> tuple[dict[str, float], list[str]]:
    """Split metrics into finite ones and the names of those that are not (JSON has no NaN)."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return finite, sorted(metrics.keys() - finite.keys())
