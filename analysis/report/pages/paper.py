"""What a paper takes from a study: its tables as Markdown and LaTeX, its figures as PDF with their data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.records.journal import JournalState
from analysis.report import verdicts as of_claims
from analysis.report.curves import learning_curves
from analysis.report.figures import arms, forest
from analysis.report.tables import (
    CONTRAST_RIGHT_ALIGNED,
    RIGHT_ALIGNED,
    contrasts_for_display,
    contrasts_title,
    markdown_table,
    notes_for_display,
    rows_for_display,
    title_for_display,
)
from analysis.results.arms import summarise
from analysis.results.table import ResultTable
from analysis.verdicts.verdict import Verdict


@dataclass(frozen=True)
class PaperTable:
    """A table with what must be known to read it."""

    name: str
    """Of its files, and its label."""
    title: str
    headers: Sequence[str]
    rows: Sequence[list[str]]
    right: Sequence[bool]
    """Which columns align right."""
    notes: Sequence[str]

    def markdown(self) -> str:
        """Return it for GitHub, or whatever reads Markdown."""
        lines = [f"**{self.title}**", "", *markdown_table(self.headers, self.rows, self.right)]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        """Return a float for LaTeX with the package booktabs."""
        columns = "".join("r" if right else "l" for right in self.right)
        lines = [r"\begin{table}", r"\centering"]
        lines += [rf"\caption{{{latex_text(self.title)}}}", rf"\label{{tab:{self.name}}}"]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(self.headers), r"\midrule"]
        lines += [_latex_row(row) for row in self.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
        if self.notes:
            said = " ".join(f"{latex_text(note)}." for note in self.notes)
            lines += [r"\par\smallskip", rf"{{\footnotesize {said}\par}}"]
        return "\n".join([*lines, r"\end{table}"]) + "\n"


@dataclass(frozen=True)
class Paper:
    """What was written, and what there is none of."""

    files: list[Path]
    missing: list[str]
    """Why a figure is not there."""


def write_paper(state: JournalState, verdicts: Sequence[Verdict], folder: Path) -> Paper:
    """Write every table and figure of a study into a folder, replacing those of the same name.

    Args:
        state: The journal, with a description of its sweep.
        verdicts: On the study's claims.
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = summarise(state)
    written = []
    for each in paper_tables(table, verdicts):
        for suffix, text in ((".md", each.markdown()), (".tex", each.latex())):
            path = folder / f"{each.name}{suffix}"
            path.write_text(text, encoding="utf-8")
            written.append(path)
    return _with_figures(state, table, folder, Paper(written, []))


def paper_tables(table: ResultTable, verdicts: Sequence[Verdict]) -> Iterator[PaperTable]:
    """Yield the tables of arms, of planned contrasts and of claims, as far as there are any."""
    headers, rows = rows_for_display(table)
    yield PaperTable("results", title_for_display(table), headers, rows, RIGHT_ALIGNED, notes_for_display(table))
    if table.contrasts:
        headers, rows = contrasts_for_display(table)
        meanings = [f"{row[0]}: {contrast.meaning}" for row, contrast in zip(rows, table.contrasts, strict=True)]
        yield PaperTable("contrasts", contrasts_title(table), headers, rows, CONTRAST_RIGHT_ALIGNED, meanings)
    if verdicts:
        title = f"Claims of {table.study} @ {table.scale}"
        rows = of_claims.cells(verdicts)
        notes = of_claims.notes(verdicts)
        yield PaperTable("verdicts", title, of_claims.HEADERS, rows, of_claims.RIGHT_ALIGNED, notes)


def _with_figures(state: JournalState, table: ResultTable, folder: Path, paper: Paper) -> Paper:
    """Draw differences, means and curves, and add them to what was written."""
    if any(row.delta is not None for row in table.rows):
        paper.files.extend(forest(table, folder / "forest.pdf"))
    if any(row.values for row in table.rows):
        paper.files.extend(arms(table, folder / "arms.pdf"))
    try:
        paper.files.extend(learning_curves(state, None, folder / "curves.pdf"))
    except ValueError as error:
        paper.missing.append(f"no curves: {error}")
    return paper


def latex_text(text: str) -> str:
    """Return text for LaTeX: its special characters escaped, and letters of the field as commands."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


_GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "θ": "theta", "π": "pi", "σ": "sigma", "φ": "varphi", "χ": "chi"}
_LATEX = {
    **{letter: rf"\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\to$",
    "²": "$^2$",
    "½": r"$\frac{1}{2}$",
    "†": r"\dag{}",
    "√": r"$\surd$",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "Δ": r"$\Delta$",
    "ω": r"$\omega$",
    **{letter: rf"$\{name}$" for letter, name in _GREEK.items()},
}
