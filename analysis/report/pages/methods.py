"""How a study was computed and judged, and from what, as terms with their explanations."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime

from analysis.claims.kinds import EQUAL, ONE_SIDED
from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.report.provenance import commit, cost, power, ran, span
from analysis.report.tables import DIRECTIONS
from analysis.results.arms import transform_of
from analysis.results.comparison import SIGNIFICANCE_LEVEL
from analysis.results.memory import receipt
from analysis.results.table import ResultTable
from analysis.statistics.transforms import LOG, Logit

Facts = list[tuple[str, str]]
"""(term, explanation)"""


def facts_of_method(state: JournalState, sweep: SweepInfo, table: ResultTable, *, has_claims: bool) -> Facts:
    """Return unit, scale, families of tests, levels, power, numerics and tuning."""
    facts = [
        ("metric", f"{table.metric}, {table.unit}, {DIRECTIONS[table.direction]}: {table.meaning}"),
        ("unit", "the seed: a training run with its own weights, data order and evaluation stream"),
        ("scale of tests", _transform(sweep)),
        (
            "table",
            f"{100 * table.confidence:g} % Student-t intervals over seeds; words by Holm-adjusted p < "
            f"{SIGNIFICANCE_LEVEL:g} over {table.family_size} comparisons with the baseline",
        ),
        (
            "claims",
            f"one family each: supported if every comparison holds, one-sided at {ONE_SIDED:g}, or at {EQUAL:g} "
            "against a margin; refuted if one comparison fails after Holm's adjustment, or if an effect as large "
            "as published is excluded while none is shown",
        ),
        ("power", (power(state) or ["no two configurations with two pairs of seeds: no test"])[0]),
        ("numerics", _numerics(state, sweep)),
        ("tuning", _tuning(sweep)),
    ]
    return [fact for fact in facts if has_claims or fact[0] != "claims"]


def _transform(sweep: SweepInfo) -> str:
    scale = transform_of(sweep.metric(sweep.primary_metric))
    if isinstance(scale, Logit):
        return f"logits of rates over {scale.items:,} items a seed; items are never pooled over seeds"
    return "logarithms: differences are relative changes" if scale == LOG else "the values as they are"


def _numerics(state: JournalState, sweep: SweepInfo) -> str:
    """Return the kinds of numerics, and the fields in which they differ."""
    found = [r.numerics for r in ran(state, sweep) if r.numerics]
    kinds = Counter(json.dumps(each, sort_keys=True) for each in found)
    if not kinds:
        return "not recorded"
    if len(kinds) == 1:
        return f"one kind: {_listed(found[0])}"
    names = {name for each in found for name in each}
    differing = sorted(name for name in names if len({repr(each.get(name)) for each in found}) > 1)
    return f"{len(kinds)} kinds, equal in law but not bit for bit; they differ in {', '.join(differing)}"


def _listed(numerics: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in numerics.items() if _is_plain(value))


def _is_plain(value: object) -> bool:
    return value is not None and not isinstance(value, dict)


def _tuning(sweep: SweepInfo) -> str:
    if sweep.search is None:
        return "no arm is tuned: all settings are as declared"
    said = "settings of some arms were searched for; winners are compared on seeds that the search did not use"
    if not sweep.search.looks:
        return said
    looks = ", ".join(f"{n} at {alpha:g}" for n, alpha in zip(sweep.search.looks, sweep.search.alphas, strict=True))
    return (
        f"{said}, after looks at {looks}: more seeds started only if winners could not be told from the baseline; "
        "p and intervals of differences hold for all looks together, intervals of means do not"
    )


def facts_of_provenance(state: JournalState, sweep: SweepInfo, *, has_claims: bool) -> Facts:
    """Return where the numbers come from, and what they cost."""
    provenance, replicates = sweep.provenance, ran(state, sweep)
    data = sorted({arm.data_hash for arm in sweep.units if arm.data_hash})
    facts = [
        ("code", commit(sweep)),
        ("software", ", ".join(f"{name} {value}" for name, value in provenance.get("versions", {}).items())),
        ("machine", _machine(provenance.get("machine"))),
        ("data", ", ".join(f"sha256 {each[:16]}…" for each in data)),
        (
            "run",
            " to ".join(
                datetime.fromtimestamp(t, tz=UTC).strftime("%Y-%m-%d %H:%M UTC") for t in span(replicates) or ()
            ),
        ),
        ("cost", cost(replicates)),
        ("memory", receipt(state, sweep).in_words().removeprefix("memory: ")),
        ("seeds", ", ".join(map(str, sorted({seed for arm in sweep.units for seed in arm.seeds})))),
        ("claims", _claims_hash(sweep) if has_claims else ""),
    ]
    return [(term, text) for term, text in facts if text]


def _machine(machine: object) -> str:
    if isinstance(machine, dict):
        return ", ".join(f"{name} {value}" for name, value in machine.items() if value not in (None, [], {}))
    return str(machine or "")


def _claims_hash(sweep: SweepInfo) -> str:
    if not sweep.claims:
        return "the journal describes none; those that are judged were declared later"
    text = "".join(claim.hash for claim in sweep.claims)
    return f"as the journal describes them: sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}…"
