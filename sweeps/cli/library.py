"""The verbs that look at the library: its studies, which claims they settle, and what may vary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from analysis.claims.claim import Claim, ClaimError
from analysis.claims.kinds import KINDS
from search_spaces.catalogue import SPACES
from search_spaces.designs import points
from search_spaces.dimensions import Choice, Constant, Dimension, Integer, LogReal, Real
from search_spaces.space import SearchSpace
from sweeps.console import Output, proposed, text_table
from sweeps.errors import UserError, nearest
from sweeps.fields import SCALES, check_scale
from sweeps.studies.library import StudyHead, find, installed_studies, library
from sweeps.studies.yaml_file import YamlSource

if TYPE_CHECKING:
    from sweeps.cli.json_types import Space, SpaceDimension, StudyRow


def studies(output: Output) -> None:
    """List the library, and the studies of installed packages."""
    found: list[tuple[str | None, Path]] = [(None, path) for path in library().values()]
    found += [(study.package, study.path) for study in installed_studies()]
    rows = [_study_row(package, StudyHead.read(path)) for package, path in found]
    output.show(rows, lambda out: _print_studies(out, rows))


def _study_row(package: str | None, study: StudyHead) -> StudyRow:
    """Return what a study file says of itself; which points of a grid are arms, only resolving it tells."""
    num_written, num_points = len(study.section("arms")), _num_grid_points(study)
    return {
        "study": study.name,
        "package": package,
        "title": str(study.data.get("title", "")),
        "scales": [scale for scale in SCALES if scale in study.section("scales")],
        "num_arms": None if num_points else num_written,
        "max_arms": num_written + num_points,
    }


def _num_grid_points(study: StudyHead) -> int:
    grid = study.section("grid")
    if not grid:
        return 0
    try:
        levels = {name: field["values"] for name, field in grid.get("fields", {}).items()}
        design = points(grid.get("design", "full_factorial"), levels, resolution=grid.get("resolution"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{study.path}: grid: cannot be read ({error}); see: {proposed('show', study.name)}"
        ) from error
    return len(design)


def _print_studies(out: Console, rows: list[StudyRow]) -> None:
    table = text_table("study", "arms", "title", "from", right=[1])
    for row in rows:
        arms = str(row["max_arms"]) if row["num_arms"] is not None else f"≤ {row['max_arms']}"
        table.add_row(row["study"], arms, row["title"], row["package"] or "phasesweep")
    out.print(table)
    out.print(
        f"\nEvery study of the library has the scales {', '.join(SCALES)}. Next: {proposed('plan', 'STUDY')}",
        markup=False,
    )


def claims(output: Output, name: str | None, scale: str) -> None:
    """List the claims of a study, or of all studies of the library, as they are declared."""
    check_scale(scale)
    paths = [find(name)] if name is not None else list(library().values())
    found = [(study.name, claim) for study in map(StudyHead.read, paths) for claim in declared_claims(study)]
    output.show(
        [{"study": study, **claim.to_json()} for study, claim in found],
        lambda out: _print_claims(out, found, name),
    )


def declared_claims(study: StudyHead) -> list[Claim]:
    """Return the claims of a study as they are written: arms may be patterns such as `K*_N32`.

    Raises:
        UserError: If one is not whole.
    """
    claims = []
    for claim_id, fields in study.section("claims").items():
        try:
            claims.append(Claim.from_mapping(dict(fields), claim_id=claim_id))
        except (ClaimError, TypeError, ValueError) as error:
            field = error.field if isinstance(error, ClaimError) else ""
            where = YamlSource.read(study.path).where(("claims", claim_id, field))
            raise UserError(f"{where}: {error}") from error
    return claims


def _print_claims(out: Console, found: list[tuple[str, Claim]], name: str | None) -> None:
    if not found:
        out.print(f"study '{name}' declares no claims", markup=False)
        return
    table = text_table("claim", "study", "kind", "settled at", "statement", "source")
    for study, claim in found:
        kind = claim.kind.replace("_", " ")
        table.add_row(claim.id, study, kind, claim.settled_at, claim.statement, claim.source)
    out.print(table)
    used = {claim.kind for _, claim in found}
    out.print("\nHow each kind is tested:")
    for kind, spec in KINDS.items():
        if kind in used:
            out.print(f"  {kind.replace('_', ' ')}: {spec.meaning}", markup=False)
    out.print(f"\nNone is judged yet: these are declarations. Next: {proposed('plan', 'STUDY')}", markup=False)


def spaces(output: Output, name: str | None) -> None:
    """List the search spaces, or the dimensions of one."""
    if name is not None and name not in SPACES:
        raise UserError(f"unknown search space '{name}'; {nearest(name, SPACES)}")
    chosen = {name: SPACES[name]} if name is not None else SPACES
    listed = [_space_to_json(one, space) for one, space in chosen.items()]
    output.show(listed, lambda out: _print_spaces(out, chosen))


def _print_spaces(out: Console, spaces: Mapping[str, SearchSpace]) -> None:
    for one, space in spaces.items():
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


def _space_to_json(name: str, space: SearchSpace) -> Space:
    return {
        "name": name,
        "dimensions": [_dimension_to_json(one, dimension) for one, dimension in space.dimensions.items()],
        "conditions": [{"fields": list(c.patterns), "only_if": c.only_if} for c in space.conditions],
        "forbidden": [{"when": refused.when, "reason": refused.reason} for refused in space.forbidden],
    }


def _dimension_to_json(name: str, dimension: Dimension) -> SpaceDimension:
    return {
        "name": name,
        "kind": _kind(dimension),
        "low": getattr(dimension, "low", None),
        "high": getattr(dimension, "high", None),
        "options": _options(dimension),
        "unit": dimension.unit,
        "meaning": dimension.meaning,
        "source": dimension.source,
    }


def _kind(dimension: Dimension) -> Literal["real", "log_real", "integer", "choice", "constant"]:
    match dimension:
        case Choice():
            return "choice"
        case Constant():
            return "constant"
        case LogReal():
            return "log_real"
        case Integer():
            return "integer"
    return "real"


def _options(dimension: Dimension) -> list[Any] | None:
    match dimension:
        case Choice():
            return [list(option) if isinstance(option, tuple) else option for option in dimension.options]
        case Constant():
            return [dimension.value]
    return None
