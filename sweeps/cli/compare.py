"""The verb `compare`: two arms, or two whole sweeps, of the same study or of different ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from analysis.records.description import ArmInfo
from analysis.records.journal import read_journal
from analysis.report.tables import (
    DIRECTIONS,
    SMOKE,
    SMOKE_NOTE,
    decimals_of,
    format_change,
    format_number,
    scale_notes,
    short_conclusion,
)
from analysis.results.sweeps import (
    ComparedPair,
    ComparedSweeps,
    FieldDifference,
    Side,
    compare_sweeps,
    differing_fields,
    match_arms,
)
from sweeps.cli.stored_sweep import find_arm, resolved_fields
from sweeps.console import Output, proposed, text_table
from sweeps.errors import UserError, nearest
from sweeps.fields import DEFAULT_SCALE
from sweeps.store.folder import results_root
from sweeps.studies.catalogue import StudyHead, find, library

SYNTAX = "write STUDY[@SCALE][:ARM], a results folder or a compact journal, as in quickstart@laptop:transformer"

NO_FIELD = "no such field"

ArmPair = tuple[ArmInfo, ArmInfo]
FieldsPair = tuple[dict[str, Any] | None, dict[str, Any] | None]


@dataclass(frozen=True)
class Source:
    """A sweep to compare: its journal and, if there is one, its results folder."""

    side: Side
    journal: Path
    folder: Path | None
    """The results folder; None for a compact journal."""

    def is_same_as(self, other: Source) -> bool:
        """Return whether both are one sweep."""
        return self.journal.resolve() == other.journal.resolve()

    def fields(self, arm: ArmInfo) -> dict[str, Any] | None:
        """Return every field of an arm's configuration, with dotted keys; None if they were not recorded."""
        return None if self.folder is None else resolved_fields(self.folder, arm) or None


@dataclass(frozen=True)
class Reference:
    """An argument of `compare`: a sweep, optionally with one arm of it."""

    source: Source
    arm: ArmInfo | None

    @property
    def side(self) -> Side:
        """The sweep, with the arm in its title if one is named."""
        side = self.source.side
        return side if self.arm is None else replace(side, title=f"{side.title}:{self.arm.arm}")


def parse_reference(text: str, before: Reference | None = None, *, verb: str = "compare") -> Reference:
    """Read `STUDY[@SCALE][:ARM]`, `FOLDER[:ARM]`, `JOURNAL.jsonl[:ARM]`, or `:ARM` of the sweep `before`.

    Raises:
        UserError: If there is no such sweep or arm.
    """
    named, _, arm = (text, "", "") if Path(text).exists() else text.partition(":")
    if not named and before is None:
        raise UserError(f"{verb} {text}: A must name a sweep; {SYNTAX}")
    source = before.source if before is not None and not named else _open(named, verb)
    return Reference(source, find_arm(source.side.sweep, arm, f"{verb} {text}") if arm else None)


def _open(named: str, verb: str) -> Source:
    path = Path(named)
    if path.suffix == ".jsonl":
        if not path.is_file():
            raise UserError(f"{verb} {named}: no such journal (looked in {Path.cwd()})")
        return _source(named, path, None, verb)
    folder = (path if (path / "journal").is_dir() else _results_folder(named, verb)).resolve()
    return _source(f"{folder.parent.name}@{folder.name}", folder / "journal", folder, verb)


def _source(title: str, journal: Path, folder: Path | None, verb: str) -> Source:
    state = read_journal(journal)
    if state.sweep is None:
        raise UserError(f"{verb} {title}: {journal} describes no sweep yet")
    return Source(Side(title, state, state.sweep), journal, folder)


