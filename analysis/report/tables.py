"""A result table as aligned text, as GitHub Markdown, or as cells for another renderer.

All three show the same cells: those of `rows_for_display` under `title_for_display`, those of
`contrasts_for_display` under `contrasts_title` if contrasts are planned, and `notes_for_display`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Literal

from analysis.results.comparison import SIGNIFICANCE_LEVEL, Conclusion
from analysis.results.table import ContrastRow, ExternalRow, ResultRow, ResultTable

TEXT_WIDTH = 100
"""Terminal columns that a text table must fit in."""

HEADERS = ("arm", "mean", "95 % interval", "n", "Δ to the baseline", "reading")
RIGHT_ALIGNED = (False, True, True, True, True, False)
"""Alignment of the columns of `HEADERS`."""

CONTRAST_HEADERS = ("contrast", "Δ", "pairs", "reading")
CONTRAST_RIGHT_ALIGNED = (False, True, True, False)
"""Alignment of the columns of `CONTRAST_HEADERS`."""

FAILED_SEEDS_MARK = "†"
"""Marks a mean over survivors only, because other replicates failed."""

SMOKE = "smoke"
SMOKE_NOTE = (
    "scale smoke shows that a study runs: models this small, trained for so few steps, answer no question, "
    "whatever the reading"
)
PROBE_NOTE = (
    "intervals of probes know no bounds: one may pass the largest or least value that a probe can have, "
    "such as 1 for an order parameter"
)

NUM_NAMED = 5
"""Arms that a note names; of more it says how many."""
_NONE = "–"
_SHORT_CONCLUSIONS: dict[str, str] = {"not separable at this n": "not separable"}
DIRECTIONS = {"minimise": "lower is better", "maximise": "higher is better", "none": "no better or worse"}


def rows_for_display(table: ResultTable) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells, one row an arm, the baseline first.

    Means show 4 significant digits, with the same decimals in every row; differences show one decimal more,
    because pairing makes them more precise.
    """
    headers = [h.replace("95 %", _percent(table.confidence)) for h in HEADERS]
    decimals = decimals_for(table)
    return headers, [_cells(row, table, decimals) for row in table.rows]


def contrasts_for_display(table: ResultTable) -> tuple[list[str], list[list[str]]]:
    """Return headers and cells of the planned contrasts, one row each; no rows if none is planned."""
    rows = []
    for row in table.contrasts:
        delta = format_difference(row.delta, row.ci_low, row.ci_high, table)
        rows.append([_name(row), delta, str(row.n_pairs), short_conclusion(row.reading)])
    return list(CONTRAST_HEADERS), rows


def contrasts_title(table: ResultTable) -> str:
    """Return one line that explains how to read the planned contrasts."""
    count = len(table.contrasts)
    return f"planned contrasts, paired by seed, Holm-adjusted over {count} contrast{'s' if count > 1 else ''}"


def title_for_display(table: ResultTable) -> str:
    """Return one line that says what the numbers are."""
    direction = DIRECTIONS[table.direction]
    return f"{table.study} @ {table.scale} · {table.metric}, {table.unit}, {direction}"


def notes_for_display(table: ResultTable) -> list[str]:
    """Return the lines below the table: references, method, and every caveat."""
    decimals = decimals_for(table)
    scores = [f"{name} {format_number(value, decimals)}" for name, value in table.references.items()]
    if table.chance is not None:
        scores.append(f"chance {format_number(table.chance, decimals)}")
    notes = [SMOKE_NOTE] if table.scale == SMOKE else []
    notes += [f"references: {' · '.join(scores)}"] if scores else []
    notes += [external_note(row, table) for row in table.external]
    notes.append(_method_note(table))
    notes += [PROBE_NOTE] if table.metric.startswith("probe/") else []
    notes += scale_notes(table.delta_kind, table.items, table.scored)
    notes += [f"{arms}: {note}" for note, arms in _arms_by_note(table.rows).items()]
    notes += [f"{_name(row)}: {row.meaning}{f' ({row.note})' if row.note else ''}" for row in table.contrasts]
    if table.shared:
        shared = " and ".join(table.shared)
        notes.append(
            f"{shared}: trained once for the arms that start with it, a fixed factor of which n is no sample"
        )
    if others := [row for row in table.rows if row.n_other_code]:
        notes.append(_code_note(others, len(table.rows)))
    if table.stale:
        notes.append(f"{table.stale} replicates in the journal belong to no arm of the newest sweep: ignored")
    return notes


