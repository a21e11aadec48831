"""The verbs that read results, or look after them. Each calls one function and decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweeps.cli.options import (
    FollowLog,
    Keep,
    Metric,
    Overrides,
    Plugins,
    Scale,
    StoredStudy,
    UnreadPlugins,
    verb,
)
from sweeps.console import Output


@verb
def status(output: Output, study: StoredStudy) -> None:
    """Show how far a study is, and what runs where."""
    from sweeps.cli.campaign.dispatch import campaign_of
    from sweeps.cli.drivers import status

    campaign = campaign_of(study)
    if campaign is None:
        status.status(output, study)
    else:
        from sweeps.cli.campaign import show

        show.status(output, campaign, study.scale)


@verb
def results(output: Output, study: StoredStudy, metric: Metric = None) -> None:
    """Print the table of arms, with intervals and differences. Of a campaign, its gates."""
    from sweeps.cli import results
    from sweeps.cli.campaign.dispatch import campaign_of

    campaign = campaign_of(study, metric=metric)
    if campaign is None:
        results.results(output, study, metric)
    else:
        from sweeps.cli.campaign import show

        show.results(output, campaign, study.scale)


@verb
def best(
    output: Output,
    study: StoredStudy,
    top: Annotated[int, typer.Option("--top", min=1, help="Candidates to print of each search.")] = 10,
) -> None:
    """Show what a search has found, and its winner on fresh seeds."""
    from sweeps.cli import results

    results.best(output, study, top)


@verb
def ablate(
    output: Output,
    study: StoredStudy,
    metric: Metric = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FIGURE", help="Draw it: .svg, .png or .pdf.")] = None,
) -> None:
    """Show what the components of an ablation are worth."""
    from sweeps.cli.search import ablate

    ablate.ablate(output, study, metric=metric, to=to)


@verb
def curves(
    output: Output,
    study: StoredStudy,
    metric: Metric = None,
    at: Annotated[str | None, typer.Option("--at", metavar="STEPS", help="As 0,100,500; by default five.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FIGURE", help="Draw it: .svg, .png or .pdf.")] = None,
) -> None:
    """Show a metric of every arm over training. A probe stands beside its value in a model without structure."""
    from sweeps.cli import results

    results.curves(output, study, metric=metric, at=at, to=to)


@verb
def compare(
    output: Output,
    a: Annotated[str, typer.Argument(metavar="A", help="STUDY[@SCALE][:ARM], a folder or a journal.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; or :ARM, an arm of the sweep of A.")],
    metric: Annotated[str | None, typer.Option("--metric", help="Another metric than A's own.")] = None,
    plugin: UnreadPlugins = None,
) -> None:
    """Compare two arms, or two sweeps. Prints the fields that differ, and B - A paired by seed."""
    from sweeps.cli import compare

    compare.compare(output, a, b, metric)


@verb
def aggregate(
    output: Output,
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="STUDY[@SCALE], a folder or a journal; one or more.")
    ],
    metric: Metric = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="Only these, as 41,42,43.")] = None,
    plugin: UnreadPlugins = None,
) -> None:
    """Aggregate arms over studies and seeds."""
    from sweeps.cli.evidence import aggregate

    aggregate.aggregate(output, studies, metric, seeds)


@verb
def logs(
    output: Output,
    study: StoredStudy,
    arm: Annotated[str | None, typer.Argument(metavar="[ARM]", help="Of this arm, or configuration id.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of this seed only.")] = None,
    follow: FollowLog = False,
    tail: Annotated[int | None, typer.Option("--tail", min=1, help="Only the last lines of each.")] = None,
) -> None:
    """Print what replicates log. Those of one arm whole, or the last lines of all."""
    from sweeps.cli.drivers import logs

    logs.logs(output, study, arm=arm, seed=seed, follow=follow, tail=tail)


@verb
def export(
    output: Output,
    study: StoredStudy,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A name ending in .csv or .parquet.")],
    what: Annotated[
        str, typer.Option("--what", help="replicates, configurations, curves; published, into a folder.")
    ] = "replicates",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a tidy table of replicates, configurations or curves. Failures are rows too."""
    from sweeps.cli import results

    results.export(output, study, to=to, what=what, force=force)


