"""What a proposal costs: CPU time of a sampler that is told one new score before each."""

from __future__ import annotations

import random
import time

from search_spaces.dimensions import Choice, Integer, LogReal, Real
from search_spaces.space import SearchSpace
from sweeps.search.methods import make_sampler
from sweeps.search.samplers import Tried
from tests.support.sweeps.searches import SPACE

FLAT = SearchSpace({"a": LogReal(1e-4, 1e-1), "b": Real(0.0, 4.0), "c": Choice(("x", "y")), "d": Integer(1, 20)})
SPACES = {"4 fields": FLAT, "4 fields, one conditional": SPACE}
COUNTS = (100, 1000, 10_000)
MOST_MS = 15.0
"""The requirement, at 1,000 configurations."""


def milliseconds(method: str, space: SearchSpace, count: int, proposals: int = 50) -> float:
    """Return the CPU time of a proposal among so many configurations, on average; every fifth is one of Sobol's."""
    draw = random.Random(count)
    tried = [Tried(space.sample(draw), draw.gauss()) for _ in range(count)]
    sampler = make_sampler(method, space, seed=0, levels=5)
    for number in range(count, count + 5):  # the first proposals import and build what the others use
        sampler.propose(number, tried)
    taken = 0.0
    for number in range(count + 5, count + 5 + proposals):
        before = time.process_time()
        point = sampler.propose(number, tried)
        taken += time.process_time() - before
        tried.append(Tried(point or space.sample(draw), draw.gauss()))
    return 1000 * taken / proposals


def report() -> str:
    """Measure and return a Markdown table."""
    rows = [
        (method, name, *(f"{milliseconds(method, space, count, proposals):.1f}" for count in counts))
        for method, counts, proposals in (("sobol", COUNTS, 50), ("tpe", COUNTS, 50), ("gp", COUNTS[:1], 5))
        for name, space in SPACES.items()
    ]
    lines = [
        f"**A proposal** (CPU milliseconds, one new score before each; of tpe at most {MOST_MS:g} at 1,000 are "
        "required)",
        "",
        "| method | space | 100 configurations | 1,000 | 10,000 |",
        "|---|---|---:|---:|---:|",
        *(f"| {' | '.join((*row, '–', '–')[:5])} |" for row in rows),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
