"""The verbs `studies`, `claims`, `spaces`, `new`, `families` and `show`.

`studies` and `claims` read YAML files without importing PyTorch; a verb that needs more imports it itself.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from rich.console import Console

from analysis.claims.claim import Claim, ClaimError
from analysis.claims.kinds import KINDS
from search_spaces.catalogue import SPACES
from search_spaces.designs import ablation, points
from search_spaces.dimensions import Choice, Constant, Dimension, Integer, LogReal, Real
from search_spaces.space import SearchSpace
from sweeps.campaigns.catalogue import campaign_library
from sweeps.console import Output, proposed, text_table
from sweeps.errors import UserError, nearest, writing
from sweeps.fields import SCALES, check_scale
from sweeps.studies.catalogue import StudyArguments, StudyHead, find, installed_studies, library
from sweeps.studies.yaml_file import YamlSource

if TYPE_CHECKING:
    from sweeps.cli.schemas.library import Space, SpaceDimension, StudyRow
    from sweeps.studies.study import Study


def studies(output: Output) -> None:
    """List the library, and the studies of installed packages."""
    found: list[tuple[str | None, Path]] = [(None, path) for path in library().values()]
    found += [(study.package, study.path) for study in installed_studies()]
    rows = [_study_row(package, StudyHead.read(path)) for package, path in found]
    output.show(rows, lambda out: _print_studies(out, rows))


def _study_row(package: str | None, study: StudyHead) -> StudyRow:
    """Return the row of a study. The arms of a grid are not in it: only resolving the study finds them."""
    num_written, num_points = len(study.section("arms")) + _num_ablated(study), _num_grid_points(study)
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


def _num_ablated(study: StudyHead) -> int:
    """Return how many arms the ablation of a study makes; the whole is among those that are written."""
    section = study.section("ablation")
    if not section or section.get("design") == "path":
        return 0
    components = tuple(section.get("components", {}))
    try:
        made = ablation(section.get("design", "fractional"), components, resolution=section.get("resolution"))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{study.path}: ablation: cannot be read ({error}); see: {proposed('show', study.name)}"
        ) from error
    return len([one for one in made if one != components]) + len(section.get("placebo", {}))


def _print_studies(out: Console, rows: list[StudyRow]) -> None:
    table = text_table("study", "arms", "title", "from", right=[1])
    for row in rows:
        arms = str(row["max_arms"]) if row["num_arms"] is not None else f"≤ {row['max_arms']}"
        table.add_row(row["study"], arms, row["title"], row["package"] or "phasesweep")
    out.print(table)
    for campaign in campaign_library():
        out.print(f"\n{campaign}: studies in phases; {proposed('plan', campaign)}", markup=False)
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
    """Return the claims of a study as written: arms may be patterns such as `K*_N32`.

    Raises:
        UserError: If one is incomplete.
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
    out.print(f"\n{_how_claims_are_judged(name or 'STUDY')}", markup=False)


def _how_claims_are_judged(study: str) -> str:
    """Return who judges the claims of a study, from what, and what `settled at` means."""
    return (
        "settled at: the smallest scale whose results can settle a claim; those of a smaller one only indicate.\n"
        "Judged from the results of a run:\n"
        f"  verdicts:  {proposed('verdicts', study, '--scale', 'SCALE')}\n"
        f"  all arms:  {proposed('results', study, '--scale', 'SCALE')}\n"
        f"  two arms:  {proposed('compare', f'{study}@SCALE:ARM', ':CONTROL')}"
    )


def spaces(output: Output, name: str | None, plugins: Sequence[str] = ()) -> None:
    """List the search spaces of the library and of plugin files, or the dimensions of one."""
    known = {**SPACES, **_spaces_of(plugins)}
    if name is not None and name not in known:
        raise UserError(f"unknown search space '{name}'; {nearest(name, known)}")
    chosen = {name: known[name]} if name is not None else known
    listed = [_space_to_json(one, space) for one, space in chosen.items()]
    output.show(listed, lambda out: _print_spaces(out, chosen))


def _spaces_of(plugin_files: Sequence[str]) -> dict[str, SearchSpace]:
    """Return the spaces that the families of plugin files declare, as `<family>.<key>`."""
    if not plugin_files:
        return {}
    from sweeps.studies import plugins
    from trainables.plugins.files import origin_of
    from trainables.registry import ARCHITECTURES

    plugins.use(plugin_files)
    theirs = [name for name in ARCHITECTURES.names() if origin_of(ARCHITECTURES.get(name)) is not None]
    return {f"{name}.{key}": space for name in theirs for key, space in ARCHITECTURES.get(name).spaces.items()}


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
    """Format a value as in a study file."""
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


