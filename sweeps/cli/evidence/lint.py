"""The verb `lint`: whether reported numbers can be as they are printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.reported import prose
from analysis.reported.finding import Linted
from analysis.reported.record import RecordError, library, read_record
from sweeps.console import Output
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, UserError

if TYPE_CHECKING:
    from sweeps.cli.schemas.evidence import LintJson

_RECORDS = (".yaml", ".yml")


def lint(output: Output, paths: Sequence[Path]) -> int:
    """Print what is wrong with reported numbers; return the exit code: 0 if nothing is, 1 if something is.

    Args:
        output: Where to print.
        paths: Markdown or text files, folders of Markdown, records in YAML; none: the four published documents.

    Raises:
        UserError: If a file is missing, or none of these.
    """
    found = [_linted(file) for path in paths for file in _files(path)] if paths else library()
    num_findings = sum(len(one.findings) for one in found)
    if output.emit:
        output.emit(_as_json(found))
    for one in found:
        if one.findings:
            output.say(one.title, style="bold")
        for finding in one.findings:
            line = "" if finding.line is None else f":{finding.line}"
            output.say(f"  {finding.document}{line}: {finding.rule}: {finding.text}")
    checked = sum(one.num_checks for one in found)
    documents = "1 document" if len(found) == 1 else f"{len(found)} documents"
    said = {0: "no findings", 1: "1 finding"}.get(num_findings, f"{num_findings} findings")
    output.say(f"{documents}, {checked} statements checked: {said}")
    return EXIT_FAILURES if num_findings else EXIT_DONE


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        found = sorted(path.rglob("*.md"))
        if not found:
            raise UserError(f"lint {path}: no .md file in this folder")
        yield from found
    elif not path.is_file():
        raise UserError(f"lint {path}: no such file (looked in {Path.cwd()})")
    elif path.suffix not in (*prose.SUFFIXES, *_RECORDS):
        raise UserError(f"lint {path}: the name must end in {', '.join((*prose.SUFFIXES, *_RECORDS))}")
    else:
        yield path


def _linted(path: Path) -> Linted:
    try:
        return read_record(path) if path.suffix in _RECORDS else prose.read_prose(path)
    except (RecordError, prose.UnreadableFileError) as error:
        raise UserError(f"lint: {error}") from error


def _as_json(found: Sequence[Linted]) -> LintJson:
    return {
        "documents": [
            {
                "document": one.document,
                "title": one.title,
                "checks": one.num_checks,
                "findings": [
                    {"line": finding.line, "rule": finding.rule, "text": finding.text} for finding in one.findings
                ],
            }
            for one in found
        ]
    }
