"""The ladder: who climbs to the next rung. A pure function of the scores so far."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Promotion:
    """A configuration that climbs, and why."""

    config_id: str
    rung: int
    """Where it climbs to."""
    loss: float
    """Its score at the rung below; lower is better."""
    rank: int
    """Its place among those scored at the rung below; 1 is the best."""
    of: int
    """How many were scored there."""


@dataclass
class _Scores:
    """The scores at one rung."""

    ranked: list[tuple[float, str]] = field(default_factory=list)
    """All of them, the best first; a failure has an infinite loss. Ties are broken by config_id."""
    waiting: list[tuple[float, str]] = field(default_factory=list)
    """Those that have not climbed further, without failures."""


class Ladder:
    """Keeps the scores of every rung, and finds who climbs next.

    At each rung the best one in `eta` climbs, as soon as it is among so many: no rung waits for the one below to
    be complete. What it decides depends on the scores, not on the order in which they came.

    Args:
        num_rungs: Number of rungs.
        eta: One in so many climbs, at least 2.
    """

    def __init__(self, num_rungs: int, eta: float) -> None:
        self._eta = eta
        self._rungs = [_Scores() for _ in range(num_rungs)]
        self._at: dict[str, int] = {}
        self._losses: list[dict[str, float]] = [{} for _ in range(num_rungs)]
        self._failed: set[str] = set()

    def enter(self, config_id: str, rung: int = 0) -> None:
        """Note that a configuration has started to train toward a rung, and so has left those below."""
        self._at[config_id] = rung
        for below in range(rung):
            loss = self._losses[below].get(config_id)
            if loss is not None:
                _discard(self._rungs[below].waiting, (loss, config_id))

    def score(self, config_id: str, rung: int, loss: float | None) -> None:
        """Note the score of a configuration at a rung; None: one of its replicates failed, which ranks worst."""
        if config_id in self._losses[rung]:
            return
        value = math.inf if loss is None else loss
        self._losses[rung][config_id] = value
        if loss is None:
            self.fail(config_id)
        scores = self._rungs[rung]
        bisect.insort(scores.ranked, (value, config_id))
        if math.isfinite(value) and self._at[config_id] == rung and config_id not in self._failed:
            bisect.insort(scores.waiting, (value, config_id))

    def fail(self, config_id: str) -> None:
        """Note that a replicate of a configuration failed: it neither climbs nor leads, whatever its scores."""
        self._failed.add(config_id)
        for scores, losses in zip(self._rungs, self._losses, strict=True):
            if (loss := losses.get(config_id)) is not None:
                _discard(scores.waiting, (loss, config_id))

    def loss(self, config_id: str, rung: int) -> float | None:
        """Return a score; infinite for a failure, None if there is none yet."""
        return self._losses[rung].get(config_id)

    def standing(self, config_id: str, rung: int) -> tuple[int, int]:
        """Return the place of a configuration among those scored at a rung, from 1, and their number.

        Raises:
            KeyError: If it has no score there.
        """
        ranked = self._rungs[rung].ranked
        return bisect.bisect_left(ranked, (self._losses[rung][config_id], config_id)) + 1, len(ranked)

    def rung_of(self, config_id: str) -> int:
        """Return the rung toward which a configuration has trained."""
        return self._at[config_id]

    def promotions(self) -> list[Promotion]:
        """Return who may climb, from the top rung down: at each rung the best that has not climbed yet."""
        found = []
        for rung in range(len(self._rungs) - 2, -1, -1):
            best = self._best_waiting(rung)
            if best is not None and best.rank <= int(best.of / self._eta):
                found.append(best)
        return found

    def climb_on(self) -> Promotion | None:
        """Return the leader's next climb, for when nobody follows any more; None if it is at the top."""
        leader = self.leader()
        if leader is None or leader[1] == len(self._rungs) - 1:
            return None
        best = self._best_waiting(leader[1])
        return best if best is not None and best.config_id == leader[0] else None

    def _best_waiting(self, rung: int) -> Promotion | None:
        scores = self._rungs[rung]
        if not scores.waiting:
            return None
        loss, config_id = scores.waiting[0]
        return Promotion(config_id, rung + 1, loss, *self.standing(config_id, rung))

    def leader(self) -> tuple[str, int, float] | None:
        """Return the best configuration of the highest rung that has a score, with that rung and its score.

        A configuration of which a replicate has failed at a higher rung does not count.
        """
        return next(iter(self.leaders(1)), None)

    def leaders(self, count: int) -> list[tuple[str, int, float]]:
        """Return the best so many, as `leader` does: the higher rung first, then the better score there."""
        found: dict[str, tuple[str, int, float]] = {}
        for rung in range(len(self._rungs) - 1, -1, -1):
            for loss, config_id in self._rungs[rung].ranked:
                if math.isfinite(loss) and config_id not in self._failed:
                    found.setdefault(config_id, (config_id, rung, loss))
                if len(found) == count:
                    return list(found.values())
        return list(found.values())

    def deepest(self, config_id: str) -> float | None:
        """Return the score of a configuration at the highest rung where it has one; infinite if a replicate of it
        failed, None before the first.
        """
        if config_id in self._failed:
            return math.inf
        for rung in range(self._at[config_id], -1, -1):
            if (loss := self._losses[rung].get(config_id)) is not None:
                return loss
        return None


def _discard(ranked: list[tuple[float, str]], item: tuple[float, str]) -> None:
    place = bisect.bisect_left(ranked, item)
    if place < len(ranked) and ranked[place] == item:
        del ranked[place]
