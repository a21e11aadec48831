"""A journal with a search, for tests: events as the engine writes them."""

from __future__ import annotations

from typing import Any

from tests.support.sweeps.journals import EPOCH, METRIC, sweep_event

SEARCH = {
    "method": "tpe",
    "metric": METRIC,
    "subset_metric": METRIC.replace("val/", "val_subset/"),
    "direction": "minimise",
    "arms": [{"arm": "kuramoto", "search": "abc", "fields": ["architecture.coupling"]}],
    "rungs": [{"steps": 10, "seeds": 1}, {"steps": 40, "seeds": 1}, {"steps": 40, "seeds": 2}],
    "eta": 2,
    "seeds": [0, 1],
    "confirm_seeds": [2, 3, 4],
    "replicates": 4,
    "configurations": None,
}


def event(name: str, number: int, /, **fields: Any) -> dict[str, Any]:
    """Return an event, so many seconds after the epoch."""
    return {"time": EPOCH + number, "sweep_id": "20261122-a", "event": name, **fields}


def born(number: int, config_id: str) -> dict[str, Any]:
    """Return the event of a proposal."""
    return event(
        "proposed",
        1 + number,
        search="abc",
        arm="kuramoto",
        number=number,
        config_id=config_id,
        by="sobol",
        point={"architecture.coupling": float(number)},
        parameters={"architecture.coupling": float(number)},
        num_parameters=100,
        predicted_memory_mib=400.0,
        data_hash="d",
    )


def trained(config_id: str, seed: int, at: int, scores: dict[int, float], status: str) -> list[dict[str, Any]]:
    key = {"config_id": config_id, "seed": seed}
    events = [event("started", at, **key, step=0, numerics={}, host="h", pid=1)]
    for step, score in scores.items():
        metrics = {SEARCH["subset_metric"]: score, **({METRIC: score} if step == 40 else {})}
        events.append(event("report", at + 1, **key, step=step, metrics=metrics))
    return [*events, event(status, at + 2, **key, step=max(scores, default=0), seconds=1.0, cpu_seconds=1.0)]


def several_objectives() -> list[dict[str, Any]]:
    """Return a search for what is good and small that is over: 0, 1 and 3 are on the front, 3 won, 4 failed."""
    objectives = [
        {"name": METRIC, "direction": "minimise"},
        {"name": "num_parameters", "direction": "minimise"},
    ]
    arms = [{"arm": "kuramoto", "search": "abc", "fields": ["architecture.coupling", "architecture.dt"]}]
    changed = {"arms": arms, "method": "nsga2", "rungs": [{"steps": 40, "seeds": 1}], "objectives": objectives}
    events = [{**search_events()[0], "search": {**SEARCH, **changed, "seeds": [0]}}]
    scores = ((100, 2.0), (200, 1.8), (250, 1.9), (400, 1.5), (50, None))
    for number, (size, score) in enumerate(scores):
        point = {"architecture.coupling": float(number), "architecture.dt": 0.1 * number}
        events.append({**born(number, f"{number:012d}"), "point": point, "num_parameters": size})
        scored, status = ({}, "diverged") if score is None else ({10: 9.0, 40: score}, "finished")
        events += trained(f"{number:012d}", 0, 10 + number, scored, status)
    won = {"config_id": f"{3:012d}", "loss": 1.5, "seeds": 1, "reason": "the budget is spent"}
    return [*events, event("selected", 60, search="abc", **won, runners_up=[f"{1:012d}", f"{0:012d}"])]


def search_events() -> list[dict[str, Any]]:
    """Return a journal with a search that is over: one candidate won, one stopped, one failed."""
    described = sweep_event({"baseline": 2.5, "kuramoto": 2.5}, seeds=[2, 3, 4], search=SEARCH)
    described["arms"][1]["seeds"] = []
    events = [described, born(0, "a" * 12), born(1, "b" * 12), born(2, "c" * 12)]
    events += trained("a" * 12, 0, 10, {10: 2.0}, "pruned")
    events += trained("b" * 12, 0, 20, {10: 1.9, 40: 1.5}, "finished")
    events += trained("c" * 12, 0, 30, {}, "diverged")
    events += [
        event("promoted", 25, search="abc", config_id="b" * 12, rung=rung, loss=1.9, rank=1, of=2) for rung in (1,)
    ]
    events += [event("promoted", 40, search="abc", config_id="b" * 12, rung=2, loss=1.5, rank=1, of=1)]
    events += trained("b" * 12, 1, 50, {10: 1.8, 40: 1.7}, "finished")
    events += [
        event("selected", 60, search="abc", config_id="b" * 12, loss=1.6, seeds=2, reason="the budget is spent")
    ]
    for seed, score in ((2, 2.0), (3, 2.1), (4, 2.2)):
        events += trained("b" * 12, seed, 70, {40: score}, "finished")
    return events


def path_events() -> list[dict[str, Any]]:
    """Return `search_events` with a path of two steps to its winner: coupling, tried beside dt, and then dt."""
    arms = [{"arm": "kuramoto", "search": "abc", "fields": ["architecture.coupling", "architecture.dt"]}]
    described, *events = search_events()
    events = [{**described, "search": {**SEARCH, "arms": arms, "path": "kuramoto"}}, *events]
    events += [
        waypoint(0, "", "d" * 12, {}),
        waypoint(1, "architecture.coupling", "e" * 12, {"architecture.coupling": 1.0}, [0, 1]),
        waypoint(1, "architecture.dt", "f" * 12, {"architecture.dt": 0.5}, [0, 1]),
    ]
    for config_id, score in (("e" * 12, 1.7), ("f" * 12, 1.9)):
        for seed in (0, 1):
            events += trained(config_id, seed, 110 + seed, {10: 2.0, 40: score}, "finished")
    both = {"architecture.coupling": 1.0, "architecture.dt": 0.5}
    events += [
        event("flipped", 130, search="abc", step=1, field="architecture.coupling", config_id="e" * 12, loss=1.7),
        waypoint(2, "architecture.dt", "b" * 12, both),
        event("flipped", 132, search="abc", step=2, field="architecture.dt", config_id="b" * 12, loss=None),
    ]
    for config_id, best in (("d" * 12, 2.6), ("e" * 12, 2.2)):
        for seed in (2, 3, 4):
            events += trained(
                config_id, seed, 140 + seed, {40: best + 0.1 * (seed - 2) + 0.01 * seed**2}, "finished"
            )
    return events


def waypoint(
    step: int, field: str, config_id: str, point: dict[str, Any], seeds: list[int] | None = None
) -> dict[str, Any]:
    """Return the event of a configuration that may be next on a path."""
    names = [name.rpartition(".")[2] for name in point] or ["nothing"]
    return event(
        "stepped",
        100 + step + 20 * (step > 1),
        search="abc",
        arm="+".join(["kuramoto", *names]),
        step=step,
        field=field,
        config_id=config_id,
        point=point,
        seeds=seeds or [],
        parameters=point,
        num_parameters=100,
        predicted_memory_mib=400.0,
        data_hash="d",
    )
