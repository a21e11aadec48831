"""The search of one arm: what to propose, who climbs, which one wins. Knows neither Ray, files nor the clock.

It is told facts (a proposal, a climb, how a replicate has scored) and asked for the next decision, which becomes a
fact once it is written down. The decision depends on the facts alone, so a search that was killed goes on as if it
had not been.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from analysis.records.replicates import Key
from analysis.records.searching import MAX_FINALISTS, Rung
from analysis.statistics.pareto import front
from search_spaces.space import InvalidPointError, SearchSpace
from sweeps.plan.search.rungs import cost
from sweeps.search.ladder import Ladder, Promotion
from sweeps.search.samplers import ENDS, Point, Sampler, Tried, all_points, stream

MAX_TRIES = 20
"""Draws in place of a point that was proposed before, until every point of a small space is looked at."""
MAX_POINTS_TO_LOOK_AT = 10_000


@dataclass(frozen=True)
class Proposal:
    """A configuration to try, and where it comes from."""

    number: int
    """Counts from 0 within the arm."""
    config_id: str
    point: Point
    by: str
    """What proposed it."""
    rung: int = 0
    """Where it begins."""


@dataclass(frozen=True)
class Selected:
    """The end of a search."""

    config_id: str | None
    """The winner; None if everything failed."""
    loss: float | None
    """Its mean over the search's seeds, lower is better: a number that was selected, no result."""
    seeds: int
    """Number of seeds behind it."""
    reason: str
    """Why the search has ended."""
    runners_up: tuple[str, ...] = ()
    """The next best, the better first; more than are compared on fresh seeds, so that more of them can be later."""


Decision = Proposal | Promotion | Selected


@dataclass(frozen=True)
class Unit:
    """What one trial does for a search: a configuration trains with one seed until it has done so many steps."""

    config_id: str
    seed: int
    steps: int

    @property
    def key(self) -> Key:
        """Its replicate."""
        return (self.config_id, self.seed)


@dataclass
class Trace:
    """The scores of a configuration with one seed so far."""

    losses: dict[int, float] = field(default_factory=dict)
    """Steps → score, lower is better."""
    objectives: tuple[float, ...] = ()
    """Of a search with several: all of them at the last step, lower is better; empty before."""
    failed: bool = False
    """Whether it has ended without a score at the steps that are missing."""


@dataclass(frozen=True)
class ArmSearch:
    """What is fixed of the search of one arm."""

    space: SearchSpace
    sampler: Sampler
    seed: int
    """Of the draws in place of points that were proposed before."""
    rungs: tuple[Rung, ...]
    eta: float
    seeds: tuple[int, ...]
    replicates: float
    """Budget, in replicates trained to the last step."""
    configurations: int | None
    """Most proposals; None: as many as the budget allows."""
    first_points: tuple[Point, ...]
    """Proposed before the sampler is asked."""
    identify: Callable[[Point], str]
    """Returns the config_id of a point, equal for points that compute the same; may raise InvalidPointError."""
    starts: tuple[int, ...] = (0,)
    """The rungs at which proposals begin, in turn."""
    population: int = 0
    """Members of a population that trains in step; 0: candidates climb by themselves."""
    told: tuple[Tried, ...] = ()
    """What earlier searches found: told to the sampler, and no candidates of this one."""