def new(
    output: Output,
    name: str,
    *,
    source: str | None,
    to: Path | None,
    architecture: str | None,
    task: str | None,
) -> None:
    """Write a new study file; an existing one is never overwritten."""
    from sweeps.studies.resolve import load_study
    from sweeps.studies.template import copy_of, scaffold

    path = _destination(name, to)
    if source is not None and (architecture or task):
        raise UserError("--from copies a study as it is; give --architecture and --task without it")
    if source is not None:
        text = copy_of(source, name)
    else:
        text = scaffold(name, architecture or "kuramoto", task or "language", str(path))
    try:
        with writing(f"--to {path}"), path.open("x", encoding="utf-8") as file:
            file.write(text)
    except UserError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise UserError(f"{path} already exists; give another --to, or remove it") from error
        raise
    try:
        scales = list(StudyHead.read(path).section("scales"))
        studies = [load_study(str(path), scale) for scale in scales]
    except BaseException:
        path.unlink()
        raise
    arms = [arm.name for arm in studies[0].arms]
    following = proposed("plan", str(path), "--scale", scales[0])
    if output.emit:
        output.emit({"study": name, "path": str(path.resolve()), "scales": scales, "arms": arms, "next": following})
    else:
        output.say(f"{path}: {len(arms)} arms ({', '.join(arms)}), scales {', '.join(scales)}")
        output.say(f"next: {following}")


def _destination(name: str, to: Path | None) -> Path:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        suggestion = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789") or "my_study"
        raise UserError(
            f"new {name}: a study's name is a small letter, then small letters, digits and _; try '{suggestion}'"
        )
    if name in library():
        raise UserError(f"new {name}: the library has a study of this name; choose another")
    path = to or Path(f"{name}.yaml")
    if path.is_dir():
        path = path / f"{name}.yaml"
    if path.suffix not in {".yaml", ".yml"}:
        raise UserError(f"--to {path}: a study file ends in .yaml")
    return path


def families(output: Output) -> None:
    """List architectures and tasks with their fields, and what architectures measure of themselves."""
    from trainables.plugins.packages import load_installed
    from trainables.registry import ARCHITECTURES, TASKS

    for problem in load_installed():
        sys.stderr.write(f"phasesweep: not listed: {problem}\n")
    listing = {
        registry.kind: {
            name: {
                "version": registry.version(name),
                "meaning": (registry.get(name).__doc__ or "").strip().partition("\n")[0],
                "fields": registry.get(name).model_json_schema()["properties"],
                "probes": [
                    {"name": probe.name, "unit": probe.unit, "meaning": probe.meaning, "null": probe.null}
                    for probe in getattr(registry.get(name), "probes", ())
                ],
            }
            for name in registry.names()
        }
        for registry in (ARCHITECTURES, TASKS)
    }
    output.show(listing, lambda out: _print_families(out, listing))


def _print_families(out: Console, listing: dict[str, Any]) -> None:
    for kind, entries in listing.items():
        for name, entry in entries.items():
            out.print(f"{kind} {name}: {entry['meaning']}", markup=False, style="bold")
            table = text_table("  field", "default", "meaning")
            for field, spec in entry["fields"].items():
                default = "required" if "default" not in spec else str(spec["default"])
                table.add_row(f"  {field}", default, " ".join(spec.get("description", "").split()))
            out.print(table)
            for probe in entry["probes"]:
                null = f"; without structure: {probe['null']}" if probe["null"] else ""
                out.print(f"  {probe['name']} [{probe['unit']}]: {probe['meaning']}{null}", markup=False)
            out.print()


def show(output: Output, study: StudyArguments) -> None:
    """Show a study, resolved."""
    from sweeps.studies.resolve import load_study

    resolved = load_study(*study)
    output.show(resolved.resolved(), lambda out: _print_study(out, resolved))


def _print_study(out: Console, study: Study) -> None:
    out.print(study.title, style="bold", markup=False)
    if study.description:
        out.print(study.description, markup=False)
    if study.grid:
        out.print(f"grid: {study.grid.describe()}", markup=False)
    out.print(yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True), markup=False, end="")
