"""Publish results: compact a journal, and rebuild the tables and figures of the documentation from it.

    python -m analysis.report.publish compact RESULTS_FOLDER docs/results/NAME.jsonl
    python -m analysis.report.publish readme [--check]

A page has blocks between markers that stand alone on their lines:

    <!-- table: NAME -->
    <!-- /table -->

Whatever is between them is replaced by content generated from `docs/results/NAME.jsonl`, for the primary metric
or, as NAME[METRIC], for another one. Kinds of blocks:

    table       the arms with their intervals, and the planned contrasts, as Markdown
    contrasts   the planned contrasts alone, as Markdown
    figure      a forest plot of every arm's difference to the baseline
    arms        a figure of every arm's mean, its seeds and the references
    curves      a figure of the metric over training, with the null of a probe
    bands       a figure of the metric by band of a long text
    cells       a figure of the metric by length and depth, a heat map an arm
    steps       the metric of every arm at steps of the training, as Markdown
    provenance  one line: how many runs, how they ended, their cost, and the software versions
    terminal    the table as `phasesweep results` prints it
    verdicts    what the results say of the claims that the journal describes
    ablation    the effects of an ablation, as Markdown
    effects     a forest plot of them
    probes      leak, order parameters with their nulls, and coupling of every arm
    beside      studies with the same arms in one table: <!-- beside: NAME + OTHER -->

Markers inside fenced code are left alone.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.records.compact import compact_journal
from analysis.records.description import JournalError, SweepInfo
from analysis.records.journal import JournalState, read_journal
from analysis.report.ablations import ablation_markdown, effects_forest, table_of
from analysis.report.curves import learning_curves
from analysis.report.figures import arms, forest
from analysis.report.positions import by_band, by_cell
from analysis.report.probes import probes_markdown
from analysis.report.provenance import provenance_line
from analysis.report.steps import steps_markdown
from analysis.report.tables import render_contrasts, render_markdown, render_side_by_side, render_text
from analysis.report.verdicts import verdicts_markdown
from analysis.results.arms import summarise
from analysis.results.curves import curve_metric
from analysis.results.table import ResultTable

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[\w/]+\])?"
_MARKER = re.compile(rf"^<!-- (?P<close>/)?(?P<kind>[a-z]+)(?:: (?P<name>{_NAME}(?: \+ {_NAME})*))? -->$")


class PublishError(ValueError):
    """A page or a journal that cannot be published; the message names file, line and fix."""


@dataclass(frozen=True)
class Block:
    """The input of a block's renderer: the results, and where its figures go."""

    name: str
    state: JournalState
    staging: Path
    """Folder into which figures are written."""
    link: str
    """The figures' folder relative to the page."""
    metric: str | None = None
    """The metric that is shown; None: the primary one."""

    def sweep(self) -> SweepInfo:
        """Return the description of the sweep.

        Raises:
            JournalError: If the journal has none.
        """
        if self.state.sweep is None:
            raise JournalError("the journal has no `sweep` line")
        return self.state.sweep

    def table(self) -> ResultTable:
        """Return the summary of the metric that is shown."""
        return summarise(self.state, self.metric)

    def image(self, kind: str, description: str, draw: Callable[[Path], object]) -> str:
        """Draw a figure into the staging folder and return its Markdown."""
        metric = f"-{self.metric.replace('/', '-')}" if self.metric else ""
        file = f"{self.name}{metric}-{kind}.svg"
        draw(self.staging / file)
        return f"![{description}]({self.link}/{file})\n"


def _render_forest(block: Block) -> str:
    table = block.table()
    return block.image(
        "forest", f"{table.metric}: difference of each arm to the baseline", lambda path: forest(table, path)
    )


def _render_arms(block: Block) -> str:
    table = block.table()
    return block.image("arms", f"{table.metric}: mean of each arm", lambda path: arms(table, path))


def _render_curves(block: Block) -> str:
    metric = block.metric or curve_metric(block.state, block.sweep()).name
    return block.image("curves", f"{metric} over training", lambda path: learning_curves(block.state, metric, path))


def _drawn(
    kind: str, what: str, draw: Callable[[JournalState, str | None, Path], object]
) -> Callable[[Block], str]:
    def rendered(block: Block) -> str:
        description = f"{block.metric or block.sweep().primary_metric}{what}"
        return block.image(kind, description, lambda path: draw(block.state, block.metric, path))

    return rendered


def _of_one(render: Callable[[Block], str]) -> Callable[[Sequence[Block]], str]:
    """Return a renderer that refuses more than one journal."""

    def rendered(blocks: Sequence[Block]) -> str:
        if len(blocks) != 1:
            raise ValueError(f"this block shows one journal, got {', '.join(block.name for block in blocks)}")
        return render(blocks[0])

    return rendered


