"""The verbs that look at the library: which claims its studies settle, and what may vary."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from analysis.claims.claim import Claim
from analysis.claims.kinds import KINDS
from search_spaces.catalogue import SPACES
from search_spaces.dimensions import Choice, Constant, Dimension, Integer, LogReal, Real
from search_spaces.space import SearchSpace
from sweeps.console import Emit, proposed, text_table
from sweeps.errors import UserError, nearest
from sweeps.studies.library import library
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study


def claims(out: Console, emit: Emit | None, name: str | None, scale: str) -> None:
    """List the claims of a study, or of all studies of the library."""
    studies = [load_study(one, scale) for one in ([name] if name is not None else library())]
    if emit:
        emit([_claim_to_json(study, claim) for study in studies for claim in study.claims])
        return
    table = text_table("claim", "study", "kind", "settled at", "statement", "source")
    for study in studies:
        for claim in study.claims:
            kind = claim.kind.replace("_", " ")
            table.add_row(claim.id, study.name, kind, claim.settled_at, claim.statement, claim.source)
    if not table.row_count:
        out.print(f"study '{studies[0].name}' declares no claims", markup=False)
        return
    out.print(table)
    used = {claim.kind for study in studies for claim in study.claims}
    out.print("\nHow each kind is tested:")
    for kind, spec in KINDS.items():
        if kind in used:
            out.print(f"  {kind.replace('_', ' ')}: {spec.meaning}", markup=False)
    out.print(f"\nNone is judged yet: these are declarations. Next: {proposed('plan', 'STUDY')}", markup=False)


def _claim_to_json(study: Study, claim: Claim) -> dict[str, Any]:
    return {"study": study.name, **claim.to_json()}


def spaces(out: Console, emit: Emit | None, name: str | None) -> None:
    """List the search spaces, or the dimensions of one."""
    if name is not None and name not in SPACES:
        raise UserError(f"unknown search space '{name}'; {nearest(name, SPACES)}")
    chosen = {name: SPACES[name]} if name is not None else SPACES
    if emit:
        emit([_space_to_json(one, space) for one, space in chosen.items()])
        return
    for one, space in chosen.items():
        out.print(f"{one}: {len(space)} dimensions", style="bold", markup=False)
        table = text_table("  dimension", "range", "unit", "meaning", "source")
        for dimension_name, dimension in space.dimensions.items():
            cells = (_range(dimension), dimension.unit, dimension.meaning, dimension.source)
            table.add_row(f"  {dimension_name}", *cells)
        out.print(table)
        for line in _rules(space):
            out.print(f"  {line}", markup=False)
        out.print()


def _rules(space: SearchSpace) -> Iterable[str]:
    for condition in space.conditions:
        yield f"{', '.join(condition.patterns)}: only if {condition.only_if}"
    for refused in space.forbidden:
        yield f"never {refused.when}: {refused.reason}"


def _range(dimension: Dimension) -> str:
    match dimension:
        case Choice():
            return ", ".join(_word(option) for option in dimension.options)
        case Constant():
            return _word(dimension.value)
        case LogReal():
            return f"[{dimension.low:g}, {dimension.high:g}], logarithmic"
        case Real():
            return f"[{dimension.low:g}, {dimension.high:g}]"
        case Integer():
            return f"{dimension.low} to {dimension.high}"
    raise TypeError(f"no range for a {type(dimension).__name__}")


def _word(value: Any) -> str:
    """Write a value as a study would."""
    return value if isinstance(value, str) else json.dumps(value)


def _space_to_json(name: str, space: SearchSpace) -> dict[str, Any]:
    return {
        "name": name,
        "dimensions": [_dimension_to_json(one, dimension) for one, dimension in space.dimensions.items()],
        "conditions": [{"fields": list(c.patterns), "only_if": c.only_if} for c in space.conditions],
        "forbidden": [{"when": refused.when, "reason": refused.reason} for refused in space.forbidden],
    }


def _dimension_to_json(name: str, dimension: Dimension) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": name,
        "kind": {Choice: "choice", Constant: "constant", LogReal: "log_real", Real: "real", Integer: "integer"}[
            type(dimension)
        ],
        "low": getattr(dimension, "low", None),
        "high": getattr(dimension, "high", None),
        "options": None,
        "unit": dimension.unit,
        "meaning": dimension.meaning,
        "source": dimension.source,
    }
    if isinstance(dimension, Choice):
        described["options"] = [list(o) if isinstance(o, tuple) else o for o in dimension.options]
    elif isinstance(dimension, Constant):
        described["options"] = [dimension.value]
    return described