def _arms_by_note(rows: Sequence[ResultRow]) -> dict[str, str]:
    """Return which arms have each note, so that it is printed once."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            found.setdefault(row.note, []).append(f"{_marker(row)}{row.arm}")
    return {note: ", ".join(arms) for note, arms in found.items()}


def _code_note(rows: Sequence[ResultRow], num_arms: int) -> str:
    """Return which results are of other code than the present."""
    named = [row.arm for row in rows[:NUM_NAMED]]
    left = len(rows) - len(named)
    arms = "all arms" if len(rows) == num_arms else f"{', '.join(named)}{f' and {left} more' if left else ''}"
    total = sum(row.n_other_code for row in rows)
    replicates = "1 replicate" if total == 1 else f"{total} replicates"
    return (
        f"of other code than is installed here: {arms} ({replicates}); `plan` says what a new version would run "
        "again, and resume --changed runs all of them again"
    )


def render_text(table: ResultTable) -> str:
    """Render for a terminal of `TEXT_WIDTH` columns; long arm names are truncated, never the numbers."""
    lines = [title_for_display(table), "", *_aligned(*rows_for_display(table), RIGHT_ALIGNED)]
    if table.contrasts:
        cells = contrasts_for_display(table)
        lines += ["", contrasts_title(table), "", *_aligned(*cells, CONTRAST_RIGHT_ALIGNED)]
    lines += ["", *(_wrap(note) for note in notes_for_display(table))]
    return "\n".join(lines) + "\n"


def render_markdown(table: ResultTable) -> str:
    """Render as a GitHub Markdown table, with its notes below as a list."""
    lines = [f"**{_escape(title_for_display(table))}**", ""]
    lines += markdown_table(*rows_for_display(table), RIGHT_ALIGNED)
    if table.contrasts:
        lines += ["", *_contrasts_markdown(table)]
    lines += ["", *(f"- {_escape(note)}" for note in notes_for_display(table))]
    return "\n".join(lines) + "\n"


def render_contrasts(table: ResultTable) -> str:
    """Render only the planned contrasts as a GitHub Markdown table, with what each of them measures.

    Raises:
        ValueError: If the study plans none.
    """
    if not table.contrasts:
        raise ValueError(f"study '{table.study}' plans no contrasts")
    meanings = [f"- {_escape(_name(row))}: {_escape(row.meaning)}" for row in table.contrasts]
    return "\n".join([*_contrasts_markdown(table), "", *meanings]) + "\n"


def _contrasts_markdown(table: ResultTable) -> list[str]:
    rows = markdown_table(*contrasts_for_display(table), CONTRAST_RIGHT_ALIGNED)
    return [f"**{_escape(contrasts_title(table))}**", "", *rows]


def short_conclusion(conclusion: Conclusion) -> str:
    """Return a conclusion in the wording of a table's cell."""
    return _SHORT_CONCLUSIONS.get(conclusion, conclusion)


def decimals_for(table: ResultTable) -> int:
    """Return the decimals that show 4 significant digits of the baseline's mean (or of the first mean)."""
    means = [row.mean for row in table.rows if row.mean is not None]
    return decimals_of(means[0] if means else 0.0)


def decimals_of(value: float) -> int:
    """Return the decimals that show 4 significant digits of `value`."""
    if value == 0.0:
        return 4
    return min(6, max(0, 3 - math.floor(math.log10(abs(value)))))