@verb
def report(
    output: Output,
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="A study, its YAML file, or a compact journal.")
    ] = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    plugin: UnreadPlugins = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="A name ending in .html.")] = None,
    journals: Annotated[
        Path | None, typer.Option("--journals", metavar="FOLDER", help="Of compact journals, instead of results.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Also draw all verdicts: .svg, .png or .pdf.")
    ] = None,
    paper: Annotated[
        Path | None, typer.Option("--paper", metavar="FOLDER", help="Also tables for LaTeX, and figures as PDF.")
    ] = None,
) -> None:
    """Write a page of a study; without one, of all claims."""
    from sweeps.cli.evidence import report

    report.report(output, study, scale, sets or [], to=to, journals=journals, figure=figure, paper=paper)


@verb
def kit(
    output: Output,
    study: Annotated[str, typer.Argument(metavar="STUDY|verify", help="A study with results; or verify.")],
    folder: Annotated[Path | None, typer.Argument(metavar="[KIT]", help="The kit to verify.")] = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    plugin: Plugins = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="By default among the results.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Of verify: only equality to the last bit holds.")] = False,
) -> None:
    """Write a folder by which results are checked, or verify one."""
    from sweeps.cli.evidence import kit, verification
    from sweeps.studies.catalogue import StudyArguments

    if study == "verify":
        raise typer.Exit(verification.verify(output, verification.named(folder), exact=exact))
    kit.kit(output, StudyArguments(study, scale, sets or []), to)


@verb
def diagnose(
    output: Output,
    study: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY[:ARM]]", help="An arm's model, or the baseline's; without it, encodings."),
    ] = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    plugin: Plugins = None,
    encoding: Annotated[
        list[str] | None, typer.Option("--encoding", metavar="NAME", help="Only this encoding; may be repeated.")
    ] = None,
    positions: Annotated[int | None, typer.Option(help="Of encodings, from the first on; 100,000.")] = None,
    width: Annotated[int | None, typer.Option(help="Of an encoding's vector; 64.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="The replicate whose weights are measured; 0.")] = None,
    length: Annotated[int | None, typer.Option(min=1, help="Of a model's sequences; as in training.")] = None,
    sequences: Annotated[int | None, typer.Option(min=1, help="How many of them; 64.")] = None,
    stream_to: Annotated[
        int | None, typer.Option(min=0, help="Longest sequence read in chunks, for its cost; 65,536.")
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(min=0, help="For that; 60.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Write tables and figures.")] = None,
    figures: Annotated[str, typer.Option("--figures", help="svg, png or pdf.")] = "svg",
) -> None:
    """Measure encodings of positions, or one model."""
    from sweeps.cli.diagnosis.diagnose import OfEncodings, OfModels
    from sweeps.cli.diagnosis.diagnose import diagnose as run
    from sweeps.studies.catalogue import StudyArguments

    run(
        output,
        None if study is None else StudyArguments(study, scale, sets or []),
        OfEncodings(encoding, positions, width),
        OfModels(seed, length, sequences, stream_to, max_seconds),
        to=to,
        figures=figures,
    )


@verb
def receipt(output: Output, study: StoredStudy) -> None:
    """Show what a sweep's memory was estimated, reserved and used."""
    from sweeps.cli import results

    results.show_receipt(output, study)


@verb
def stop(output: Output, study: StoredStudy) -> None:
    """Ask the drivers at work on a study to shut down. Exit code 1 if one goes on."""
    from sweeps.cli.drivers import stop

    raise typer.Exit(stop.stop(output, study))


@verb
def gc(
    output: Output,
    study: StoredStudy,
    keep: Keep = "last",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove checkpoints and leftovers that nothing continues from."""
    from sweeps.cli import maintain

    maintain.gc(output, study, keep=keep, dry_run=dry_run)


@verb
def sync(output: Output, study: StoredStudy) -> None:
    """Bring MLflow up to the journal, however often. Exit code 1 if it is behind afterwards."""
    from sweeps.cli import maintain

    raise typer.Exit(maintain.sync(output, study))
