"""Every proposer meets the contract of proposers, and each rule of the contract can fail."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from analysis.records.replicates import MAX_CRASHES, Key, Replicate
from analysis.records.searching import SearchInfo
from sweeps.plan.units import PlannedReplicate
from sweeps.search.contract import ProposerCase, ProposerContractError, check_proposer, ended
from sweeps.search.fixed import FixedProposer
from sweeps.search.proposer import Proposer, Report, Withheld
from sweeps.search.searching import SearchProposer
from tests.support.sweeps.journals import METRIC
from tests.support.sweeps.searches import loss
from tests.support.sweeps.shared_search import INFO, NSGA2, FakePlan, Journal

BACKBONE: Key = ("backbone", 7)


def planned(config_id: str, seed: int, *needed: Key) -> PlannedReplicate:
    arm = SimpleNamespace(config_id=config_id, depends_on=lambda seed: list(needed))
    return PlannedReplicate(arm, seed)  # type: ignore[arg-type]


FLAT = [planned(arm, seed) for seed in range(3) for arm in ("baseline", "treatment", "control")]
SHARED = [planned(*BACKBONE), *(planned(arm, s, BACKBONE) for s in range(3) for arm in ("baseline", "probe"))]
CHAIN = [
    planned("third", 0, ("second", 0)),
    planned("second", 0, ("first", 0)),
    planned("first", 0),
    planned("x", 0),
]
LISTS = {"empty": [], "flat": FLAT, "shared backbone": SHARED, "chain": CHAIN}


def case_of(
    replicates: list[PlannedReplicate], kind: Callable[[list[PlannedReplicate]], Proposer] = FixedProposer
) -> ProposerCase:
    keys = {replicate.key for replicate in replicates}
    return ProposerCase(lambda: kind(replicates), keys, never_stops=True)


@pytest.mark.parametrize("replicates", LISTS.values(), ids=LISTS)
def test_the_fixed_proposer_keeps_the_contract(replicates: list[PlannedReplicate]) -> None:
    check_proposer(case_of(replicates))


class Journalled(SearchProposer):
    """A search of which every end is written to a journal first, as a recorder does."""

    def __init__(self, info: SearchInfo) -> None:
        self.journal = Journal()
        super().__init__(FakePlan(info), lambda: self.journal.state, max_open=4)  # type: ignore[arg-type]
        self.write_to(self.journal)
        self.asked: set[Key] = set()

    def ask(self) -> PlannedReplicate | None:
        if (one := super().ask()) is not None:
            self.asked.add(one.key)
        return one

    def tell(self, result: Replicate) -> None:
        if result.key not in self.asked:
            super().tell(result)
        # A search that stops nothing is never told that it has.
        status = "diverged" if result.status == "pruned" else str(result.status)
        key = {"config_id": result.config_id, "seed": result.seed}
        self.journal.write("started", **key, step=0)
        if status == "finished":
            score = loss(*result.key, 40)
            self.journal.write("report", **key, step=40, metrics={METRIC: score, INFO.subset_metric: score})
        for _ in range(MAX_CRASHES if status == "crashed" else 1):
            self.journal.write(status, **key, step=40)
        super().tell(self.journal.state.replicates[result.key])


def test_a_search_with_several_objectives_keeps_the_contract() -> None:
    check_proposer(ProposerCase(lambda: Journalled(NSGA2), never_stops=True))


class Twice(FixedProposer):
    """Proposes the first one again after the last."""

    def ask(self) -> PlannedReplicate | None:
        one = super().ask()
        if one is None and not hasattr(self, "has_repeated"):
            self.has_repeated = True
            return self._replicates[0]
        return one


class Forgetful(FixedProposer):
    """Leaves one out."""

    def ask(self) -> PlannedReplicate | None:
        one = super().ask()
        if one is not None and one.key == self._replicates[-1].key:
            return super().ask()
        return one


class Inventive(FixedProposer):
    """Proposes what nobody has planned."""

    def __init__(self, replicates: list[PlannedReplicate]) -> None:
        super().__init__([*replicates, planned("invented", 0)])


class Impatient(FixedProposer):
    """Proposes what waits for a prerequisite at once."""

    def __init__(self, replicates: list[PlannedReplicate]) -> None:
        super().__init__(replicates, [])
        self._ready = list(range(len(replicates)))
        self._unmet.clear()
        self._dependents.clear()


class Credulous(FixedProposer):
    """Takes an end of whatever it is told about."""

    def tell(self, result: Replicate) -> None:
        if result.key in self._proposed:
            super().tell(result)


class Stubborn(FixedProposer):
    """Believes the first end it is told."""

    def __init__(self, replicates: list[PlannedReplicate]) -> None:
        super().__init__(replicates)
        self.told: set[Key] = set()

    def tell(self, result: Replicate) -> None:
        if result.key not in self.told:
            super().tell(result)
        self.told.add(result.key)


class Moody(FixedProposer):
    """Proposes another order each time."""

    made = 0

    def __init__(self, replicates: list[PlannedReplicate]) -> None:
        Moody.made += 1
        super().__init__(replicates if Moody.made % 2 else replicates[::-1])


class Silent(FixedProposer):
    """Does not say why it withholds something."""

    @property
    def withheld(self) -> Withheld:
        return Withheld(super().withheld.num_waiting)


class Hopeful(FixedProposer):
    """Waits for what has failed."""

    @property
    def withheld(self) -> Withheld:
        return Withheld(len(self._unmet), super().withheld.blocked)


class Stopping(FixedProposer):
    """Stops what should run to its end."""

    def should_stop(self, report: Report) -> bool:
        return report.metrics["train/loss"] > 1e6


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Twice, "more than once"),
        (Forgetful, "never proposed"),
        (Inventive, "not planned"),
        (Impatient, "before .* had finished"),
        (Credulous, "never proposed"),
        (Stubborn, "although all finished at last"),
        (Moody, "proposed other replicates"),
        (Silent, "nothing says why"),
        (Hopeful, "wait for ever"),
        (Stopping, "never to do so"),
    ],
)
def test_a_broken_proposer_breaks_the_contract(kind: type[FixedProposer], said: str) -> None:
    with pytest.raises(ProposerContractError, match=said):
        check_proposer(case_of(SHARED, kind))


def test_a_proposer_without_an_end_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(FixedProposer):
        seed = 0

        def ask(self) -> PlannedReplicate | None:
            self.seed += 1
            return planned("any", self.seed)

    monkeypatch.setattr("sweeps.search.contract.MAX_ASKS", 50)
    with pytest.raises(ProposerContractError, match="without waiting for an end"):
        check_proposer(ProposerCase(lambda: Endless([])))


def test_what_has_become_ready_goes_where_the_list_has_it() -> None:
    plain = [planned("plain", seed) for seed in range(2)]
    probes = [planned("probe", seed, BACKBONE) for seed in range(2)]
    proposer = FixedProposer([planned(*BACKBONE), probes[0], plain[0], probes[1], plain[1]])
    order = [proposer.ask(), proposer.ask()]
    assert [one and one.key for one in order] == [BACKBONE, plain[0].key]
    proposer.tell(ended(BACKBONE))
    assert list(iter(proposer.ask, None)) == [probes[0], probes[1], plain[1]]


def test_what_lies_outside_the_list_is_there_or_blocks() -> None:
    """Another study's result in the same folder: `resume_from: id:...`."""
    needing = [planned("needs", 0, ("elsewhere", 0))]
    assert FixedProposer(needing, [("elsewhere", 0)]).ask() is needing[0]
    proposer = FixedProposer(needing)
    assert proposer.ask() is None
    assert proposer.withheld == Withheld(
        0, ("elsewhere seed 0, which others start with, is not among what runs here",)
    )
