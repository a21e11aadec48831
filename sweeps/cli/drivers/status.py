"""The verb `status`, from journal and leases alone.

It needs neither data nor Ray, and covers every driver that shares the results folder, on any machine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from analysis.records.description import SweepInfo
from analysis.records.replicates import Key
from analysis.results.candidates import standings
from sweeps.cli.search.progress import LookProgress, SearchProgress, looks_of, searches_of
from sweeps.cli.stored_sweep import find_results, no_results
from sweeps.console import Output, format_duration, text_table
from sweeps.store.folder import ResultsFolder
from sweeps.store.leases import Driver, filesystem_time, leases_in, living_drivers
from sweeps.store.reader import JournalReader, JournalView
from sweeps.studies.catalogue import StudyArguments


@dataclass(frozen=True)
class Row:
    """A planned replicate."""

    config_id: str | None
    """None until a driver has described the sweep."""
    arm: str
    seed: int
    status: str
    """How it ended, or: `running`, `queued` (leased, not started), `stale` (leased by a driver that has died),
    `unfinished` (started, and not leased), `waiting`."""
    step: int | None
    seconds: float | None
    message: str
    standing: str | None = None
    """Where a candidate is that its search has stopped, as `waiting at rung 1`: it may climb on."""

    @property
    def word(self) -> str:
        """What is said of it: of a candidate where it stands, of others the status."""
        return self.standing or self.status


@dataclass(frozen=True)
class Running:
    """A replicate that a worker runs."""

    config_id: str
    arm: str
    seed: int
    sweep_id: str
    host: str
    pid: int | None
    device: str
    step: int
    seconds_since_report: float
    predicted_memory_mib: float | None


@dataclass(frozen=True)
class Host:
    """What runs on one machine."""

    host: str
    num_running: int
    memory_mib: float
    """Sum of the predicted peaks."""


@dataclass(frozen=True)
class Status:
    """Everything that `status` prints."""

    folder: ResultsFolder
    rows: list[Row]
    running: list[Running]
    drivers: list[Driver]
    stale_leases: list[tuple[Key, str]]
    """(config_id, seed) and the dead driver that had leased it."""
    num_missing: int
    searches: list[SearchProgress]
    looks: LookProgress | None
    now: float
    """Unix seconds."""
    filesystem_now: float
    """Unix seconds, by the filesystem's clock, which dates the heartbeats."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of replicates of each status."""
        return dict(sorted(Counter(row.status for row in self.rows).items()))

    @property
    def hosts(self) -> list[Host]:
        """What runs on each machine."""
        by_host: dict[str, list[Running]] = {}
        for item in self.running:
            by_host.setdefault(item.host, []).append(item)
        return [
            Host(host, len(items), round(sum(item.predicted_memory_mib or 0.0 for item in items), 1))
            for host, items in sorted(by_host.items())
        ]

    def to_json(self) -> dict[str, Any]:
        """Return what `status --json` prints; schema in `sweeps/cli/schemas/status.json`."""
        return {
            "study": self.folder.study,
            "scale": self.folder.scale,
            "folder": str(self.folder.path),
            "statuses": self.counts,
            "num_replicates": len(self.rows),
            "num_missing": self.num_missing,
            "searches": [asdict(search) for search in self.searches],
            "looks": asdict(self.looks) if self.looks else None,
            "replicates": [asdict(row) for row in self.rows],
            "running": [asdict(item) for item in self.running],
            "hosts": [asdict(host) for host in self.hosts],
            "drivers": [
                {
                    "sweep_id": driver.sweep_id,
                    "host": driver.host,
                    "pid": driver.pid,
                    "started_at": driver.started_at,
                    "seconds_since_heartbeat": self._heartbeat_age(driver),
                }
                for driver in self.drivers
            ],
            "stale_leases": [
                {"config_id": config_id, "seed": seed, "sweep_id": sweep_id}
                for (config_id, seed), sweep_id in self.stale_leases
            ],
        }

    def _age(self, then: float) -> float:
        return round(max(0.0, self.now - then), 1)

    def _heartbeat_age(self, driver: Driver) -> float:
        return round(max(0.0, self.filesystem_now - driver.heartbeat_at), 1)

    def print(self, out: Console) -> None:
        """Print it as text."""
        out.print(f"{self.folder.experiment} in {self.folder.path}", style="bold", markup=False)
        table = text_table("arm", "seed", "status", "step", "seconds", "message", right=[1, 3, 4])
        for row in self.rows:
            step = "–" if row.step is None else str(row.step)
            seconds = "–" if row.seconds is None else f"{row.seconds:.1f}"
            table.add_row(row.arm, str(row.seed), row.word, step, seconds, row.message)
        out.print(table)
        if self.running:
            out.print()
            out.print(self._running_table())
        out.print()
        for line in self._summary():
            out.print(line, markup=False)

    def _running_table(self) -> Any:
        headers = ("running", "seed", "step", "host", "pid", "device", "last report", "memory")
        table = text_table(*headers, right=[1, 2, 4, 7])
        for item in self.running:
            memory = "–" if item.predicted_memory_mib is None else f"{item.predicted_memory_mib:.0f} MiB"
            age = f"{format_duration(item.seconds_since_report)} ago"
            place = (item.host, str(item.pid), item.device)
            table.add_row(item.arm, str(item.seed), str(item.step), *place, age, memory)
        return table

    def _summary(self) -> Iterable[str]:
        for host in self.hosts:
            yield f"{host.host}: {host.num_running} running, {host.memory_mib:.0f} MiB predicted"
        for driver in self.drivers:
            since = format_duration(self._age(driver.started_at))
            beat = format_duration(self._heartbeat_age(driver))
            yield f"at work: {driver}, for {since}, last heartbeat {beat} ago"
        for (config_id, seed), sweep_id in self.stale_leases:
            yield f"stale lease: {config_id} seed {seed} of {sweep_id}, which has died; the next run takes it"
        for search in self.searches:
            state = "over" if search.is_over else "not over"
            yield f"search of {search.arm}: {search.num_candidates} candidates, {state}"
        if self.looks:
            state = "over" if self.looks.is_over else f"next after {self.looks.seeds} seeds"
            yield f"looks at fresh seeds: {self.looks.taken} of {self.looks.of}, {state}"
        words = Counter(row.word.partition(" ")[0] for row in self.rows)
        counts = ", ".join(f"{count} {word}" for word, count in sorted(words.items()))
        at_work = "" if self.drivers else "; no driver is at work"
        yield f"{counts}; {self.num_missing} to run{at_work}"


