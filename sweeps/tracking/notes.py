"""Descriptions of runs and experiments in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from analysis.records.description import ArmInfo, MetricInfo, SweepInfo
from analysis.records.journal import JournalState
from analysis.records.replicates import Replicate
from analysis.results.arms import summarise
from analysis.results.table import ResultRow, ResultTable

MAX_SEED_ROWS = 40
MAX_ARM_ROWS = 60
"""Most arms in one description, since MLflow refuses longer texts; every arm has a run."""


def number(value: float | None) -> str:
    """Return four significant digits, or a dash where there is no number."""
    return "–" if value is None else f"{value:.4g}"


def interval(low: float | None, high: float | None) -> str:
    """Return `[low, high]`, or a dash where there is no interval."""
    return "–" if low is None or high is None else f"[{number(low)}, {number(high)}]"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    head = list(header)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _changes(parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return "As the study's base."
    return "Differs from the study's base: " + ", ".join(f"`{k}` = {v}" for k, v in parameters.items()) + "."


def _metric(metric: MetricInfo) -> str:
    better = {"minimise": "lower is better", "maximise": "higher is better", "none": "no better end"}
    chance = "" if metric.chance is None else f"; chance {number(metric.chance)}"
    return f"`{metric.name}` ({metric.unit}, {better[metric.direction]}{chance}): {metric.meaning}"


def configuration(
    arm: ArmInfo, sweep: SweepInfo, rows: Mapping[str, ResultRow], replicates: Iterable[Replicate]
) -> str:
    """Describe a configuration: its change, its means with intervals, and each seed."""
    primary = sweep.primary_metric
    metrics = table(
        ("metric", "mean", "95 % interval", "sd", "n", "Δ to baseline", "95 % interval of Δ", "reading"),
        (
            (
                f"**`{name}`**" if name == primary else f"`{name}`",
                number(row.mean),
                interval(row.ci_low, row.ci_high),
                number(row.std),
                str(row.n),
                number(row.delta),
                interval(row.delta_ci_low, row.delta_ci_high),
                row.reading,
            )
            for name, row in rows.items()
            if row.n or name == primary
        ),
    )
    seeds = table(
        ("seed", "status", f"`{primary}`", "seconds", "peak MiB"),
        (
            (
                str(replicate.seed),
                replicate.status or "running",
                number(replicate.final_metrics.get(primary)),
                number(replicate.seconds),
                number(replicate.peak_memory_mib),
            )
            for replicate in sorted(replicates, key=lambda r: r.seed)[:MAX_SEED_ROWS]
        ),
    )
    intro = f"**{arm.arm}** ({arm.role}), {arm.num_parameters:,} parameters. {_changes(arm.parameters)}"
    return "\n\n".join(part for part in (intro, arm.note, metrics, seeds) if part)


def sweep(info: SweepInfo, state: JournalState) -> str:
    """Describe a sweep: its plan, and how its replicates have ended."""
    arms = table(
        ("arm", "role", "parameters", "seeds", "replicates so far"),
        (
            (
                arm.arm,
                arm.role,
                f"{arm.num_parameters:,}",
                " ".join(str(seed) for seed in arm.seeds),
                _statuses(arm, state),
            )
            for arm in info.arms[:MAX_ARM_ROWS]
        ),
    )
    title = f"**{info.title}**, study `{info.study}` at scale `{info.scale}`."
    return _paragraphs(title, arms, _left_out(len(info.arms)))


def _statuses(arm: ArmInfo, state: JournalState) -> str:
    found = (state.replicates.get((arm.config_id, seed)) for seed in arm.seeds)
    counts = Counter((r.status or "running") if r is not None else "waiting" for r in found)
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())


def experiment(state: JournalState) -> str:
    """Describe an experiment: the study, its arms compared by the primary metric, and how to read them."""
    info = state.sweep
    if info is None:
        return ""
    primary = info.primary_metric
    result = summarise(state, primary)
    rows = table(
        ("arm", "mean", "95 % interval", "n", "failed", "Δ to baseline", "95 % interval of Δ", "reading"),
        (
            (
                row.arm,
                number(row.mean),
                interval(row.ci_low, row.ci_high),
                str(row.n),
                str(row.n_failed),
                number(row.delta),
                interval(row.delta_ci_low, row.delta_ci_high),
                row.reading,
            )
            for row in result.rows[:MAX_ARM_ROWS]
        ),
    )
    references = ", ".join(f"{name} {number(score)}" for name, score in result.references.items())
    return _paragraphs(
        f"**{info.title}**",
        f"Study `{info.study}` at scale `{info.scale}`. {_metric(info.metric(primary))}",
        rows,
        _left_out(len(result.rows)),
        f"For comparison: {references}." if references else "",
        _contrasts(result),
        _claims(info),
        "Top-level runs are configurations (`phasesweep.level` = `configuration`); the seeds of each are "
        "its child runs; runs called `sweep …` are launches. `.ci_low` and `.ci_high` bound the mean "
        "over seeds.",
    )


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _left_out(num_arms: int) -> str:
    return f"And {num_arms - MAX_ARM_ROWS} more arms: see the runs." if num_arms > MAX_ARM_ROWS else ""


def _contrasts(result: ResultTable) -> str:
    """Return the planned comparisons of two arms."""
    if not result.contrasts:
        return ""
    rows = table(
        ("contrast", "Δ", "95 % interval of Δ", "pairs", "reading", "what Δ is the size of"),
        (
            (
                f"{row.arm} − {row.against}",
                number(row.delta),
                interval(row.ci_low, row.ci_high),
                str(row.n_pairs),
                row.reading,
                row.meaning,
            )
            for row in result.contrasts
        ),
    )
    return f"Planned contrasts, Holm-adjusted among themselves:\n\n{rows}"


def _claims(info: SweepInfo) -> str:
    """Return the claims of the study as declared, without verdicts."""
    if not info.claims:
        return ""
    rows = table(
        ("claim", "statement", "kind", "settled at", "source"),
        ((c.id, c.statement, c.kind.replace("_", " "), c.settled_at, c.source) for c in info.claims),
    )
    return f"Claims to be settled (declared before the runs):\n\n{rows}"
