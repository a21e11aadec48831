"""The verb `verdicts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from analysis.report.verdicts import HEADERS, cells, notes
from analysis.verdicts.verdict import Verdict, Verdicts
from sweeps.cli.evidence.judged import claims_of, judged_journal, verdicts_of
from sweeps.console import Output, text_table
from sweeps.errors import UserError
from sweeps.fields import check_scale
from sweeps.studies.catalogue import library


def verdicts(output: Output, name: str | None, scale: str, sets: Iterable[str]) -> None:
    """Print the verdicts on the claims of a study, of a compact journal, or of every study of the library."""
    chosen, texts = check_scale(scale), list(sets)
    if name is None and texts:
        raise UserError("--set overrides a field of one study: name the study")
    if name is not None and name.endswith(".jsonl"):
        found = [*judged_journal(Path(name), "verdicts").verdicts]
    else:
        names = [name] if name is not None else [each for each in library() if claims_of(each)]
        found = [verdict for each in names for verdict in verdicts_of(each, chosen, texts)]
    studies = dict.fromkeys(verdict.study for verdict in found)
    printed = Verdicts(
        study=next(iter(studies)) if len(studies) == 1 else None,
        scale=found[0].scale if found else chosen,
        claims=tuple(found),
    )
    output.show(printed, lambda out: _print_verdicts(out, found))


def _print_verdicts(out: Console, found: Sequence[Verdict]) -> None:
    if not found:
        out.print("no claims are declared", markup=False)
        return
    for experiment, group in _by_experiment(found):
        out.print(f"{experiment}\n", markup=False)
        table = text_table(*HEADERS, right=[3, 4])
        for row in cells(group):
            table.add_row(*row)
        out.print(table)
        out.print("", *notes(group), "", sep="\n", markup=False)


def _by_experiment(found: Sequence[Verdict]) -> Iterator[tuple[str, list[Verdict]]]:
    titles = dict.fromkeys(f"{verdict.study}@{verdict.scale}" for verdict in found)
    for title in titles:
        yield title, [verdict for verdict in found if f"{verdict.study}@{verdict.scale}" == title]