def _results_folder(named: str, verb: str) -> Path:
    """Return the folder of `STUDY[@SCALE]`, where SCALE may carry the hash of its overrides."""
    given, _, scale = named.partition("@")
    is_file = given.endswith((".yaml", ".yml"))
    study = StudyHead.read(find(given)).name if is_file else given
    root = results_root()
    scale = scale or DEFAULT_SCALE
    folder = root / study / scale
    if (folder / "journal").is_dir():
        return folder
    scales = sorted(path.parent.name for path in (root / study).glob("*/journal"))
    if scales:
        raise UserError(f"{verb} {named}: no results at scale '{scale}'; {nearest(scale, scales)}")
    studies = {path.parent.parent.name for path in root.glob("*/*/journal")}
    if study in library() or is_file:
        start = proposed("run", given, "--scale", folder.name.partition("+")[0])
        raise UserError(f"{verb} {named}: no results in {folder}; start with: {start}")
    raise UserError(f"{verb} {named}: no results of '{study}'; {nearest(study, studies) if studies else SYNTAX}")


def _pairs(a: Reference, b: Reference) -> list[ArmPair]:
    if a.arm is not None and b.arm is not None:
        if a.source.is_same_as(b.source) and a.arm.arm == b.arm.arm:
            raise UserError(f"compare: A and B are the same arm, {a.arm.arm}")
        return [(a.arm, b.arm)]
    if a.arm is not None or b.arm is not None:
        raise UserError("compare: name an arm on both sides, or on neither to match all arms of two sweeps")
    if a.source.is_same_as(b.source):
        raise UserError(f"compare: A and B are the same sweep; name two arms of it, {SYNTAX}")
    pairs = match_arms(a.side.sweep, b.side.sweep)
    if not pairs:
        arms = [", ".join(arm.arm for arm in reference.side.sweep.arms) for reference in (a, b)]
        raise UserError(f"compare: no arm of A is one of B, by configuration or name; A: {arms[0]}; B: {arms[1]}")
    return pairs


def _differences(pair: ArmPair, fields: FieldsPair) -> tuple[FieldDifference, ...]:
    """Return the fields in which two arms differ; without full fields, those in which their changes differ."""
    first, second = fields
    if first is None or second is None:
        changed = dict.fromkeys((*pair[0].parameters, *pair[1].parameters))
        first, second = (
            arm.parameters if known is None else {key: known[key] for key in changed if key in known}
            for arm, known in zip(pair, fields, strict=True)
        )
    return (*differing_fields(first, second), *_sizes(pair))


def _sizes(pair: ArmPair) -> tuple[FieldDifference, ...]:
    sizes = [{"number of parameters": arm.num_parameters} for arm in pair]
    return differing_fields(*sizes)


def compare(output: Output, first: str, second: str, metric: str | None) -> None:
    """Print which fields of two arms, or of all matching arms of two sweeps, differ, and by how much the metric."""
    a = parse_reference(first)
    b = parse_reference(second, a)
    pairs = _pairs(a, b)
    fields = [(a.source.fields(of_a), b.source.fields(of_b)) for of_a, of_b in pairs]
    differing = [_differences(*each) for each in zip(pairs, fields, strict=True)]
    try:
        compared = compare_sweeps(a.side, b.side, pairs, differing, metric)
    except ValueError as error:  # another unit, or no such metric
        raise UserError(f"--metric: {error}" if metric else f"compare: {error}") from error
    known = all(each is not None for of_pair in fields for each in of_pair)
    is_smoke = SMOKE in {side.sweep.scale for side in (a.side, b.side)}
    output.show(
        {**asdict(compared), "all_fields_known": known},
        lambda out: _print(out, compared, is_sweep=a.arm is None, known=known, is_smoke=is_smoke),
    )


