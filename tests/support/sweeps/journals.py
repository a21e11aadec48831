"""Journals for tests: events as the engine writes them, by plain functions.

Metrics are declared by a real language task and reported when the training loop reports them: the validation
subset always, the whole split and the probes at the last step only.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

METRIC = "val/bits_per_char"
EPOCH = 1_780_000_000.0
"""Unix seconds at which every test sweep begins."""

PHASE_A: dict[str, float] = {
    "baseline": 2.480,
    "kuramoto_32": 2.455,
    "kuramoto_64": 2.462,
    "coupling_2": 2.731,
    "coupling_0": 2.476,
    "repulsive": 2.493,
    "prefix_mean_pool": 2.612,
    "frequency_jitter": 2.481,
}
"""Arms and the mean bits per character that each draws around; the first is the baseline."""


def sweep_event(
    arms: Mapping[str, float] | Sequence[str] = tuple(PHASE_A),
    *,
    seeds: Sequence[int] = range(5),
    sweep_id: str = "20261122-a",
    time: float = EPOCH,
    direction: str = "minimise",
    config_ids: Mapping[str, str] | None = None,
    **described: Any,
) -> dict[str, Any]:
    """Return the first line of a journal; the first arm is the baseline.

    Args:
        arms: Their names.
        seeds: Seeds of every arm.
        sweep_id: The driver.
        time: Unix seconds.
        direction: Of the primary metric.
        config_ids: Configuration ids that do not follow from the arm's name.
        described: More keys of the line, as `contrasts` and `external`.
    """
    config_ids = config_ids or {}
    return {
        "time": time,
        "sweep_id": sweep_id,
        "event": "sweep",
        "study": "kuramoto_phase_a",
        "scale": "laptop",
        "title": "PhaseGPT, Phase A as published",
        "primary_metric": METRIC,
        "metrics": [{**m, "direction": direction} if m["name"] == METRIC else dict(m) for m in declared_metrics()],
        "arms": [
            {
                "arm": arm,
                "config_id": config_ids.get(arm, config_id(arm)),
                "parameters": {} if index == 0 else {"architecture.variant": arm},
                "num_parameters": 812_345 + index,
                "seeds": list(seeds),
                "role": "baseline" if index == 0 else "treatment",
            }
            for index, arm in enumerate(arms)
        ],
        "references": {"3-gram": {METRIC: 2.9564}, "5-gram": {METRIC: 2.4076}},
        "provenance": {"git_commit": "0123456789abcdef", "versions": {"torch": "2.13.0", "ray": "2.60.0"}},
        **described,
    }


@cache
def declared_metrics() -> tuple[dict[str, Any], ...]:
    """Return what a language task of 65 characters, tiny Shakespeare's number, declares of its metrics."""
    from trainables.data.corpora import Corpus
    from trainables.tasks.text.config import LanguageConfig
    from trainables.tasks.text.language import LanguageTask

    text = "".join(map(chr, range(33, 33 + 65))) * 30
    task = LanguageTask(LanguageConfig(context_length=8), Corpus("test", text))
    return tuple(dict(vars(metric)) for metric in task.metrics)


def config_id(arm: str) -> str:
    """Return the configuration id that test journals give an arm."""
    return f"{arm}-id"