def status(output: Output, study: StudyArguments) -> None:
    """Show the progress of a study and what runs where.

    Raises:
        UserError: If it has never been run.
    """
    folder = find_results(*study)
    if not folder.exists():
        raise no_results(folder, *study)
    found = look(folder)
    output.show(found.to_json(), found.print)


def look(folder: ResultsFolder) -> Status:
    """Read journal and leases of a study."""
    reader = JournalReader(folder.journal)
    if folder.journal.is_dir():
        reader.poll(final=True)
    drivers = living_drivers(folder.leases)
    leases = leases_in(folder.leases)
    living = {driver.sweep_id for driver in drivers}
    states = _ReplicateStates(reader.view, leases, living, time.time())
    keys = _planned_keys(folder, reader.view.state.sweep)
    return Status(
        folder=folder,
        rows=[states.row(key) for key in keys],
        running=[states.running(key) for key in keys if states.word(key) == "running"],
        drivers=drivers,
        stale_leases=sorted((key, sweep_id) for key, sweep_id in leases.items() if sweep_id not in living),
        num_missing=sum(map(reader.view.state.is_pending, keys)),
        searches=searches_of(reader.view.state),
        looks=looks_of(reader.view.state),
        now=states.now,
        filesystem_now=(filesystem_time(folder.leases) if drivers else None) or states.now,
    )


def _planned_keys(folder: ResultsFolder, sweep: SweepInfo | None) -> list[Key]:
    """Return (config_id, seed) of every replicate; until a driver describes the sweep, by arm name."""
    if sweep is None:
        study = folder.resolved_study()
        return [(name, seed) for seed in study.get("seeds", []) for name in study.get("arms", {})]
    before = [(arm.config_id, seed) for arm in sweep.prerequisites for seed in arm.seeds]
    seeds = dict.fromkeys(seed for arm in sweep.arms for seed in arm.seeds)
    compared = dict.fromkeys((a.config_id, seed) for seed in seeds for a in sweep.arms if seed in a.seeds)
    searched = [(one.config_id, seed) for one in sweep.candidates for seed in one.seeds]
    return [*before, *searched, *(key for key in compared if key not in searched)]


class _ReplicateStates:
    """Combines journal and leases into the state of each replicate."""

    def __init__(self, view: JournalView, leases: dict[Key, str], living: set[str], now: float) -> None:
        self.view, self.leases, self.living, self.now = view, leases, living, now
        sweep = view.state.sweep
        self.arms = {arm.config_id: arm for arm in reversed(sweep.units)} if sweep else {}
        self.standings = standings(view.state)

    def word(self, key: Key) -> str:
        """Return the status of a replicate; see Row."""
        replicate = self.view.state.replicates.get(key)
        if replicate is not None and replicate.status is not None and not replicate.has_open_attempt:
            return replicate.status
        holder = self.leases.get(key)
        if holder is None:
            return "unfinished" if replicate is not None and replicate.starts else "waiting"
        if holder not in self.living:
            return "stale"
        has_started = replicate is not None and replicate.started_at is not None
        return "running" if has_started and self.view.owners.get(key) == holder else "queued"

    def row(self, key: Key) -> Row:
        """Return the row of a planned replicate."""
        replicate = self.view.state.replicates.get(key)
        arm = self.arms.get(key[0])
        return Row(
            config_id=arm.config_id if arm else None,
            arm=arm.arm if arm else key[0],
            seed=key[1],
            status=self.word(key),
            step=replicate.reports[-1].step if replicate and replicate.reports else None,
            seconds=replicate.seconds if replicate else None,
            message=replicate.message if replicate else "",
            standing=self.standings.get(key[0]) if self.word(key) == "pruned" else None,
        )

    def running(self, key: Key) -> Running:
        """Return where a running replicate runs, and its progress."""
        replicate = self.view.state.replicates[key]
        arm = self.arms[key[0]]
        last = replicate.reports[-1] if replicate.reports else None
        heard_at = max(replicate.started_at or 0.0, last.time if last else 0.0)
        return Running(
            config_id=key[0],
            arm=arm.arm,
            seed=key[1],
            sweep_id=self.view.owners[key],
            host=replicate.host,
            pid=replicate.pid,
            device=str(replicate.numerics.get("device", "")),
            step=last.step if last else 0,
            seconds_since_report=round(max(0.0, self.now - heard_at), 1),
            predicted_memory_mib=arm.predicted_memory_mib,
        )
