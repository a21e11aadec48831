"""Verdicts in words: cells of a table, and the sentence behind each."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.records.journal import JournalState
from analysis.report.tables import format_number, markdown_table
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import EffectKind, Reason, Verdict

HEADERS = ("claim", "verdict", "because", "effect", "n", "declared")
RIGHT_ALIGNED = (False, False, False, True, True, False)

MEANINGS: dict[Reason, str] = {
    "effect": "its own comparison says so",
    "control": "a model without the mechanism shows the same, or is not shown to be worse",
    "margin": "its margin decides",
    "failures": "replicates failed, and a mean over survivors settles nothing",
    "power": "these seeds do not separate it",
    "no variance": "nothing varies over seeds, so there is no test",
    "incomplete": "planned seeds are still to run, or were pruned",
    "not measured": "an arm does not report the metric",
    "not run": "an arm has no results here",
    "scale": "this scale cannot settle it: it indicates at most",
    "declared after": "in this form it is not known to have been declared before the data",
}
"""What each reason means, for the lines below a table."""

_SIGNIFICANT_DIGITS = 3


def cells(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """Return a row a verdict, under `HEADERS`."""
    return [
        [
            verdict.id,
            word_of(verdict),
            ", ".join(verdict.because) or "–",
            effect(verdict),
            str(verdict.n) if verdict.n else "–",
            verdict.declared.removesuffix(" the data"),
        ]
        for verdict in verdicts
    ]


def word_of(verdict: Verdict) -> str:
    """Return the outcome; of a study that has run, at a scale whose results are judged by nobody, `not judged`."""
    return "not judged" if verdict.verdict == "not run" and "scale" in verdict.because else verdict.verdict


def effect(verdict: Verdict) -> str:
    """Return the effect with its interval; relative changes in per cent."""
    return effect_of(verdict.effect, verdict.ci_low, verdict.ci_high, verdict.effect_kind)


def effect_of(value: float | None, low: float | None, high: float | None, kind: EffectKind | None) -> str:
    """Return a value of a kind with its interval; relative changes in per cent."""
    if value is None:
        return "–"
    percent = kind == "relative change"
    factor = 100 if percent else 1
    decimals = _decimals([factor * each for each in (value, low, high) if each is not None])
    signed = kind not in {"value", "share"}
    shown = format_number(factor * value, decimals, signed=signed) + (" %" if percent else "")
    if low is None or high is None:
        return shown
    bounds = ", ".join(format_number(factor * bound, decimals, signed=signed) for bound in (low, high))
    return f"{shown} [{bounds}]"


def _decimals(values: Sequence[float]) -> int:
    """Return the decimals that give the largest value `_SIGNIFICANT_DIGITS` digits, and one more below 1."""
    largest = max(map(abs, values))
    return next((digits for digits in range(6) if largest * 10**digits >= 10**_SIGNIFICANT_DIGITS), 5)


def sentences(verdict: Verdict) -> list[str]:
    """Return what a reader must know beside the cells: deciding control, published size, seeds, notes."""
    found = []
    if verdict.control is not None:
        found.append(f"the control that decides: {verdict.control}")
    if verdict.note:
        found.append(verdict.note)
    if verdict.verdict == "inconclusive" and verdict.seeds_needed is not None:
        needed = f"{verdict.seeds_needed} pairs of seeds would find its effect with power .8"
        found.append(f"{needed} (here {verdict.n})")
    return found


def notes(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the lines below the table: each claim's statement and remarks, then what the reasons mean."""
    lines = []
    for verdict in verdicts:
        remarks = sentences(verdict)
        lines.append(f"{verdict.id}: {verdict.statement}" + (f" ({'; '.join(remarks)})" if remarks else ""))
    used = dict.fromkeys(reason for verdict in verdicts for reason in verdict.because)
    return lines + [f"because {reason}: {MEANINGS[reason]}" for reason in used]


def verdicts_markdown(state: JournalState) -> str:
    """Return the verdicts of a journal on the claims that it describes, as Markdown.

    Raises:
        ValueError: If it describes none.
    """
    verdicts = judge_all(state)
    if not verdicts:
        raise ValueError("the journal describes no claims")
    table = markdown_table(HEADERS, cells(verdicts), RIGHT_ALIGNED)
    return "\n".join([*table, "", *(f"- {line}" for line in notes(verdicts))]) + "\n"