def format_number(value: float, decimals: int, *, signed: bool = False) -> str:
    """Format with fixed decimals and a typographic minus sign; a value that rounds to 0 has no sign.

    From a million on (a perplexity that exploded) the format is scientific, so that columns stay narrow.
    """
    style = f".{decimals}f" if abs(value) < 1e6 else ".2e"
    text = f"{value:{'+' if signed else ''}{style}}"
    if float(text) == 0.0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def format_delta(row: ResultRow, table: ResultTable) -> str:
    """Format the difference to the baseline with its interval; relative changes in per cent."""
    return format_difference(row.delta, row.delta_ci_low, row.delta_ci_high, table)


def format_difference(difference: float | None, low: float | None, high: float | None, table: ResultTable) -> str:
    """Format a difference of the table's `delta_kind` with its interval; relative changes in per cent."""
    return format_change(difference, low, high, kind=table.delta_kind, decimals=decimals_for(table) + 1)


def format_change(
    difference: float | None,
    low: float | None,
    high: float | None,
    *,
    kind: Literal["difference", "relative"],
    decimals: int,
) -> str:
    """Format a difference with its interval; a relative one in per cent, with 2 decimals."""
    if difference is None:
        return _NONE
    factor, decimals, unit = (100, 2, " %") if kind == "relative" else (1, decimals, "")

    def show(value: float) -> str:
        return format_number(factor * value, decimals, signed=True)

    if low is None or high is None:
        return show(difference) + unit
    return f"{show(difference)}{unit} [{show(low)}, {show(high)}]"


def _cells(row: ResultRow, table: ResultTable, decimals: int) -> list[str]:
    mean = _NONE if row.mean is None else format_number(row.mean, decimals) + _marker(row).strip()
    interval = _NONE
    if row.ci_low is not None and row.ci_high is not None:
        interval = f"[{format_number(row.ci_low, decimals)}, {format_number(row.ci_high, decimals)}]"
    planned = sum(row.statuses.values())
    n = str(row.n) if row.n == planned else f"{row.n}/{planned}"
    return [row.arm, mean, interval, n, format_delta(row, table), short_conclusion(row.reading)]


def _marker(row: ResultRow) -> str:
    return f"{FAILED_SEEDS_MARK} " if row.n_failed and row.mean is not None else ""


def _name(row: ContrastRow) -> str:
    return f"{row.arm} − {row.against}"


def external_note(row: ExternalRow, table: ResultTable) -> str:
    """Return how the baseline agrees with external values, in a line."""
    decimals = decimals_for(table) + 1
    spread = "" if row.std is None else f" (sd {format_number(row.std, decimals)})"
    note = f"external: {row.name}, {row.n} seeds: {format_number(row.mean, decimals)}{spread}"
    if row.difference is not None:
        difference = format_difference(row.difference, row.ci_low, row.ci_high, table)
        note += f"; ours − theirs {difference}"
        kind, margin = table.delta_kind, row.equal_within
        shown = format_change(margin, None, None, kind=kind, decimals=decimals).lstrip("+")
        note += ", no test" if margin is None else f", equal within ± {shown} (two one-sided Welch tests at .05)"
    return f"{note}; ours: {row.note}" if row.note else note


def scale_notes(
    delta_kind: Literal["difference", "relative"], items: int | None, scored: int | None = None
) -> list[str]:
    """Return how means, Δ and intervals are defined if they are not those of the plain values.

    Args:
        delta_kind: Of the table.
        items: A rate's items per seed.
        scored: What is counted in them, if not the items themselves.
    """
    if items is not None:
        counted = "" if scored is None else f" ({scored:,} counted)"
        return [
            f"rates over {items:,} items a seed{counted}: a mean is the average over seeds, Δ the difference of "
            "two; intervals and tests use one logit a seed, ln((hits + ½)/(misses + ½)), and never pool items over "
            "seeds: they are of the typical seed's rate, which is the average where seeds differ little"
        ]
    if delta_kind == "relative":
        return ["means are geometric; Δ is the relative change of the geometric mean"]
    return []