class Chooser:
    """Decides in the search of one arm.

    Args:
        search: What is fixed.
    """

    def __init__(self, search: ArmSearch) -> None:
        self._search = search
        self._ladder = Ladder(len(search.rungs), search.eta)
        self.proposals: dict[str, Proposal] = {}
        """By config_id, in the order of their numbers."""
        self._traces: dict[tuple[str, int], Trace] = {}
        self._open: dict[Unit, None] = {}
        """Units that have no score yet, in the order in which they were decided."""
        self._spent = 0.0
        self._tried: list[Tried] = []
        self._places: dict[str, int] = {}
        self._next: Proposal | None = None
        """The next proposal, as long as nothing new is known."""
        self._has_looked = False
        self._is_exhausted = False
        self._wanted: list[Point] = []
        self.selected: Selected | None = None

    @property
    def ladder(self) -> Ladder:
        """The scores at every rung."""
        return self._ladder

    @property
    def spent(self) -> float:
        """Replicates that have been decided, as if each were trained to the last step."""
        return self._spent

    @property
    def is_over(self) -> bool:
        """Whether the winner is selected."""
        return self.selected is not None

    def open_units(self) -> list[Unit]:
        """Return what is decided and has no score yet, in the order of the decisions."""
        return list(self._open)

    def apply(self, decision: Decision) -> list[Unit]:
        """Make a decision a fact; return what is to run because of it."""
        self._next, self._has_looked = None, False
        match decision:
            case Selected():
                self.selected = decision
                return []
            case Proposal():
                self.proposals[decision.config_id] = decision
                self._places[decision.config_id] = len(self._tried)
                self._tried.append(Tried(decision.point, None))
                self._spent += self._cost_of_birth(decision.rung)
                return self._enter(decision.config_id, decision.rung)
            case Promotion():
                self._spent += self._cost(decision.rung)
                return self._enter(decision.config_id, decision.rung)

    def _enter(self, config_id: str, rung: int) -> list[Unit]:
        self._ladder.enter(config_id, rung)
        at = self._search.rungs[rung]
        units = [Unit(config_id, seed, at.steps) for seed in self._search.seeds[: at.seeds]]
        self._open |= dict.fromkeys(units)
        self._look_at(config_id)
        return [unit for unit in units if unit in self._open]

    def tell(self, config_id: str, seed: int, trace: Trace) -> None:
        """Learn all scores of a configuration with one seed; what the search did not ask for is ignored."""
        if config_id in self.proposals:
            self._traces[config_id, seed] = trace
            self._look_at(config_id)

    def _look_at(self, config_id: str) -> None:
        """Score a configuration at every rung where all seeds are known."""
        for index in range(self._ladder.rung_of(config_id) + 1):
            rung = self._search.rungs[index]
            losses, is_complete = [], True
            for seed in self._search.seeds[: rung.seeds]:
                trace = self._traces.get((config_id, seed), Trace())
                loss = trace.losses.get(rung.steps)
                if loss is None and not trace.failed:
                    is_complete = False
                    continue
                self._open.pop(Unit(config_id, seed, rung.steps), None)
                losses.append(loss)
            if is_complete and self._ladder.loss(config_id, index) is None:
                known = [loss for loss in losses if loss is not None]
                mean = math.fsum(known) / len(known) if len(known) == len(losses) else None
                self._ladder.score(config_id, index, mean)
        if any(
            self._traces[key].failed for seed in self._search.seeds if (key := (config_id, seed)) in self._traces
        ):
            self._ladder.fail(config_id)
        place, loss = self._places[config_id], self._ladder.deepest(config_id)
        objectives = () if loss is None or math.isinf(loss) else self._objectives(config_id)
        self._tried[place] = Tried(self._tried[place].point, loss, objectives)
        self._next, self._has_looked = None, False

    def _objectives(self, config_id: str) -> tuple[float, ...]:
        """Return the means of several objectives over the seeds; empty for a search with one."""
        seeds = self._search.seeds[: self._search.rungs[-1].seeds]
        each = [self._traces.get((config_id, seed), Trace()).objectives for seed in seeds]
        return tuple(math.fsum(values) / len(values) for values in zip(*each, strict=True))

    def _leaders(self) -> list[tuple[str, int, float]]:
        """Return the winner and its runners-up: of several objectives the Pareto front, the best in the first."""
        scored = [(one, self._tried[self._places[one]]) for one in self.proposals]
        known = [(tried.objectives, config_id) for config_id, tried in scored if tried.objectives]
        if not known:
            return self._ladder.leaders(MAX_FINALISTS)
        best = sorted(known[place] for place in front([objectives for objectives, _ in known]))
        last = len(self._search.rungs) - 1
        return [(config_id, last, objectives[0]) for objectives, config_id in best[:MAX_FINALISTS]]

    def want(self, points: list[Point]) -> None:
        """Propose these points before the sampler's, unless they were proposed before."""
        if points != self._wanted:
            self._wanted, self._next, self._has_looked = points, None, False

    def next(self) -> Decision | None:
        """Return the next decision; None if results must come first, or all is decided."""
        if self.selected is not None:
            return None
        climbs = self._ladder.promotions()
        for climb in climbs:
            if self._can_pay(climb.rung):
                return climb
        # What could climb but is too dear ends the search: more configurations could climb no higher.
        if not climbs and (proposal := self._proposal()) is not None:
            return proposal
        if self._open:
            return None
        leader = self._ladder.climb_on()
        if leader is not None and self._can_pay(leader.rung):
            return leader
        return self._select(self._why_over(is_too_dear=bool(climbs) or leader is not None))

    def _why_over(self, *, is_too_dear: bool) -> str:
        if is_too_dear or not self._can_begin():
            return "the budget is spent"
        if self._is_exhausted:
            return "every configuration was tried"
        return "the configurations are as many as were asked for"

    def _select(self, reason: str) -> Selected:
        leaders = self._leaders()
        if not leaders:
            return Selected(None, None, 0, reason)
        (config_id, rung, loss), *others = leaders
        runners_up = tuple(name for name, _, _ in others)
        return Selected(config_id, loss, self._search.rungs[rung].seeds, reason, runners_up)

    def _cost(self, rung: int) -> float:
        """Return what it costs to get from the rung below to this one, in whole replicates."""
        return self._cost_of_begin(rung) - self._cost_of_begin(rung - 1)

    def _cost_of_begin(self, rung: int) -> float:
        """Return what it costs to get to a rung from nothing, in whole replicates."""
        return cost(self._search.rungs[rung], self._search.rungs[-1].steps)

    def _cost_of_birth(self, rung: int) -> float:
        """Return what a proposal costs that begins at a rung, in whole replicates."""
        return self._cost_of_begin(rung)

    def _can_pay(self, rung: int) -> bool:
        return self._spent + self._cost(rung) <= self._search.replicates + 1e-9

    @property
    def _next_start(self) -> int:
        return self._search.starts[len(self.proposals) % len(self._search.starts)]

    def _can_begin(self) -> bool:
        return self._spent + self._cost_of_begin(self._next_start) <= self._search.replicates + 1e-9

    def _proposal(self) -> Proposal | None:
        """Return the next proposal; None if there are no more."""
        most = self._search.configurations
        if not self._can_begin() or (most is not None and len(self.proposals) >= most):
            return None
        if not self._has_looked:
            self._next = self._propose(len(self.proposals))
            self._has_looked, self._is_exhausted = True, self._next is None
        return self._next

    def _propose(self, number: int) -> Proposal | None:
        firsts = self._search.first_points
        if number < len(firsts):
            chosen = self._new(number, firsts[number], "the study")
            if chosen is not None:
                return chosen
        wanted = (self._new(number, point, "enqueue") for point in self._wanted)
        if (chosen := next(filter(None, wanted), None)) is not None:
            return chosen
        if self._search.sampler.name in ENDS:
            return self._of_a_list(number)
        point = self._search.sampler.propose(number, [*self._search.told, *self._tried])
        return self._new(number, point, self._name_of(number)) or self._in_place(number)

    def _name_of(self, number: int) -> str:
        is_sobol = getattr(self._search.sampler, "is_sobol", None)
        return "sobol" if is_sobol is not None and is_sobol(number) else self._search.sampler.name

    def _of_a_list(self, number: int) -> Proposal | None:
        """Return the first point of a list that is new."""
        place = 0
        while (point := self._search.sampler.propose(place, ())) is not None:
            if (found := self._new(number, point, self._search.sampler.name)) is not None:
                return found
            place += 1
        return None

    def _in_place(self, number: int) -> Proposal | None:
        """Return a point in place of one that was proposed before, or that is forbidden."""
        draw = random.Random(stream(self._search.seed, "in place", number))
        for _ in range(MAX_TRIES):
            found = self._new(number, self._search.space.sample(draw), "random, in place of another")
            if found is not None:
                return found
        count = self._search.space.num_points
        if count is None or count > MAX_POINTS_TO_LOOK_AT:
            return None
        news = (self._new(number, point, "the rest") for point in all_points(self._search.space))
        return next(filter(None, news), None)

    def _new(self, number: int, point: Point | None, by: str) -> Proposal | None:
        """Return a proposal unless its point is forbidden, invalid or equal to one before."""
        if point is None:
            return None
        try:
            config_id = self._search.identify(point)
        except InvalidPointError:
            return None
        if config_id in self.proposals:
            return None
        return Proposal(number, config_id, point, by, self._next_start)
