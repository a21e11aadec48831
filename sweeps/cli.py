"""The command line: `phasesweep`, also `python -m sweeps`."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from analysis.records import JournalError
from sweeps.errors import EXIT_USER_ERROR, UserError

app = typer.Typer(
    name="phasesweep",
    help="Replicated, memory-packed sweeps of phase and oscillator language models, with intervals.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Study = Annotated[str, typer.Argument(metavar="STUDY", help="A study of the library, or a YAML file.")]
Scale = Annotated[str, typer.Option("--scale", help="smoke, laptop, gpu or paper.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a field; may be repeated.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

out = Console(soft_wrap=True, highlight=False)


def emit(value: Any) -> None:
    """Print JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@app.command()
def studies(as_json: Json = False) -> None:
    """List the studies of the library."""
    from sweeps import views

    views.studies(out, emit if as_json else None)


@app.command()
def families(as_json: Json = False) -> None:
    """List the architectures and tasks with their fields."""
    from sweeps import views

    views.families(out, emit if as_json else None)


@app.command()
def show(study: Study, scale: Scale = "laptop", sets: Overrides = None, as_json: Json = False) -> None:
    """Show a study with every field resolved."""
    from sweeps import views

    views.show(out, emit if as_json else None, study, scale, sets or [])


@app.command()
def schema(
    of: Annotated[str, typer.Argument(metavar="WHAT", help="study, plan or results.")] = "study",
) -> None:
    """Print the JSON Schema of a study file, or of what `plan --json` or `results --json` print."""
    from sweeps import views

    views.schema(emit, of)


@app.command()
def plan(study: Study, scale: Scale = "laptop", sets: Overrides = None, as_json: Json = False) -> None:
    """Show what would run, what it needs and how long it takes. Starts nothing."""
    from sweeps import views

    views.plan(out, emit if as_json else None, study, scale, sets or [])


@app.command()
def run(study: Study, scale: Scale = "laptop", sets: Overrides = None, as_json: Json = False) -> None:
    """Run every replicate of a study that is missing, then print the table of arms."""
    from sweeps import run as verb

    raise typer.Exit(verb.run(out, emit if as_json else None, study, scale, sets or []))


@app.command()
def status(study: Study, scale: Scale = "laptop", sets: Overrides = None, as_json: Json = False) -> None:
    """Show how far a study is: replicates by status, and who is running what."""
    from sweeps import views

    views.status(out, emit if as_json else None, study, scale, sets or [])


@app.command()
def results(
    study: Study,
    scale: Scale = "laptop",
    sets: Overrides = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Another metric than the study's own.")] = None,
    as_json: Json = False,
) -> None:
    """Print the table of arms: mean, interval, n, and the difference to the baseline with its interval."""
    from sweeps import views

    views.results(out, emit if as_json else None, study, scale, sets or [], metric)


@app.command()
def ui(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Open on this study.")] = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    port: Annotated[int, typer.Option("--port", help="Port on loopback.", min=1, max=65535)] = 5000,
) -> None:
    """Serve the MLflow page on loopback, opened on the configurations, until Ctrl-C."""
    from sweeps import views

    views.ui(out, study, scale, sets or [], port)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the environment; every problem comes with its cure. Exit code 1 if something is wrong."""
    from sweeps import views

    raise typer.Exit(views.doctor(out, emit if as_json else None))


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    try:
        app()
    except (UserError, JournalError) as error:
        sys.stderr.write(f"phasesweep: {error}\n")
        sys.exit(EXIT_USER_ERROR)
