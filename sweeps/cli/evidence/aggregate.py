"""The verb `aggregate`: arms over several studies and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from analysis.report.tables import format_number
from analysis.results.aggregates import AggregateTable, ArmAggregate, Estimate
from analysis.results.aggregates import aggregate as aggregated
from analysis.results.sweeps import Side
from sweeps.cli.compare import Reference, parse_reference
from sweeps.console import Output, text_table
from sweeps.errors import UserError


def aggregate(output: Output, studies: Sequence[str], metric: str | None, seeds: str | None) -> None:
    """Print the arms that all studies have, aggregated over studies and seeds.

    Raises:
        UserError: If a study has no results, or there is nothing to aggregate.
    """
    references = [parse_reference(text, verb="aggregate") for text in studies]
    for text, reference in zip(studies, references, strict=True):
        if reference.arm is not None:
            raise UserError(f"aggregate {text}: name a study, not an arm; arms are those that all studies have")
    if len({reference.source.journal.resolve() for reference in references}) < len(references):
        raise UserError("aggregate: a study is named twice; its runs would count double")
    try:
        table = aggregated(_sides(references), metric, _seeds(seeds))
    except ValueError as error:
        raise UserError(f"aggregate: {error}") from error
    output.show(table, lambda out: _print(out, table))


def _sides(references: Sequence[Reference]) -> list[Side]:
    """Return the sweeps, called study@scale where that tells them apart."""
    sides = [reference.side for reference in references]
    titles = [f"{side.sweep.study}@{side.sweep.scale}" for side in sides]
    if len(set(titles)) < len(titles):
        return sides
    return [replace(side, title=title) for side, title in zip(sides, titles, strict=True)]


def _seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--seeds {text}: write whole numbers, as 41,42,43") from None
    if len(set(found)) < len(found):
        raise UserError(f"--seeds {text}: names one twice")
    return found


def _print(out: Console, table: AggregateTable) -> None:
    named = ", ".join(f"{study} ({metric})" for study, metric in zip(table.studies, table.metrics, strict=True))
    out.print(f"{named}\nscores: 0 at chance, 1 if perfect\n", markup=False)
    headers: tuple[str, ...] = ("arm", "runs", "failed", "IQM", "mean", "optimality gap", "P(better)", "rank")
    main = text_table(*headers, right=range(1, len(headers)))
    for row in table.arms:
        main.add_row(*_cells(row, table))
    out.print(main)
    if table.thresholds:
        profile = text_table("runs above", *(format_number(t, 3) for t in table.thresholds), right=range(1, 9))
        for row in table.arms:
            if row.profile is not None:
                profile.add_row(row.arm, *(f"{100 * share:.0f} %" for share in row.profile))
        out.print("", profile)
    if table.contrasts:
        headers = ("study", "arm", "n", "p", "Holm", "BH", "BY")
        contrasts = text_table(*headers, right=range(2, len(headers)))
        for one in table.contrasts:
            p_values = (one.p, one.p_holm, one.p_false_discovery, one.p_false_discovery_dependent)
            contrasts.add_row(one.study, one.arm, str(one.n), *("–" if p is None else f"{p:.2g}" for p in p_values))
        out.print("", contrasts)
    out.print("", *_notes(table), sep="\n", markup=False)


def _cells(row: ArmAggregate, table: AggregateTable) -> list[str]:
    mark = " †" if row.note else ""
    failed = f"{row.failed} [{row.failed_ci_low:.2f}, {row.failed_ci_high:.2f}]"
    better = "baseline" if row.arm == table.baseline else _estimate(row.improvement)
    rank = "–" if row.mean_rank is None else f"{row.mean_rank:.2f}"
    estimates = [_estimate(one) for one in (row.interquartile_mean, row.mean, row.optimality_gap)]
    return [f"{row.arm}{mark}", str(row.runs), failed, *estimates, better, rank]


def _estimate(one: Estimate | None) -> str:
    if one is None:
        return "–"
    if one.ci_low is None or one.ci_high is None:
        return format_number(one.value, 3)
    return f"{format_number(one.value, 3)} [{format_number(one.ci_low, 3)}, {format_number(one.ci_high, 3)}]"


def _notes(table: AggregateTable) -> list[str]:
    percent = f"{100 * table.confidence:g} %"
    notes = [
        f"intervals: {percent} stratified percentile bootstrap, {table.resamples:,} resamples of each study's "
        "runs; with few runs they cover less often; of failures: Jeffreys",
        "P(better): that a run exceeds one of the baseline on the same study, without pairing of seeds",
    ]
    if table.ranking is not None:
        one = table.ranking
        notes.append(
            f"ranks over {one.count} {one.blocks}: Friedman χ² {one.chi_squared:.2f}, p {one.p:.2g}; mean ranks "
            f"that differ by more than {one.critical_difference:.2f} are different (Nemenyi, .05 for all pairs)"
        )
    if table.contrasts:
        notes.append(
            f"p: against {table.baseline} in each study, paired by seed where seeds are shared; adjusted over all "
            f"{len(table.contrasts)}: Holm (any false one), BH and BY (share of false ones)"
        )
    notes += [f"† {row.arm}: {row.note}: not aggregated" for row in table.arms if row.note]
    if table.left_out:
        notes.append(f"not in all studies: {', '.join(table.left_out)}")
    return notes
