"""Descriptions of runs and experiments in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.records.description import ArmInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.report.tables import render_markdown, short_conclusion
from analysis.results.arms import summarise
from analysis.results.table import ResultRow

MAX_EXPERIMENT_CHARACTERS = 20_000
"""Longest description of an experiment that MLflow takes."""

_LEVELS = (
    "Top-level runs are configurations (`phasesweep.level` = `configuration`); the seeds of each are its child "
    "runs; runs called `sweep …` are launches. `.ci_low` and `.ci_high` bound the mean over seeds."
)
_MORE = "\n\nMore than MLflow takes: `phasesweep results` prints all."


def configuration(arm: ArmInfo, rows: Mapping[str, ResultRow]) -> str:
    """Describe a configuration: its change, and how each metric compares with the baseline's."""
    changes = ", ".join(f"`{name}` = {value}" for name, value in arm.parameters.items())
    differs = f"Differs from the study's base: {changes}." if changes else "As the study's base."
    readings = [f"- `{name}`: {short_conclusion(row.reading)}" for name, row in rows.items()]
    intro = f"**{arm.arm}** ({arm.role}), {arm.num_parameters:,} parameters. {differs}"
    return "\n\n".join(part for part in (intro, arm.note, "\n".join(readings)) if part)


def sweep(info: SweepInfo) -> str:
    """Describe a sweep: what it is a launch of."""
    return f"**{info.title}**, study `{info.study}` at scale `{info.scale}`: {len(info.arms)} arms."


def experiment(state: JournalState) -> str:
    """Describe an experiment: how to read its runs, its claims, and its arms compared by the primary metric."""
    if state.sweep is None:
        return ""
    claims = [f"- {claim.id}: {claim.statement}" for claim in state.sweep.claims]
    if claims:
        claims.insert(0, "Claims, which `phasesweep verdicts` judges:\n")
    parts = (f"**{state.sweep.title}**", _LEVELS, "\n".join(claims), render_markdown(summarise(state)))
    text = "\n\n".join(part for part in parts if part)
    if len(text) <= MAX_EXPERIMENT_CHARACTERS:
        return text
    return text[: MAX_EXPERIMENT_CHARACTERS - len(_MORE)].rpartition("\n")[0] + _MORE
