"""The verb `report`: the page of a study, or of all claims."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records.compact import compact_journal
from analysis.records.journal import JournalState
from analysis.report.overview import overview
from analysis.report.pages.claims import answer, claims_page
from analysis.report.pages.decisions import Decision
from analysis.report.pages.paper import write_paper
from analysis.report.pages.study import StudySource, study_page
from analysis.report.sentences import summary
from analysis.verdicts.judge import SMOKE, not_run
from analysis.verdicts.verdict import Verdict
from sweeps.campaigns.campaign import read_campaign
from sweeps.campaigns.catalogue import campaign_library
from sweeps.campaigns.rules import decision_of
from sweeps.cli.evidence.importances import importances_of
from sweeps.cli.evidence.judged import Judged, claims_of, judged_folder, judged_journal
from sweeps.cli.results import check_figure
from sweeps.cli.stored_sweep import find_results, no_results
from sweeps.console import Output
from sweeps.errors import UserError, writing
from sweeps.fields import SCALES, check_scale
from sweeps.store.folder import ResultsFolder, results_root
from sweeps.studies.catalogue import library
from trainables.atomic_write import write_text_atomic

if TYPE_CHECKING:
    from sweeps.cli.schemas.types import ReportJson

PAGE = Path("report") / "report.html"
"""Where a study's page lies in its results folder."""

CLAIMS = "claims.html"


def report(
    output: Output,
    name: str | None,
    scale: str,
    sets: Sequence[str],
    *,
    to: Path | None,
    journals: Path | None,
    figure: Path | None,
    paper: Path | None,
) -> None:
    """Write the page of a study, of a compact journal, or of all claims, and say where it is."""
    chosen = check_scale(scale)
    if to is not None and to.suffix != ".html":
        raise UserError(f"--to {to}: the name must end in .html")
    check_figure(figure, "--figure")
    if name is None:
        if sets:
            raise UserError("--set overrides a field of one study: name the study")
        if paper is not None:
            raise UserError("--paper writes tables and figures of one study: name the study")
        _report_claims(output, to, journals, figure)
        return
    for option, value in (("--journals", journals), ("--figure", figure)):
        if value is not None:
            raise UserError(f"{option} is of the page of all claims: leave out the study")
    if name.endswith(".jsonl"):
        judged = judged_journal(Path(name), "report")
        text, path = judged.files[0].read_text(encoding="utf-8"), Path(f"{Path(name).stem}.html")
    else:
        folder = find_results(name, chosen, sets)
        found = judged_folder(folder, name)
        if found is None:
            raise no_results(folder, name, chosen, sets)
        judged, text, path = found, compact_journal(folder.path), folder.path / PAGE
    page = study_page(source_of(judged, text))
    files = [] if paper is None else _write_paper(output, judged, paper)
    _write(output, to or path, page, judged.sweep.study, judged.sweep.scale, judged.verdicts, files)


def _write_paper(output: Output, judged: Judged, folder: Path) -> list[Path]:
    with writing(f"--paper {folder}"):
        written = write_paper(judged.state, judged.verdicts, folder)
    for reason in written.missing:
        output.say(reason)
    return written.files


def source_of(judged: Judged, journal: str) -> StudySource:
    """Return what the page of a study is made from."""
    return StudySource(
        state=judged.state,
        sweep=judged.sweep,
        verdicts=judged.verdicts,
        journal=journal.encode(),
        fields=judged.fields,
        given=judged.given,
        importance=importances_of(judged),
    )


def write_page(folder: ResultsFolder, name: str, state: JournalState) -> Path:
    """Write the page of a results folder, whose journal has been read, into it; return its path.

    Raises:
        OSError: If it cannot be written.
        ValueError: If the folder has no journal.
    """
    judged = judged_folder(folder, name, state)
    if judged is None:
        raise ValueError(f"{folder.path} has no journal")
    path = folder.path / PAGE
    path.parent.mkdir(exist_ok=True)
    write_text_atomic(path, study_page(source_of(judged, compact_journal(folder.path))))
    return path


def _report_claims(output: Output, to: Path | None, journals: Path | None, figure: Path | None) -> None:
    path = to or results_root() / CLAIMS
    if journals is None:
        verdicts, links = _of_results(path.parent)
        page = claims_page(verdicts, links, decisions=_decisions(verdicts))
    else:
        verdicts, names = _of_journals(journals)
        page = claims_page(verdicts, journals=names, decisions=_decisions(verdicts))
    if figure is not None:
        overview(verdicts, figure)
    _write(output, path, page, None, None, verdicts)


def _of_journals(folder: Path) -> tuple[list[Verdict], dict[str, str]]:
    """Return the verdicts of compact journals, `not run` of other studies of the library, and the files' names."""
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise UserError(f"--journals {folder}: no .jsonl files there")
    judged = [judged_journal(file, "report") for file in files]
    verdicts = [verdict for one in judged for verdict in one.verdicts]
    names = {f"{one.sweep.study}@{one.sweep.scale}": one.files[0].name for one in judged}
    return verdicts + _missing({one.sweep.study for one in judged}), names


def _of_results(page_folder: Path) -> tuple[list[Verdict], dict[str, str]]:
    """Return the verdicts of every scale at which a study has results, and where the studies' pages are."""
    verdicts: list[Verdict] = []
    links: dict[str, str] = {}
    for name in library():
        for scale in (scale for scale in SCALES if scale != SMOKE):
            folder = find_results(name, scale, ())
            judged = judged_folder(folder, name)
            if judged is None:
                continue
            verdicts += judged.verdicts
            if (folder.path / PAGE).is_file():
                relative = os.path.relpath(folder.path / PAGE, page_folder.resolve())
                links[f"{judged.sweep.study}@{scale}"] = Path(relative).as_posix()
    return verdicts + _missing({verdict.study for verdict in verdicts}), links


def _decisions(verdicts: Sequence[Verdict]) -> list[Decision]:
    """Return the rules of every campaign of the library over the verdicts."""
    campaigns = [read_campaign(path, name) for name, path in campaign_library().items()]
    return [found for campaign in campaigns if (found := decision_of(campaign, verdicts)) is not None]


def _missing(known: set[str]) -> list[Verdict]:
    """Return `not run` for the claims of studies without results, at the scale that would settle each."""
    names = [name for name in library() if name not in known]
    return [not_run(claim, name, claim.settled_at) for name in names for claim in claims_of(name) or ()]


def _write(
    output: Output,
    path: Path,
    page: str,
    study: str | None,
    scale: str | None,
    verdicts: Sequence[Verdict],
    files: Sequence[Path] = (),
) -> None:
    with writing(f"--to {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, page)
    if output.emit:
        written: ReportJson = {
            "path": str(path.resolve()),
            "study": study,
            "scale": scale,
            "claims": len(verdicts),
            "bytes": len(page.encode()),
            "paper": [str(file.resolve()) for file in files],
        }
        output.emit(written)
    output.say(answer(verdicts) if study is None else summary(verdicts))
    if files:
        output.say(f"wrote {len(files)} tables, figures and their data into {files[0].parent.resolve()}")
    output.say(f"wrote {path.resolve()} ({len(page.encode()) / 1000:.0f} kB)")