def _method_note(table: ResultTable) -> str:
    tests = sorted({row.comparison for row in table.rows if row.comparison})
    if not tests or not table.family_size:
        return f"{_percent(table.confidence)} intervals over seeds: Student-t"
    comparisons = "1 comparison" if table.family_size == 1 else f"{table.family_size} comparisons"
    pairing = "paired by seed" if tests == ["paired t"] else f"tests: {' and '.join(tests)}"
    return (
        f"Δ: arm − baseline, {pairing}; {_percent(table.confidence)} Student-t intervals over seeds, not adjusted; "
        f"better and worse: Holm-adjusted p < {SIGNIFICANCE_LEVEL:g} over {comparisons}; "
        "not separable is no proof of equality"
    )


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} %"


def _aligned(headers: list[str], rows: list[list[str]], right_aligned: Sequence[bool]) -> list[str]:
    """Return the lines of a table at most `TEXT_WIDTH` wide: only its first column may be truncated."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    gaps = 2 * (len(widths) - 1)
    widths[0] = max(8, min(widths[0], TEXT_WIDTH - gaps - sum(widths[1:])))
    lines = []
    for cells in (headers, ["─" * width for width in widths], *rows):
        cut = [_cut(cells[0], widths[0]), *cells[1:]]
        lines.append("  ".join(map(_pad, cut, widths, right_aligned)).rstrip())
    return lines


def markdown_table(headers: Sequence[str], rows: Sequence[list[str]], right_aligned: Sequence[bool]) -> list[str]:
    """Return the lines of a GitHub Markdown table; the first column is set as code."""
    rule = "|" + "|".join("---:" if right else "---" for right in right_aligned) + "|"
    body = [_markdown_row([f"`{cells[0]}`", *map(_escape, cells[1:])]) for cells in rows]
    return [_markdown_row(headers), rule, *body]


def _pad(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrap(note: str) -> str:
    return textwrap.fill(note, TEXT_WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def render_side_by_side(tables: Sequence[ResultTable]) -> str:
    """Return a Markdown table with a row per arm and, for each study, its mean, its Δ and the conclusion.

    Every Δ is to the baseline of its own study. Arms are those of the first study, then what the others add.

    Raises:
        ValueError: If the studies report different metrics or units, whose columns would not be comparable.
    """
    metrics = {(table.metric, table.unit) for table in tables}
    if len(metrics) != 1:
        shown = ", ".join(f"{table.study}: {table.metric} in {table.unit}" for table in tables)
        raise ValueError(f"studies beside each other need one metric in one unit, got {shown}")
    headers = ["arm", *(cell for table in tables for cell in (f"`{table.study}`", "Δ", "reading"))]
    rows = {table.study: {row.arm: row for row in table.rows} for table in tables}
    names = dict.fromkeys(row.arm for table in tables for row in table.rows)
    body = [
        [name, *(cell for table in tables for cell in _side_by_side_cells(rows[table.study].get(name), table))]
        for name in names
    ]
    ((metric, unit),) = metrics
    note = f"{metric}, {unit}; mean [95 % interval]; Δ is to the baseline of the same study, paired by seed."
    return "\n".join([*markdown_table(headers, body, [False, *[True, True, False] * len(tables)]), "", note]) + "\n"


def _side_by_side_cells(row: ResultRow | None, table: ResultTable) -> list[str]:
    if row is None or row.mean is None:
        return ["–", "–", "–" if row is None else short_conclusion(row.reading)]
    decimals = decimals_for(table)
    mean = format_number(row.mean, decimals)
    if row.ci_low is not None and row.ci_high is not None:
        mean += f" [{format_number(row.ci_low, decimals)}, {format_number(row.ci_high, decimals)}]"
    return [mean, format_delta(row, table), short_conclusion(row.reading)]