RENDERERS: dict[str, Callable[[Sequence[Block]], str]] = {
    "table": _of_one(lambda block: render_markdown(block.table())),
    "contrasts": _of_one(lambda block: render_contrasts(block.table())),
    "figure": _of_one(_render_forest),
    "arms": _of_one(_render_arms),
    "curves": _of_one(_render_curves),
    "bands": _of_one(_drawn("bands", " by position", by_band)),
    "cells": _of_one(_drawn("cells", " by position", by_cell)),
    "steps": _of_one(lambda block: steps_markdown(block.state, block.metric)),
    "provenance": _of_one(lambda block: f"{provenance_line(block.state)}\n"),
    "terminal": _of_one(lambda block: f"```text\n{render_text(block.table())}```\n"),
    "verdicts": _of_one(lambda block: verdicts_markdown(block.state)),
    "ablation": _of_one(lambda block: ablation_markdown(block.state, block.metric)),
    "effects": _of_one(
        _drawn(
            "effects",
            ": effects of the components",
            lambda state, metric, path: effects_forest(table_of(state, metric), path),
        )
    ),
    "probes": _of_one(lambda block: probes_markdown(block.state)),
    "beside": lambda blocks: render_side_by_side([block.table() for block in blocks]),
}
"""Renderer of each kind of block. A new kind is one entry."""


GUIDE_MARKERS = frozenset({"file", "test"})
"""Kinds of `<!-- kind: … -->` that are no blocks: they tell the test that runs the guides' commands what to do."""


def rebuild(root: Path, *, check: bool = False) -> list[Path]:
    """Rebuild every block in README.md and the pages under docs/, and the figures they show.

    Args:
        root: The repository.
        check: Write nothing.

    Returns:
        The files that changed, or that would change if `check` is set.

    Raises:
        PublishError: If a marker is malformed or its journal is missing or unreadable.
    """
    pages = [page for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))) if page.is_file()]
    changed = []
    with tempfile.TemporaryDirectory() as folder:
        staging = Path(folder)
        contents = {page: _rebuild_page(root, page, staging).encode() for page in pages}
        for figure in sorted(staging.iterdir()):
            contents[root / "docs" / "figures" / figure.name] = figure.read_bytes()
    for path, content in contents.items():
        if path.is_file() and path.read_bytes() == content:
            continue
        changed.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return changed


def _rebuild_page(root: Path, page: Path, staging: Path) -> str:
    output: list[str] = []
    opened: tuple[str, str] | None = None
    is_fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        where = f"{page.relative_to(root)}:{number}"
        marker = _MARKER.match(line.rstrip("\n"))
        if opened is not None:
            if marker is None:
                continue  # the block's previous content
            if not marker["close"] or marker["kind"] != opened[0]:
                raise PublishError(f"{where}: expected <!-- /{opened[0]} --> before this line")
            opened = None
        elif line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif marker is not None and not is_fenced:
            opened = _open(marker, where)
        output.append(line)
        if opened is not None:
            output.append(f"\n{_render(root, page, staging, opened, where=where)}\n")
    if opened is not None:
        raise PublishError(f"{page.relative_to(root)}: <!-- {opened[0]}: {opened[1]} --> is never closed")
    return "".join(output)


def _open(marker: re.Match[str], where: str) -> tuple[str, str] | None:
    """Return kind and name of the block that a marker opens; None for a comment that only resembles one."""
    kind, name = marker["kind"], marker["name"]
    if kind in GUIDE_MARKERS:
        return None
    if kind in RENDERERS and marker["close"]:
        raise PublishError(f"{where}: <!-- /{kind} --> closes nothing")
    if kind in RENDERERS and not name:
        raise PublishError(f"{where}: <!-- {kind} --> needs a name, as in <!-- {kind}: NAME -->")
    if name and kind not in RENDERERS:
        raise PublishError(f"{where}: unknown block '{kind}'; known: {', '.join(RENDERERS)}")
    return (kind, name) if name else None


def _render(root: Path, page: Path, staging: Path, block: tuple[str, str], *, where: str) -> str:
    kind, names = block
    link = Path(os.path.relpath(root / "docs" / "figures", page.parent)).as_posix()
    try:
        blocks = []
        for shown in names.split(" + "):
            name, _, metric = shown.rstrip("]").partition("[")
            blocks.append(Block(name, _read(root, name, where=where), staging, link, metric or None))
        return RENDERERS[kind](blocks)
    except PublishError:
        raise
    except ValueError as error:  # includes JournalError: the results lack what this block shows
        raise PublishError(f"{where}: {error}") from error


def _read(root: Path, name: str, *, where: str) -> JournalState:
    journal = root / "docs" / "results" / f"{name}.jsonl"
    if not journal.is_file():
        raise PublishError(
            f"{where}: no {journal.relative_to(root)}; make it with "
            f"`python -m analysis.report.publish compact RESULTS_FOLDER {journal.relative_to(root)}`"
        )
    return read_journal(journal)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 done, 1 `--check` found changes, 2 bad input."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report.publish", description="Publish results.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    compact = verbs.add_parser("compact", help="merge the journals of a results folder into one small file")
    compact.add_argument("results", type=Path, help="results folder, as results/STUDY/SCALE")
    compact.add_argument("target", type=Path, help="file to write, as docs/results/NAME.jsonl")
    readme = verbs.add_parser("readme", help="rebuild tables and figures in README.md and docs/")
    readme.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything would change")
    readme.add_argument("--root", type=Path, default=Path(), help="repository (default: this folder)")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "compact":
            _write_compact(options.results, options.target)
            return 0
        changed = rebuild(options.root, check=options.check)
    except (FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for path in changed:
        print(f"{'would change' if options.check else 'wrote'} {path}")
    return 1 if options.check and changed else 0


def _write_compact(results: Path, target: Path) -> None:
    text = compact_journal(results)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(f"wrote {target} ({len(text.encode()) / 1000:.0f} kB)")


if __name__ == "__main__":
    raise SystemExit(main())
