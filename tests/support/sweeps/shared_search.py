"""A search whose drivers share one journal, without Ray and without training."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from analysis.records.ablation import AblationInfo
from analysis.records.journal import JournalState
from analysis.records.searching import NUM_PARAMETERS, Objective, Rung, SearchedArm, SearchInfo
from search_spaces.space import InvalidPointError
from sweeps.plan.units import PlannedReplicate
from sweeps.search.proposer import Report
from sweeps.search.searching import SearchProposer
from sweeps.search.simulation.virtual import name_of
from sweeps.studies.schema.search import SearchSpec
from sweeps.studies.search import ArmSpace
from tests.support.sweeps.journals import METRIC
from tests.support.sweeps.searches import SPACE, loss

INFO = SearchInfo(
    method="sobol",
    metric=METRIC,
    subset_metric=METRIC.replace("val/", "val_subset/"),
    direction="minimise",
    arms=(SearchedArm(arm="a", search="of a", fields=("x",)), SearchedArm(arm="b", search="of b", fields=("x",))),
    rungs=(Rung(steps=10, seeds=1), Rung(steps=20, seeds=1), Rung(steps=40, seeds=1), Rung(steps=40, seeds=2)),
    eta=2,
    seeds=(0, 1),
    confirm_seeds=(2, 3),
    replicates=5,
)


NSGA2 = replace(
    INFO,
    method="nsga2",
    rungs=(Rung(steps=40, seeds=1),),
    seeds=(0,),
    replicates=20,
    objectives=(
        Objective(name=METRIC, direction="minimise"),
        Objective(name=NUM_PARAMETERS, direction="minimise"),
    ),
)
"""A search for what is good and small at once, which trains every candidate whole."""


OWN: dict[str, Any] = {
    "optimizer.learning_rate": 1e-3,
    "architecture.coupling": 0.5,
    "architecture.sign": "attractive",
    "architecture.num_steps": 3,
}
"""The own settings of an arm, from which a path begins; the sign has no effect there."""


class FakePlan:
    """The part of a plan that a search uses: points are their own configurations."""

    def __init__(self, info: SearchInfo = INFO, ablation: AblationInfo | None = None) -> None:
        self.units: dict[str, Any] = {
            name: SimpleNamespace(config_id=name, arm=SimpleNamespace(name=name), depends_on=lambda seed: [])
            for name in ("baseline", "a", "b")
        }
        self.arms = tuple(self.units.values())
        first = info.confirm_seeds[: info.looks[0] if info.looks else None]
        self.replicates = tuple(PlannedReplicate(self.units["baseline"], seed) for seed in first)
        self.keys = tuple(one.key for one in self.replicates)
        self.search = self
        self.info, self.settings = info, SearchSpec()
        self.told: dict[str, Any] = {}
        self.ablation = ablation
        self.spaces = {name: ArmSpace(name, SPACE, None, ()) for name in ("a", "b")}

    def ablate(self, name: str, point: dict[str, Any]) -> Any:
        """Return an arm of the ablation around the winner of `a` at a point; `nothing` changes nothing."""
        if name == "nothing":
            return self.bear("a", 0, point)
        assert self.ablation is not None
        config_id = f"{name} {name_of({**point, **self.ablation.settings[name]})}"
        made = SimpleNamespace(changes=point)
        self.units[config_id] = SimpleNamespace(
            config_id=config_id, arm=made, num_parameters=1, need_mib=1.0, data_hash="d", depends_on=lambda s: []
        )
        return self.units[config_id]

    def own_values(self, arm: str) -> dict[str, Any]:
        """Return the arm's own settings."""
        return OWN

    def on_the_way(self, arm: str, flipped: dict[str, Any]) -> dict[str, Any]:
        """Return the arm's own settings with other values of some fields."""
        point = {**OWN, **flipped}
        if reasons := SPACE.explain(point):
            raise InvalidPointError(reasons[0])
        return SPACE.canonical(point)

    def walk(self, arm: str, name: str, point: dict[str, Any]) -> Any:
        """Return a configuration of the path."""
        return self.bear(arm, 0, point)

    def unit(self, config_id: str) -> Any:
        return self.units[config_id]

    def identify(self, arm: str, point: dict[str, Any]) -> str:
        return f"{arm} {name_of(point)}"

    def bear(self, arm: str, number: int, point: dict[str, Any]) -> Any:
        config_id = self.identify(arm, point)
        made = SimpleNamespace(changes=point)
        self.units[config_id] = SimpleNamespace(
            config_id=config_id,
            arm=made,
            num_parameters=point["architecture.num_steps"],
            need_mib=1.0,
            data_hash="d",
            depends_on=lambda s: [],
        )
        return self.units[config_id]


class Journal:
    """A journal that several drivers share, and one lease for decisions."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.state = JournalState()
        self.is_leased = False
        self._time = itertools.count(1)

    @contextmanager
    def deciding(self) -> Iterator[bool]:
        yield not self.is_leased

    def write(self, event: str, **fields: Any) -> None:
        self.events.append({"time": float(next(self._time)), "sweep_id": "s", "event": event, **fields})
        self.state.apply(self.events[-1])

    def read_again(self) -> None:
        self.state = JournalState()
        for event in self.events:
            self.state.apply(event)

    def decisions(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def proposer(
    journal: Journal, max_open: int = 4, info: SearchInfo = INFO, ablation: AblationInfo | None = None
) -> SearchProposer:
    """Return a driver's proposer, which writes to the journal."""
    made = SearchProposer(FakePlan(info, ablation), lambda: journal.state, max_open)  # type: ignore[arg-type]
    made.write_to(journal)
    return made


Score = Callable[[str, int, int], float]


def train(
    one: PlannedReplicate, journal: Journal, by: SearchProposer, *, fails: bool = False, score_of: Score = loss
) -> None:
    """Train a replicate until its proposer stops it, writing what a recorder writes."""
    key = {"config_id": one.key[0], "seed": one.key[1]}
    before = journal.state.replicates.get(one.key)
    done = before.reports[-1].step if before and before.reports else 0
    if one.continues:
        assert before is not None and before.status == "pruned"
        journal.write("reopened", **key, reason="promoted", anew=False)
    journal.write("started", **key, step=done)
    for step in range(done + 10, 41, 10):
        score = score_of(*one.key, step)
        metrics = {INFO.subset_metric: score} | ({METRIC: score} if step == 40 else {})
        journal.write("report", **key, step=step, metrics=metrics)
        if fails:
            journal.write("diverged", **key, step=step)
            break
        if step == 40 or by.should_stop(Report(one.key, step, metrics)):
            journal.write("finished" if step == 40 else "pruned", **key, step=step)
            break
    by.tell(journal.state.replicates[one.key])


def run(
    journal: Journal,
    drivers: list[SearchProposer],
    shuffle: random.Random,
    stop_after: int = 10_000,
    score_of: Score = loss,
) -> int:
    """Let drivers work in any order until nothing is left; return how many replicates they started."""
    starts = 0
    while starts < stop_after:
        order = shuffle.sample(drivers, len(drivers))
        found = next(((driver, one) for driver in order if (one := driver.ask()) is not None), None)
        if found is None:
            return starts
        driver, one = found
        steps = driver._targets.get(one.key, 40)
        before = journal.state.replicates.get(one.key)
        if (
            before is None
            or before.status is None
            or (before.status == "pruned" and before.reports[-1].step < steps)
        ):
            train(one, journal, driver, score_of=score_of)
            starts += 1
        else:  # another driver was first
            driver.tell(before)
    return starts