def replicate_events(
    arm: str,
    seed: int,
    value: float | None,
    *,
    status: str | None = "finished",
    sweep_id: str = "20261122-a",
    start: float = EPOCH + 1,
    steps: Sequence[int] = (0, 100, 200, 300, 400, 500),
    config: str | None = None,
) -> list[dict[str, Any]]:
    """Return the events of one replicate.

    Args:
        arm: Its configuration id follows from it unless `config` is given.
        seed: Also seeds the wiggle of the curve.
        value: What the last report says of the whole validation split; None where no report scores anything.
        status: How it ends; None if its driver died first. A failure loses the second half of its reports.
        sweep_id: The driver.
        start: Unix seconds; a report follows every 10 s.
        steps: Optimiser steps reported.
        config: Configuration id.
    """
    common = {"sweep_id": sweep_id, "config_id": config or config_id(arm), "seed": seed}
    rng = random.Random(f"{arm}/{seed}")
    numerics = {"device": "cpu", "dtype": "float32", "threads": 1, "versions": {"torch": "2.13.0"}}
    events: list[dict[str, Any]] = [{"time": start, "event": "started", "numerics": numerics, **common}]
    reported = steps if status == "finished" else steps[: (len(steps) + 1) // 2]
    for index, step in enumerate(reported, start=1):
        metrics = {"train/loss": 2.0 + rng.random()}
        if value is not None:
            left = 1 - step / steps[-1]
            metrics |= _scores("val_subset", value + 0.02 + 3.4 * left**4 + 0.01 * rng.gauss(0, 1))
        if value is not None and step == steps[-1]:
            metrics |= _scores("val", value) | _probes(arm, rng)
        events.append({"time": start + 10 * index, "event": "report", "step": step, "metrics": metrics, **common})
    if status is not None:
        events.append(
            {
                "time": start + 10 * len(steps) + 5,
                "event": status,
                "seconds": 10.0 * len(reported) + 0.25 * seed,
                "peak_memory_mib": 500.0 + seed,
                "message": "" if status == "finished" else f"{status} at step {reported[-1]}",
                **common,
            }
        )
    return events


def _scores(split: str, bits: float) -> dict[str, float]:
    nats = bits * math.log(2)
    units = {"nats_per_token": nats, "bits_per_char": bits, "bits_per_byte": bits, "perplexity": math.exp(nats)}
    return {f"{split}/{name}": value for name, value in units.items()}


def _probes(arm: str, rng: random.Random) -> dict[str, float]:
    """Return what the probes find: a leak in every arm, phases only in the arms called `kuramoto...`."""
    probes = {"probe/leak": 0.001 * rng.random()}
    if arm.startswith("kuramoto"):
        for name in ("oscillators", "positions", "published"):
            probes |= {f"probe/order_{name}": 0.2 + 0.1 * rng.random(), f"probe/order_{name}_null": 0.157}
        probes["probe/coupling"] = 1.6 + 0.1 * rng.random()
    return probes


def journal_events(
    arms: Mapping[str, float] = PHASE_A,
    *,
    seeds: Sequence[int] = range(5),
    statuses: Mapping[tuple[str, int], str | None] | None = None,
    values: Mapping[tuple[str, int], float | None] | None = None,
    seed_spread: float = 0.012,
    noise: float = 0.004,
    sweep_id: str = "20261122-a",
    **sweep: Any,
) -> list[dict[str, Any]]:
    """Return the events of a whole sweep by one driver.

    Args:
        arms: Means to draw around; the first arm is the baseline.
        seeds: Seeds of every arm.
        statuses: Where a replicate did not finish.
        values: Final values that are not drawn.
        seed_spread: Standard deviation that all arms of a seed share.
        noise: Standard deviation that is each replicate's own.
        sweep_id: The driver.
        sweep: More of `sweep_event`'s arguments.
    """
    statuses, values = statuses or {}, values or {}
    config_ids: Mapping[str, str] = sweep.get("config_ids") or {}
    events = [sweep_event(arms, seeds=seeds, sweep_id=sweep_id, **sweep)]
    written: set[tuple[str, int]] = set()
    for position, (arm, mean) in enumerate(arms.items()):
        for seed in seeds:
            config = config_ids.get(arm, config_id(arm))
            if (config, seed) in written:
                continue  # one configuration under two names runs once
            written.add((config, seed))
            shared = random.Random(seed).gauss(0, seed_spread)
            own = random.Random(f"{arm}/{seed}").gauss(0, noise)
            events += replicate_events(
                arm,
                seed,
                values.get((arm, seed), mean + shared + own),
                status=statuses.get((arm, seed), "finished"),
                sweep_id=sweep_id,
                start=EPOCH + 1 + 100 * position + seed,
                config=config,
            )
    return events


def write_journal(path: Path, events: Iterable[dict[str, Any]]) -> Path:
    """Write events to `path`, one a line, in the order given; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path