def _print(out: Console, compared: ComparedSweeps, *, is_sweep: bool, known: bool, is_smoke: bool) -> None:
    out.print(f"A  {compared.a}\nB  {compared.b}\n", style="bold", markup=False)
    _print_fields(out, compared.pairs)
    if not known:
        out.print("known are only the fields in which an arm departs from its study's base", markup=False)
    direction = DIRECTIONS[compared.direction]
    out.print(f"\n{compared.metric}, {compared.unit}, {direction}: {compared.meaning}\n", markup=False)
    decimals = decimals_of(next((p.a.mean for p in compared.pairs if p.a.mean is not None), 0.0))
    table = text_table("arm", "A", "B", "Δ = B − A", "pairs", "p", "reading", right=range(1, 6))
    for pair in compared.pairs:
        table.add_row(*_cells(pair, compared, decimals))
    out.print(table)
    out.print()
    for line in [*([SMOKE_NOTE] if is_smoke else []), *_notes(compared, is_sweep=is_sweep)]:
        out.print(line, markup=False)


def _print_fields(out: Console, pairs: Sequence[ComparedPair]) -> None:
    """Print the differing fields; a difference that all of several pairs share is printed once."""
    if not any(pair.differing for pair in pairs):
        out.print("no field differs", markup=False)
        return
    if len(pairs) == 1:
        table = text_table("field", "A", "B")
        for difference in pairs[0].differing:
            table.add_row(*_field_cells(difference))
    else:
        table = text_table("arm", "field", "A", "B")
        shared = [d for d in pairs[0].differing if all(d in pair.differing for pair in pairs)]
        for difference in shared:
            table.add_row("all arms", *_field_cells(difference))
        for pair in pairs:
            for difference in pair.differing:
                if difference not in shared:
                    table.add_row(_name(pair), *_field_cells(difference))
    out.print(table)


def _field_cells(difference: FieldDifference) -> list[str]:
    a = NO_FIELD if difference.only_in == "b" else _written(difference.a)
    b = NO_FIELD if difference.only_in == "a" else _written(difference.b)
    return [difference.field, a, b]


def _written(value: object) -> str:
    """Return a value as a study file writes it, where Python's word would look like a field that is missing."""
    return "null" if value is None else str(value)


def _name(pair: ComparedPair) -> str:
    return pair.a.arm if pair.a.arm == pair.b.arm else f"{pair.a.arm} | {pair.b.arm}"


def _cells(pair: ComparedPair, compared: ComparedSweeps, decimals: int) -> list[str]:
    means = ["–" if side.mean is None else format_number(side.mean, decimals) for side in (pair.a, pair.b)]
    bounds = pair.delta_ci_low, pair.delta_ci_high
    delta = format_change(pair.delta, *bounds, kind=compared.delta_kind, decimals=decimals + 1)
    p = "–" if pair.p_adjusted is None else f"{pair.p_adjusted:.2g}"
    reading = short_conclusion(pair.reading)
    return [_name(pair), *means, delta, str(pair.n_pairs), p, reading]


def _notes(compared: ComparedSweeps, *, is_sweep: bool) -> list[str]:
    tests: Mapping[str, str] = {"paired t": "paired by seed", "Welch t": "unpaired, by Welch's test"}
    used = " and ".join(tests[method] for method in sorted({p.method for p in compared.pairs if p.method}))
    count = len(compared.pairs)
    adjusted = f", Holm-adjusted over {count} pairs" if count > 1 else ", not adjusted for other comparisons"
    notes = [f"{100 * compared.confidence:g} % Student-t intervals over seeds, {used}; p two-sided{adjusted}"]
    if not used:
        notes = ["nothing to compare: no seed of A and B has ended with this metric"]
    notes += scale_notes(compared.delta_kind, compared.items, compared.scored) if used else []
    said = {pair.note for pair in compared.pairs}
    if len(compared.pairs) > 1 and len(said) == 1:
        notes += [f"all arms: {note}" for note in said if note]
    else:
        notes += [f"{_name(pair)}: {pair.note}" for pair in compared.pairs if pair.note]
    if is_sweep:
        notes += [f"only in A: {', '.join(compared.only_a)}"] if compared.only_a else []
        notes += [f"only in B: {', '.join(compared.only_b)}"] if compared.only_b else []
    return notes
