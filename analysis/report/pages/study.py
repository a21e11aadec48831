"""The page of one study at one scale: what was claimed, what was found, how sure it is, and what is behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.records.description import SweepInfo
from analysis.records.journal import JournalState
from analysis.report.curves import curves_figure
from analysis.report.figures import arms_figure, forest_figure
from analysis.report.pages.ablation import ablation_section
from analysis.report.pages.environment import p_value, render
from analysis.report.pages.inline import download, gzipped, inline_svg
from analysis.report.pages.methods import facts_of_method, facts_of_provenance
from analysis.report.pages.parts import Cells, Figure
from analysis.report.pages.search import search_sections
from analysis.report.probes import NOTE as PROBES_NOTE
from analysis.report.probes import probes_for_display
from analysis.report.sentences import summary
from analysis.report.tables import (
    CONTRAST_RIGHT_ALIGNED,
    RIGHT_ALIGNED,
    SMOKE,
    contrasts_for_display,
    contrasts_title,
    external_note,
    notes_for_display,
    rows_for_display,
    short_conclusion,
    title_for_display,
)
from analysis.results.arms import summarise
from analysis.results.curves import curves_of
from analysis.results.export import Fields, csv_bytes, rows_of
from analysis.results.importance import ImportanceTable
from analysis.results.table import ResultTable
from analysis.verdicts.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class StudySource:
    """What the page of a study is made from."""

    state: JournalState
    sweep: SweepInfo
    """The newest description in `state`."""
    verdicts: Sequence[Verdict]
    journal: bytes
    """The text of the journal."""
    fields: Fields
    """Source of the configuration columns of the tidy table."""
    given: str
    """The study as a command line names it."""
    importance: ImportanceTable | str = ""
    """Of the fields of its searches; why there is none, if it cannot be had."""


def study_page(source: StudySource) -> str:
    """Return the page as HTML, which needs no other file; equal journals give equal bytes."""
    state, sweep, verdicts = source.state, source.sweep, source.verdicts
    table = summarise(state)
    return render(
        "study.html",
        title=f"{sweep.study} @ {sweep.scale}",
        sweep=sweep,
        table_title=title_for_display(table),
        meaning=table.meaning,
        answer=summary(verdicts) if verdicts else _answer(table),
        verdicts=verdicts,
        published=[verdict for verdict in verdicts if verdict.published_effect is not None],
        forest=_forest(table),
        arms=_arms_table(table),
        contrasts=_contrasts(table),
        notes=notes_for_display(table),
        ablation=ablation_section(state),
        searches=search_sections(state, source.importance),
        has_importance=not isinstance(source.importance, str),
        controls=_controls(table, sweep),
        probes=_probes(state),
        curves=_curves(state),
        failures=_failures(source),
        methods=facts_of_method(state, sweep, table, has_claims=bool(verdicts)),
        provenance=facts_of_provenance(state, sweep, has_claims=bool(verdicts)),
        commands=_commands(source),
        downloads=_downloads(source, table),
    )


def _answer(table: ResultTable) -> str:
    """Return what the table says, for a study without claims."""
    said = [external_note(row, table) for row in table.external]
    rows = [row for row in table.rows if row.role != "baseline"]
    if table.baseline is not None and rows:
        counts = Counter(short_conclusion(row.reading) for row in rows)
        listed = ", ".join(f"{count} {reading}" for reading, count in counts.items())
        arms = "1 arm is" if len(rows) == 1 else f"{len(rows)} arms are"
        said.append(f"{arms} compared with {table.baseline.arm}: {listed}")
    caveat = ["scale smoke shows that a study runs, nothing else"] if table.scale == SMOKE else []
    parts = ["no claim is declared", *caveat, *said]
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)


def _forest(table: ResultTable) -> Figure | None:
    if any(row.delta is not None for row in table.rows):
        drawn = forest_figure(table, "Every arm against the baseline")
        return Figure(inline_svg(drawn, "forest", "difference of each arm to the baseline"), _FOREST_CAPTION)
    if not any(row.values for row in table.rows):
        return None
    drawn = arms_figure(table, "Every arm")
    return Figure(inline_svg(drawn, "forest", "mean of each arm"), _ARMS_CAPTION)


_FOREST_CAPTION = (
    "Diamond and bar: mean difference with its interval, not adjusted for the number of arms. Dots: the paired "
    "difference of each seed. Hollow: seeds are missing."
)
_ARMS_CAPTION = "Diamond and bar: mean with its interval. Dots: seeds. Dashed: simple models that learn no weights."


def _arms_table(table: ResultTable) -> Cells:
    headers, rows = rows_for_display(table)
    more = ["p", "p, Holm", "parameters", "s/replicate"]
    extended = [
        [
            *cells,
            p_value(row.p),
            p_value(row.p_adjusted),
            f"{row.num_parameters:,}",
            "–" if row.seconds is None else f"{row.seconds:.0f}",
        ]
        for row, cells in zip(table.rows, rows, strict=True)
    ]
    return Cells([*headers, *more], extended, [*RIGHT_ALIGNED, *[True] * len(more)])


def _contrasts(table: ResultTable) -> Cells | None:
    if not table.contrasts:
        return None
    headers, rows = contrasts_for_display(table)
    return Cells(headers, rows, CONTRAST_RIGHT_ALIGNED, contrasts_title(table))


def _controls(table: ResultTable, sweep: SweepInfo) -> dict[str, Any]:
    """Return the arms declared as controls, the figure of means with the references, and external agreement."""
    values = any(row.values for row in table.rows)
    has_forest = any(row.delta is not None for row in table.rows)
    figure = None
    if values and has_forest:
        svg = inline_svg(arms_figure(table, "Every arm and simple references"), "arms", "mean of each arm")
        figure = Figure(svg, _ARMS_CAPTION)
    return {
        "named": [(arm.arm, arm.note) for arm in sweep.arms if arm.role == "control"],
        "figure": figure,
        "external": [external_note(row, table) for row in table.external],
    }


def _probes(state: JournalState) -> Cells | None:
    headers, rows = probes_for_display(state)
    kept = [0, *(i for i in range(1, len(headers)) if any(row[i] != "–" for row in rows))]
    if len(kept) == 1:
        return None
    cells = [[row[i] for i in kept] for row in rows]
    return Cells([headers[i] for i in kept], cells, [False, *[True] * (len(kept) - 1)], PROBES_NOTE)


def _curves(state: JournalState) -> Figure | str:
    """Return the metric over training; why there is none, where no arm reports it twice."""
    try:
        found = curves_of(state, None)
    except ValueError as error:
        return str(error)
    drawn = inline_svg(
        curves_figure(found, f"{found.metric.name} of every arm"), "curves", f"{found.metric.name} over training"
    )
    return Figure(drawn, f"{found.metric.name}: {found.metric.meaning}.")


def _failures(source: StudySource) -> Cells | None:
    """Return the replicates that were planned and have no result, each with what it said.

    A search stops candidates on purpose: that is no failure.
    """
    names = {arm.config_id: arm.arm for arm in source.sweep.units}
    rows = [
        [
            names[arm.config_id],
            str(seed),
            _status(source.state, arm.config_id, seed),
            *_last(source.state, arm.config_id, seed),
        ]
        for arm in source.sweep.units
        for seed in arm.seeds
        if _status(source.state, arm.config_id, seed) not in {"finished", "pruned"}
    ]
    if not rows:
        return None
    return Cells(["arm", "seed", "status", "last step", "message"], rows, [False, True, False, True, False])


def _status(state: JournalState, config_id: str, seed: int) -> str:
    replicate = state.replicates.get((config_id, seed))
    return "not started" if replicate is None else replicate.status or "not ended"


def _last(state: JournalState, config_id: str, seed: int) -> tuple[str, str]:
    replicate = state.replicates.get((config_id, seed))
    if replicate is None:
        return "–", ""
    return (f"{replicate.reports[-1].step:,}" if replicate.reports else "–"), replicate.message


def _commands(source: StudySource) -> list[tuple[str, str]]:
    study = f"{source.given} --scale {source.sweep.scale}"
    commands = [("run what is missing", f"phasesweep run {study}")]
    if source.sweep.search is None:
        arm = source.sweep.arms[0]
        again = f"phasesweep run {study} --only {arm.arm}@{arm.seeds[0]}"
        commands.append(("run one replicate elsewhere", f"PHASESWEEP_RESULTS=elsewhere {again}"))
    return [
        *commands,
        ("print the verdicts", f"phasesweep verdicts {study}"),
        ("write this page", f"phasesweep report {study}"),
        ("write a kit that verifies itself", f"phasesweep kit {study}"),
    ]


def _downloads(source: StudySource, table: ResultTable) -> Iterator[tuple[str, str, str]]:
    """Yield (file name, what it is, address) of what the page carries."""
    stem = f"{source.sweep.study}-{source.sweep.scale}"
    rows = csv_bytes(rows_of("replicates", source.state, source.sweep, source.fields))
    verdicts = json.dumps([asdict(verdict) for verdict in source.verdicts], indent=1, ensure_ascii=False).encode()
    results = json.dumps(asdict(table), indent=1, ensure_ascii=False).encode()
    yield f"{stem}.jsonl.gz", "the journal", download(gzipped(source.journal), "application/gzip")
    yield f"{stem}.csv.gz", "a row a replicate", download(gzipped(rows), "application/gzip")
    yield f"{stem}-results.json", "the table of arms", download(results, "application/json")
    if source.verdicts:
        yield f"{stem}-verdicts.json", "the verdicts", download(verdicts, "application/json")
