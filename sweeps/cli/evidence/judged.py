"""A journal with the verdicts on its study's claims: of a results folder, or of a compact journal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.claims.claim import Claim
from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState, read_journal
from analysis.results.export import Fields
from analysis.verdicts.judge import judge_all, not_run
from analysis.verdicts.verdict import Verdict
from sweeps.cli.library import declared_claims
from sweeps.cli.stored_sweep import find_results, resolved_fields
from sweeps.errors import UserError
from sweeps.store.folder import ResultsFolder
from sweeps.studies.catalogue import StudyHead, find, library


@dataclass(frozen=True)
class Judged:
    """A journal, read and judged."""

    given: str
    """The study as a command line names it."""
    files: Sequence[Path]
    """The journal's files."""
    state: JournalState
    sweep: SweepInfo
    """The newest description in `state`."""
    fields: Fields
    """Maps an arm to all fields of its configuration that are known, with dotted keys."""
    verdicts: Sequence[Verdict]
    overrides: Mapping[str, Any]
    """What `--set` changed, by dotted field; empty for a compact journal, which does not have it."""


def verdicts_of(name: str, scale: str, sets: Iterable[str]) -> list[Verdict]:
    """Return the verdicts on the claims of a study from its results folder, `not run` where there is none."""
    folder = find_results(name, scale, sets)
    judged = judged_folder(folder, name)
    if judged is None:
        return [not_run(claim, folder.study, scale) for claim in claims_of(name) or ()]
    return [*judged.verdicts]


def judged_folder(folder: ResultsFolder, name: str, state: JournalState | None = None) -> Judged | None:
    """Return a results folder's journal, judged by the claims that its study declares today; None before a run.

    Args:
        folder: The results folder.
        name: The study as a command line names it.
        state: The journal, if it has been read.
    """
    state = state or folder.state()
    if state.sweep is None:
        return None

    def fields(arm: ArmInfo) -> Mapping[str, Any]:
        return resolved_fields(folder.path, arm) or arm.parameters

    files = sorted(folder.journal.glob("*.jsonl"))
    overrides = folder.resolved_study().get("overrides") or {}
    return _judged(name, files, state, state.sweep, claims_of(name), fields, overrides)


def judged_journal(path: Path, verb: str) -> Judged:
    """Return a compact journal, judged by the claims that the library's study of this name declares today.

    Raises:
        UserError: If there is no such file, or it describes no sweep; `verb` begins the message.
    """
    if not path.is_file():
        raise UserError(f"{verb} {path}: no such journal (looked in {Path.cwd()})")
    state = read_journal(path)
    if state.sweep is None:
        raise UserError(f"{verb} {path}: it describes no sweep")
    name = state.sweep.study
    claims = claims_of(name) if name in library() else None
    return _judged(name, [path], state, state.sweep, claims, lambda arm: arm.parameters, {})


def claims_of(name: str) -> list[Claim] | None:
    """Return the claims that a study declares today; None if its file is gone, so that its journal's are judged."""
    try:
        path = find(name)
    except UserError:
        return None
    return declared_claims(StudyHead.read(path))


def _judged(
    given: str,
    files: list[Path],
    state: JournalState,
    sweep: SweepInfo,
    claims: list[Claim] | None,
    fields: Fields,
    overrides: Mapping[str, Any],
) -> Judged:
    verdicts = judge_all(state, claims, fields, journal_sha256=_sha256(files))
    return Judged(given, files, state, sweep, fields, verdicts, overrides)


def _sha256(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
