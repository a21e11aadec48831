"""How many runs a journal has, how they ended, what they cost, and which software computed them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from analysis.records.description import JournalError, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.results.arms import summarise
from analysis.results.comparison import SIGNIFICANCE_LEVEL
from analysis.statistics.inference import smallest_detectable_effect

_SHOWN_VERSIONS = ("torch", "ray")  # those that affect numbers or times; the journal has all


def provenance_line(state: JournalState) -> str:
    """Return one line: how many runs, how they ended, their power and cost, the software versions and the date.

    Raises:
        JournalError: If the journal has no description of a sweep.
    """
    if state.sweep is None:
        raise JournalError("the journal has no `sweep` line")
    sweep, replicates = state.sweep, ran(state, state.sweep)
    parts = [f"{_size(sweep)} ({_ends(replicates)})", *power(state), cost(replicates)]
    kinds = {repr(sorted(r.numerics.items())) for r in replicates if r.numerics}
    if len(kinds) > 1:
        parts.append(f"{len(kinds)} kinds of numerics (equal in law, not bit for bit)")
    versions = sweep.provenance.get("versions", {})
    parts += [f"{package} {versions[package]}" for package in _SHOWN_VERSIONS if package in versions]
    ended = [r.ended_at for r in replicates if r.ended_at is not None]
    if ended:
        parts.append(datetime.fromtimestamp(max(ended), tz=UTC).date().isoformat())
    return " · ".join([*parts, commit(sweep)])


def ran(state: JournalState, sweep: SweepInfo) -> list[Replicate]:
    """Return the planned replicates that the journal names."""
    planned = {(arm.config_id, seed) for arm in sweep.units for seed in arm.seeds}
    return [state.replicates[key] for key in sorted(planned & state.replicates.keys())]


def span(replicates: Sequence[Replicate]) -> tuple[float, float] | None:
    """Return when the first began and the last ended, in Unix seconds; None if nothing is known of either.

    A replicate may end without having begun: its workers died, or were never granted.
    """
    times = [time for r in replicates for time in (r.started_at, r.ended_at) if time is not None]
    return (min(times), max(times)) if times else None


def _size(sweep: SweepInfo) -> str:
    planned = {(arm.config_id, seed) for arm in sweep.units for seed in arm.seeds}
    configurations = {config_id for config_id, _ in planned}
    seeds = {seed for _, seed in planned}
    all_have_all_seeds = len(planned) == len(configurations) * len(seeds)
    size = f" × {len(seeds)} seeds" if all_have_all_seeds else f" with {len(planned)} replicates"
    return f"{len(configurations)} configurations{size}"


def _ends(replicates: Sequence[Replicate]) -> str:
    ends = Counter(replicate.status or "not ended" for replicate in replicates)
    return ", ".join(f"{count} {status}" for status, count in sorted(ends.items())) or "none run"


def power(state: JournalState) -> list[str]:
    """Return the smallest difference that the seeds find, in a sentence; empty if nothing is tested."""
    table = summarise(state)
    pairs = min((row.n_pairs for row in table.rows if row.n_pairs), default=0)
    if pairs < 2 or not table.family_size:
        return []
    effect = smallest_detectable_effect(pairs)
    adjusted = smallest_detectable_effect(pairs, alpha=SIGNIFICANCE_LEVEL / table.family_size)
    return [
        f"{pairs} pairs of seeds find {effect:.2f} SD of their difference with power .8, "
        f"{adjusted:.2f} SD at Holm's hardest step"
    ]


def cost(replicates: Sequence[Replicate]) -> str:
    """Return the core-seconds of replicates, or their wall time where threads are not recorded."""
    timed = [(r.seconds, r.numerics.get("threads")) for r in replicates if r.seconds is not None]
    threads = [count for _, count in timed if count is not None]
    if len(threads) < len(timed):
        return f"{sum(seconds for seconds, _ in timed):.0f} seconds of wall time, threads not recorded"
    spent = sum(seconds * count for (seconds, _), count in zip(timed, threads, strict=True))
    return f"{spent:.0f} core-seconds"


def commit(sweep: SweepInfo) -> str:
    """Return the commit of the code that began the sweep."""
    found = sweep.provenance.get("git_commit")
    changes = " with local changes" if sweep.provenance.get("git_dirty") else ""
    return f"commit {found[:12]}{changes}" if found else "commit not recorded"
