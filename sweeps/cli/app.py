"""The command line: `phasesweep`, also `python -m sweeps`."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from analysis.records.description import JournalError
from sweeps.cli.options import Gpus, Json, MaxHours, MaxTrials, Overrides, Plugins, Scale, Study
from sweeps.console import without_infinities
from sweeps.errors import EXIT_USER_ERROR, UserError

app = typer.Typer(
    name="phasesweep",
    help="Replicated, memory-packed sweeps of phase and oscillator language models, with intervals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PIPE_WIDTH = 160
"""Columns where no terminal says how many there are: room for a table's rows to stay whole."""

_width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
out = Console(soft_wrap=True, highlight=False, width=_width)


def emit(value: Any) -> None:
    """Print JSON on standard output; what JSON has no number for is null, and that is said."""
    finite, num_lost = without_infinities(value)
    sys.stdout.write(json.dumps(finite, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    if num_lost:
        sys.stderr.write(f"phasesweep: {num_lost} of the numbers exceed every float, and are null\n")


@app.command()
def studies(as_json: Json = False) -> None:
    """List the studies of the library."""
    from sweeps.cli import views

    views.studies(out, emit if as_json else None)


@app.command()
def families(plugin: Plugins = None, as_json: Json = False) -> None:
    """List the architectures and tasks with their fields."""
    from sweeps.cli import views

    views.families(out, emit if as_json else None)


@app.command()
def claims(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Of this study only.")] = None,
    scale: Scale = "laptop",
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """List the declared claims: statement, source, kind of test, and the scale at which each can be settled."""
    from sweeps.cli import library as library_views

    library_views.claims(out, emit if as_json else None, study, scale)


@app.command()
def spaces(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One search space only.")] = None,
    as_json: Json = False,
) -> None:
    """List the search spaces: dimensions with range, unit, meaning and source, and the conditions between them."""
    from sweeps.cli import library as library_views

    library_views.spaces(out, emit if as_json else None, name)


@app.command()
def show(
    study: Study, scale: Scale = "laptop", sets: Overrides = None, plugin: Plugins = None, as_json: Json = False
) -> None:
    """Show a study with every field resolved."""
    from sweeps.cli import views

    views.show(out, emit if as_json else None, study, scale, sets or [])


@app.command()
def schema(
    of: Annotated[str, typer.Argument(metavar="WHAT", help="study, or a verb that has --json.")] = "study",
) -> None:
    """Print the JSON Schema of a study file, or of what a verb prints with --json."""
    from sweeps.cli import views

    views.schema(emit, of)


@app.command()
def plan(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    gpus: Gpus = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Show what would run, what it needs and how long it takes. Starts nothing."""
    from sweeps.cli import views

    views.plan(out, emit if as_json else None, study, scale, sets or [], gpus)


@app.command()
def receipt(
    study: Study, scale: Scale = "laptop", sets: Overrides = None, plugin: Plugins = None, as_json: Json = False
) -> None:
    """Show what a sweep's memory was estimated, reserved and used."""
    from sweeps.cli import receipt as verb

    verb.show(out, emit if as_json else None, study, scale, sets or [])


@app.command()
def estimate(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    arm: Annotated[str | None, typer.Option("--arm", help="Shrink this arm; by default the largest.")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Show where the memory of each size of trial goes, and what would shrink one. Starts nothing."""
    from sweeps.cli import estimate as verb

    verb.estimate(out, emit if as_json else None, study, scale, sets or [], arm=arm)


@app.command()
def run(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    max_hours: MaxHours = None,
    max_trials: MaxTrials = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Run every replicate of a study that is missing, then print the table of arms."""
    from sweeps.cli import run as verb
    from sweeps.run.limits import RunLimits

    limits = RunLimits(max_hours=max_hours, max_trials=max_trials)
    raise typer.Exit(verb.run(out, emit if as_json else None, study, scale, sets or [], limits=limits))


@app.command()
def resume(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    failed: Annotated[bool, typer.Option("--failed", help="Also what crashed or timed out.")] = False,
    oom: Annotated[bool, typer.Option("--oom", help="Also what found no memory.")] = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Also what other code or numerics computed; see the guide.")
    ] = False,
    max_hours: MaxHours = None,
    max_trials: MaxTrials = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Run what `run` runs, and on demand replicates that have ended."""
    from sweeps.cli import run as verb
    from sweeps.plan.selection import Selection
    from sweeps.run.limits import RunLimits

    limits = RunLimits(max_hours=max_hours, max_trials=max_trials)
    chosen = Selection(failed=failed, oom=oom, changed=changed)
    emitter = emit if as_json else None
    raise typer.Exit(verb.run(out, emitter, study, scale, sets or [], limits=limits, selection=chosen))


@app.command()
def submit(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="http://HEAD:8265", help="The cluster's dashboard; by default RAY_ADDRESS."
        ),
    ] = None,
    max_hours: MaxHours = None,
    max_trials: MaxTrials = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when the sweep ends, with its exit code.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Wait, and show what the sweep prints.")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Run a study as a job of a Ray cluster: `run` there, with what it needs sent along."""
    from sweeps.jobs import submit as verb

    order = verb.Order(
        study=study,
        scale=scale,
        sets=tuple(sets or []),
        max_hours=max_hours,
        max_trials=max_trials,
        plugins=tuple(Path(path) for path in plugin or []),
    )
    raise typer.Exit(verb.submit(out, emit if as_json else None, order, address, wait=wait, follow=follow))


@app.command()
def stop(
    study: Study, scale: Scale = "laptop", sets: Overrides = None, plugin: Plugins = None, as_json: Json = False
) -> None:
    """Ask the drivers at work on a study to stop in order, on whatever machine they are. Exit code 1 if not."""
    from sweeps.cli import stop as verb

    raise typer.Exit(verb.stop(out, emit if as_json else None, study, scale, sets or []))


@app.command()
def status(
    study: Study, scale: Scale = "laptop", sets: Overrides = None, plugin: Plugins = None, as_json: Json = False
) -> None:
    """Show how far a study is: replicates by status, and what runs where."""
    from sweeps.cli import status as verb

    verb.status(out, emit if as_json else None, study, scale, sets or [])


@app.command()
def results(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Another metric than the study's own.")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Print the table of arms: mean, interval, n, and the difference to the baseline with its interval."""
    from sweeps.cli import views

    views.results(out, emit if as_json else None, study, scale, sets or [], metric)


@app.command()
def logs(
    study: Study,
    arm: Annotated[str | None, typer.Argument(metavar="[ARM]", help="Of this arm, or configuration id.")] = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of this seed only.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Print new lines until the sweep ends.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=1, help="Only this many of the newest lines.")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Print what replicates log: those of an arm in turn, or the newest lines of all."""
    from sweeps.cli import logs as verb

    emitter = emit if as_json else None
    verb.logs(out, emitter, study, scale, sets or [], arm=arm, seed=seed, follow=follow, tail=tail)


@app.command()
def gc(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    keep: Annotated[
        str, typer.Option("--keep", help="Checkpoints to keep of what can continue: last (all of them) or none.")
    ] = "last",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Remove checkpoints that nothing continues from, and what dead drivers left."""
    from sweeps.cli import maintain

    maintain.gc(out, emit if as_json else None, study, scale, sets or [], keep=keep, dry_run=dry_run)


@app.command()
def sync(
    study: Study, scale: Scale = "laptop", sets: Overrides = None, plugin: Plugins = None, as_json: Json = False
) -> None:
    """Bring MLflow up to the journal, however often. Exit code 1 if it is behind afterwards."""
    from sweeps.cli import sync as verb

    raise typer.Exit(verb.sync(out, emit if as_json else None, study, scale, sets or []))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="STUDY[@SCALE][:ARM], a folder or a journal.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; or :ARM, an arm of the sweep of A.")],
    metric: Annotated[str | None, typer.Option("--metric", help="Another metric than A's own.")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Compare two arms, or the matching arms of two sweeps: differing fields, and B - A paired by seed."""
    from sweeps.cli import compare as verb

    verb.compare(out, emit if as_json else None, a, b, metric)


@app.command()
def export(
    study: Study,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A name ending in .csv or .parquet.")],
    scale: Scale = "laptop",
    sets: Overrides = None,
    what: Annotated[str, typer.Option("--what", help="replicates, configurations or curves.")] = "replicates",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write a tidy table: a row a replicate, a configuration, or a report of a curve. Failures are rows too."""
    from sweeps.cli import export as verb

    verb.export(out, emit if as_json else None, study, scale, sets or [], to=to, what=what, force=force)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _.")],
    source: Annotated[str | None, typer.Option("--from", metavar="STUDY", help="Copy this study.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="NAME.yaml unless given.")] = None,
    architecture: Annotated[str | None, typer.Option("--architecture", help="Of the other arm; kuramoto.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Of all arms; language.")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write a commented study file, valid at every scale: an architecture against the transformer."""
    from sweeps.cli.new import new as write_study

    emitter = emit if as_json else None
    write_study(out, emitter, name, source=source, to=to, architecture=architecture, task=task)


@app.command()
def ui(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Open on this study.")] = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    port: Annotated[int, typer.Option("--port", help="Port on loopback.", min=1, max=65535)] = 5000,
    plugin: Plugins = None,
) -> None:
    """Serve the MLflow page on loopback, opened on the configurations, until Ctrl-C."""
    from sweeps.cli import maintain

    maintain.ui(out, study, scale, sets or [], port)


@app.command()
def check(
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="A Python file, or an installed package.")],
    names: Annotated[
        list[str] | None, typer.Option("--names", metavar="NAME", help="Check only this name; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that what a plugin registers meets every contract. Exit code 1 if something does not."""
    from sweeps.cli import check as verb

    raise typer.Exit(verb.check(out, emit if as_json else None, plugin, names or []))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the environment; every problem comes with its cure. Exit code 1 if something is wrong."""
    from sweeps.cli import views

    raise typer.Exit(views.doctor(out, emit if as_json else None))


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts with `&` would ignore Ctrl-C
    try:
        app()
    except (UserError, JournalError) as error:
        sys.stderr.write(f"phasesweep: {error}\n")
        sys.exit(EXIT_USER_ERROR)
