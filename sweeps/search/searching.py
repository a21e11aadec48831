"""The proposer of searches: it follows the journal, and writes each decision there before it acts on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from analysis.records.candidates import Ablated, Look
from analysis.records.journal import JournalState
from analysis.records.path import Flip, Waypoint
from analysis.records.replicates import Key, Replicate
from analysis.records.searching import SearchedArm, SearchInfo
from analysis.results.arms import summarise
from analysis.results.comparison import WORDS_OF_A_TEST
from analysis.results.searches import has_failed, objective_losses, objective_values, rung_scores
from search_spaces.dimensions import freeze
from sweeps.plan.plan import Plan
from sweeps.plan.search.candidates import SearchPlan
from sweeps.plan.search.confirmation import Confirmation
from sweeps.plan.search.corners import in_words
from sweeps.plan.units import PlannedReplicate
from sweeps.search.chooser import ArmSearch, Decision, Proposal, Selected, Trace, Unit
from sweeps.search.fixed import FixedProposer
from sweeps.search.ladder import Promotion
from sweeps.search.methods import make_sampler
from sweeps.search.population import chooser_of
from sweeps.search.proposer import DecisionLog, Report, UnknownReplicateError, Withheld
from sweeps.search.samplers import Point, Tried, stream
from sweeps.search.winner.ablation import NoAblationError, WinnerAblation
from sweeps.search.winner.path import WinnerPath

CHOSEN = {"proposed", "promoted", "selected"}
"""Events that are decisions of a `Chooser`."""
Written = Ablated | Look | Waypoint | Flip
"""What is decided of a winner."""
EVENTS: dict[type, str] = {
    Ablated: "ablated",
    Flip: "flipped",
    Look: "looked",
    Promotion: "promoted",
    Selected: "selected",
    Waypoint: "stepped",
}


class SearchProposer:
    """Proposes the replicates of a search, and of the arms that are not searched while the search has none.

    Its state is the journal's: decisions are taken by a `Chooser` for each searched arm, written down, and carried
    out when they have been read back, whoever wrote them. So a killed driver's search goes on as if it had not been
    killed, and several drivers share one search.

    Args:
        plan: The plan of a study with a search.
        state: Returns the journal's state, as far as it has been read.
        max_open: Most replicates that are decided and have no score: the search learns from those first.
        enqueued: Returns arms and points that somebody wants to be proposed next.
    """

    def __init__(
        self,
        plan: Plan,
        state: Callable[[], JournalState],
        max_open: int,
        enqueued: Callable[[], Sequence[tuple[str, Point]]] = tuple,
    ) -> None:
        assert plan.search is not None
        self._enqueued = enqueued
        self._plan, self._search, self._state, self._max_open = plan, plan.search, state, max_open
        self._log: DecisionLog | None = None
        self._fixed = FixedProposer.of(plan, state())
        self._of_fixed = set(plan.keys)
        self._confirmation = Confirmation.of(plan.search.info, plan.arms, plan.search.ablation)
        self._followed: object = None
        """The state whose events have been followed; another one begins anew."""
        self._follow()

    def write_to(self, log: DecisionLog) -> None:
        """Use a log for all decisions; without one, none is taken."""
        self._log = log

    def _follow(self) -> None:
        """Apply the decisions that the journal has and this proposer has not seen."""
        state = self._state()
        if state is not self._followed:
            self._followed, self._seen = state, 0
            self._choosers = {
                one.search: chooser_of(arm_search(self._search, one)) for one in self._search.info.arms
            }
            self._arm_of = {one.search: one.arm for one in self._search.info.arms}
            self._search_of: dict[str, str] = {}
            self._targets: dict[Key, int] = {}
            self._to_hand: deque[Unit] = deque()
            self._to_confirm: deque[Key] = deque()
            self._confirming: set[Key] = set()
            self._ablation = WinnerAblation(self._search, self._confirmation.around)
            self._path = WinnerPath(self._search)
            self._walking: set[Unit] = set()
        events = state.searches.events
        for event in events[self._seen :]:
            if event["event"] in CHOSEN and event["search"] in self._choosers:
                self._apply(event["search"], event, state)
        self._seen = len(events)
        if state.searches.arms_without(self._search.ablation, self._search.info):
            self._ablation.arms(state)  # planned anew, where another driver has made them
        self._walk(state)
        for key in self._confirmation.keys(state):
            if key not in self._confirming and key not in self._of_fixed:
                self._to_confirm.append(key)
                self._confirming.add(key)

    def _walk(self, state: JournalState) -> None:
        """Hand out what is tried on the path and has not been; a candidate that was stopped trains on."""
        for unit in self._path.plan(state):
            if unit in self._walking:
                continue
            self._walking.add(unit)
            key = (unit.config_id, unit.seed)
            self._targets[key] = unit.steps
            self._confirming.add(key)
            replicate = state.replicates.get(key)
            if replicate is None or replicate.is_pending or replicate.status == "pruned":
                self._to_hand.append(unit)

    def _apply(self, search: str, event: dict[str, Any], state: JournalState) -> None:
        chooser = self._choosers[search]
        decision = read_decision(event)
        if isinstance(decision, Proposal):
            self._search.bear(self._arm_of[search], decision.number, decision.point)
            self._search_of[decision.config_id] = search
        units = chooser.apply(decision)
        for unit in units:
            self._targets[unit.key] = unit.steps
            if (replicate := state.replicates.get(unit.key)) is not None:
                chooser.tell(unit.config_id, unit.seed, self._trace_of(replicate))
        still_open = set(chooser.open_units())
        self._to_hand.extend(unit for unit in units if unit in still_open)

    def ask(self) -> PlannedReplicate | None:
        """Return the next replicate to run; None if there is none now."""
        self._follow()
        while not self._to_hand and not self._to_confirm and self._decide():
            pass
        if self._to_hand:
            return self._hand(self._to_hand.popleft())
        if self._to_confirm:
            config_id, seed = self._to_confirm.popleft()
            return PlannedReplicate(self._plan.unit(config_id), seed)
        return self._fixed.ask()

    def _hand(self, unit: Unit) -> PlannedReplicate:
        replicate = self._state().replicates.get(unit.key)
        was_pruned = replicate is not None and replicate.status == "pruned"
        continues = f"promoted: it trains on to step {unit.steps}" if was_pruned else ""
        return PlannedReplicate(self._plan.unit(unit.config_id), unit.seed, continues)

    def _decide(self) -> bool:
        """Take one decision and write it down; return whether there was one."""
        wanted = self._enqueued()
        for search, chooser in self._choosers.items():
            chooser.want([point for arm, point in wanted if arm == self._arm_of[search]])
        if self._log is None or not self._can_decide:
            return False
        with self._log.deciding() as may_decide:
            if not may_decide:
                return False
            self._follow()
            if (found := self._next()) is None:
                return False
            search, decision = found
            self._log.write(**self._event(search, decision))
        self._follow()
        return True

    @property
    def _num_open(self) -> int:
        return sum(len(chooser.open_units()) for chooser in self._choosers.values())

    @property
    def _can_decide(self) -> bool:
        return self._num_open < self._max_open and self._next() is not None

    def _next(self) -> tuple[str, Decision | Written] | None:
        """Return the next decision, of the arm that has spent least; then of the path, and the next look."""
        for search, chooser in sorted(self._choosers.items(), key=lambda item: item[1].spent):
            if (decision := chooser.next()) is not None:
                return search, decision
        if (step := self._path.next(self._state())) is not None:
            return self._path.search, step
        if unborn := self._confirmation.unborn(self._state()):
            return (
                None
                if self._why_not_ablated
                else (self._confirmation.around, self._ablation.arms(self._state())[unborn[0]])
            )
        if self._confirmation.standing(self._state()) == "ready":
            return self._search.info.confirmation, look_at(self._state(), self._search.info)
        return None

    @property
    def _why_not_ablated(self) -> str:
        """Why the winner cannot be ablated as the study says; empty if it can, or is not selected yet."""
        if not self._confirmation.unborn(self._state()):
            return ""
        try:
            self._ablation.arms(self._state())
        except NoAblationError as error:
            return str(error)
        return ""

    def _event(self, search: str, decision: Decision | Written) -> dict[str, Any]:
        """Return what is written of a decision."""
        if isinstance(decision, Proposal):
            return {"event": "proposed", "search": search, **self._born(search, decision)}
        return {"event": EVENTS[type(decision)], "search": search, **vars(decision)}

    def _born(self, search: str, proposal: Proposal) -> dict[str, Any]:
        planned = self._search.bear(self._arm_of[search], proposal.number, proposal.point)
        return {
            "arm": self._arm_of[search],
            **vars(proposal),
            "parameters": planned.arm.changes,
            "num_parameters": planned.num_parameters,
            "predicted_memory_mib": round(planned.need_mib, 1),
            "data_hash": planned.data_hash,
        }

    def tell(self, result: Replicate) -> None:
        """Learn how a proposed replicate has ended.

        Raises:
            UnknownReplicateError: If it was never proposed.
        """
        key, search = result.key, self._search_of.get(result.config_id)
        if key in self._of_fixed:
            self._fixed.tell(result)
        elif key in self._targets and search is not None:
            self._choosers[search].tell(*key, self._trace_of(result))
        elif key not in self._confirming:
            raise UnknownReplicateError(f"{key[0]} seed {key[1]} was never proposed")

    def _trace_of(self, replicate: Replicate) -> Trace:
        num_parameters = self._plan.unit(replicate.config_id).num_parameters
        return trace_of(replicate, self._search.info, num_parameters)

    def should_stop(self, report: Report) -> bool:
        """Return whether a replicate has come to the rung that it trains to."""
        steps = self._targets.get(report.key)
        return steps is not None and report.step >= steps

    @property
    def withheld(self) -> Withheld:
        """Whether the search goes on, and which arms have no winner as all their configurations failed."""
        fixed = self._fixed.withheld
        left = sum(not chooser.is_over for chooser in self._choosers.values())
        left += len(self._to_hand) + len(self._to_confirm)
        left += self._confirmation.standing(self._state()) in {"waiting", "ready"}
        lost = [
            f"all {len(chooser.proposals)} configurations of arm '{self._arm_of[search]}' failed, as "
            f"{in_words(next(iter(chooser.proposals.values())).point)} did; there is no winner to confirm"
            for search, chooser in self._choosers.items()
            if chooser.selected is not None and chooser.selected.config_id is None
        ]
        if why := self._path.dead_end(self._state()):
            lost.append(why)
        left += self._path.is_open(self._state())
        if why := self._why_not_ablated:
            lost.append(why)
        else:
            left += len(self._confirmation.unborn(self._state()))
        return Withheld(fixed.num_waiting + left, (*fixed.blocked, *lost), self._can_decide)


def look_at(state: JournalState, info: SearchInfo) -> Look:
    """Return the look at winners whose fresh seeds so far have all been scored.

    It is settled if every searched arm can be told from the baseline or, where only that was searched, every arm.
    Other finalists do not count.
    """
    assert state.sweep is not None
    searched = {one.arm for one in info.arms if one.search in state.searches.winners}
    others = [row for row in summarise(state).rows if row.role != "baseline"]
    rows = [row for row in others if row.arm in searched] or others
    return Look(
        seeds=len(state.searches.fresh_seeds(info)),
        is_settled=all(row.reading in WORDS_OF_A_TEST for row in rows),
        p={row.arm: row.p_adjusted for row in rows},
    )


def read_decision(event: dict[str, Any]) -> Decision:
    """Return the decision that an event of a journal records."""
    match event["event"]:
        case "proposed":
            point = {name: freeze(value) for name, value in event["point"].items()}
            return Proposal(event["number"], event["config_id"], point, event["by"], event.get("rung", 0))
        case "promoted":
            return Promotion(event["config_id"], event["rung"], event["loss"], event["rank"], event["of"])
    runners_up = tuple(event.get("runners_up", ()))
    return Selected(event["config_id"], event["loss"], event["seeds"], event["reason"], runners_up)


def trace_of(replicate: Replicate, info: SearchInfo, num_parameters: int) -> Trace:
    """Return the scores of a replicate at the rungs, lower being better."""
    sign = -1.0 if info.direction == "maximise" else 1.0
    losses = {steps: sign * score for steps, score in rung_scores(replicate, info).items()}
    objectives = objective_losses(info, objective_values(replicate, info, num_parameters))
    lacks_one = replicate.status == "finished" and len(objectives) < len(info.objectives)
    return Trace(losses, objectives, failed=has_failed(replicate) or lacks_one)


def arm_search(plan: SearchPlan, searched: SearchedArm) -> ArmSearch:
    """Return what is fixed of the search of one arm."""
    one, settings, info = plan.spaces[searched.arm], plan.settings, plan.info
    own: tuple[Point, ...] = () if one.own is None else (one.own,)
    seed = stream(settings.seed, searched.arm)
    told = tuple(Tried(dict(point), loss) for point, loss in plan.told.get(searched.arm, ()))
    return ArmSearch(
        space=one.space,
        sampler=make_sampler(
            info.method,
            one.space,
            seed=seed,
            levels=settings.levels,
            num_told=len(told),
            num_objectives=max(1, len(info.objectives)),
        ),
        seed=seed,
        rungs=info.rungs,
        eta=info.eta,
        seeds=info.seeds,
        replicates=info.replicates,
        configurations=info.configurations,
        first_points=(*own, *one.start_with),
        identify=partial(plan.identify, searched.arm),
        starts=info.starts,
        population=info.population,
        told=told,
    )
