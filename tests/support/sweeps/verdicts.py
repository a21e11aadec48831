"""Journals of a few values, and the verdicts on claims about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.claims.claim import Claim
from analysis.records.journal import JournalState, merge
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import Verdict
from tests.support.sweeps.journals import EPOCH, METRIC, replicate_events, sweep_event

WHOLE = {"id": "C", "statement": "it works", "source": "a paper", "settled_at": "laptop", "metric": METRIC}
NOISE = (0.001, -0.002, 0.0015, -0.001, 0.0005)
"""Deviations of five seeds from their mean, which is 0."""

Arms = Mapping[str, Sequence[float | None]]


def around(mean: float, *, scale: float = 1.0, turn: int = 0) -> list[float]:
    """Return five values with this mean; `turn` gives them another order, so that arms are not parallel."""
    return [mean + scale * NOISE[(index + turn) % 5] for index in range(5)]


def claim(kind: str, **fields: Any) -> Claim:
    return Claim.from_mapping({**WHOLE, "kind": kind, **fields})


def journal(
    arms: Arms, *claims: Claim, metric: str = METRIC, statuses: Mapping[tuple[str, int], str | None] | None = None,
    fields: Mapping[str, dict[str, Any]] | None = None, claimed: Mapping[str, dict[str, Any]] | None = None,
    **described: Any,
) -> JournalState:  # fmt: skip
    """Return a journal of these values, one a seed; the claims are declared in its first line.

    `fields` are those in which arms depart from the base, `claimed` others that claims run over."""
    seeds = range(max(map(len, arms.values())))
    first = sweep_event(list(arms), seeds=seeds, claims=[each.to_json() for each in claims], **described)
    for arm in first["arms"]:
        arm["parameters"] = (fields or {}).get(arm["arm"], {})
        arm["claimed"] = (claimed or {}).get(arm["arm"], {})
    events = [first]
    for place, (arm, values) in enumerate(arms.items()):
        for seed, value in enumerate(values):
            status = (statuses or {}).get((arm, seed), "finished")
            made = replicate_events(arm, seed, value, status=status, start=EPOCH + 10 + 100 * place + seed)
            if metric != METRIC and status == "finished":
                made[-2]["metrics"][metric] = value
            events += made
    return merge(events)


def verdict(arms: Arms, one: Claim, **described: Any) -> Verdict:
    (found,) = judge_all(journal(arms, one, **described))
    return found
