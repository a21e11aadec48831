"""The application, the options that verbs share, and groups of options that are one parameter of a verb."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from sweeps.console import Output, proposed, without_infinities
from sweeps.errors import EXIT_INTERRUPTED, UserError, nearest
from sweeps.fields import DEFAULT_SCALE
from sweeps.studies.catalogue import StudyArguments


class _Verbs(TyperGroup):
    """The verbs; an unknown one, and Ctrl-C wherever a verb does not handle it, are one line each."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands:
            raise UserError(f"unknown verb '{args[0]}'; {nearest(args[0], self.commands)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.stderr.write("\nphasesweep: interrupted\n")
            raise typer.Exit(EXIT_INTERRUPTED) from None


app = typer.Typer(
    cls=_Verbs,
    name="phasesweep",
    help="Replicated, memory-packed sweeps of phase and oscillator language models, with intervals.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PIPE_WIDTH = 160
"""Columns where the output is no terminal: wide enough for a table's rows not to wrap."""

Name = Annotated[str, typer.Argument(metavar="STUDY", help="A study of the library, or a YAML file.")]
OptionalName = Annotated[str | None, typer.Argument(metavar="[STUDY]", help="This study only.")]
Scale = Annotated[str, typer.Option("--scale", help="smoke, laptop, gpu or paper.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a field; may be repeated.")
]
Metric = Annotated[str | None, typer.Option("--metric", help="Another metric than the study's own.")]
MaxHours = Annotated[
    float | None,
    typer.Option("--max-hours", help="Shut down gracefully after this wall time; what is left can go on."),
]
MaxTrials = Annotated[int | None, typer.Option("--max-trials", help="Start at most this many replicates.")]
Only = Annotated[str | None, typer.Option("--only", metavar="ARM@SEED", help="Run this replicate alone.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Gpus = Annotated[
    str | None,
    typer.Option(
        "--gpus", metavar="GPUS", help="Plan for these GPUs, as 4x94.5GiB,2x24GiB, instead of what is here."
    ),
]


Address = Annotated[
    str | None,
    typer.Option("--address", metavar="http://HEAD:8265", help="The cluster's dashboard; by default RAY_ADDRESS."),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Return when the sweep ends, with its exit code.")]
Changed = Annotated[
    bool, typer.Option("--changed", help="Also what other code or numerics computed; see the guide.")
]
Through = Annotated[
    str | None, typer.Option("--through", metavar="PHASE", help="Of a campaign: the phases up to this one.")
]
PastFailedGates = Annotated[
    bool, typer.Option("--past-failed-gates", help="Of a campaign: run phases although a gate before them failed.")
]
FollowLog = Annotated[
    bool, typer.Option("-f", "--follow", help="Print a log as it grows, one at a time, until the sweep ends.")
]
Keep = Annotated[
    str, typer.Option("--keep", help="Checkpoints to keep of what can continue: last (all of them) or none.")
]
Names = Annotated[
    list[str] | None, typer.Option("--names", metavar="NAME", help="Check only this name; may be repeated.")
]
Port = Annotated[int, typer.Option("--port", help="Port on loopback.", min=1, max=65535)]


def _use_plugins(paths: list[str] | None) -> list[str]:
    """Load plugins while the command line is parsed, so that their names are registered before the verb runs."""
    from sweeps.studies import plugins

    plugins.use(paths or [])
    return paths or []


Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_use_plugins,
        help="A Python file with architectures or tasks of your own; may be repeated.",
    ),
]
PluginFiles = Annotated[
    list[str] | None, typer.Option("--plugin", metavar="FILE", help="A Python file whose families are listed too.")
]
"""As `Plugins`, loaded by the verb itself: without any, nothing that trains is imported."""
UnreadPlugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="FILE", help="As `run` takes it; results are read without."),
]

Study = Annotated[StudyArguments, "to plan"]
"""STUDY --scale --set --plugin."""
StoredStudy = Annotated[StudyArguments, "to read"]
"""The same, for verbs that only read results: no plugin is loaded."""

_GROUPS: dict[Any, dict[str, tuple[Any, Any]]] = {
    Study: {
        "study": (Name, inspect.Parameter.empty),
        "scale": (Scale, DEFAULT_SCALE),
        "sets": (Overrides, None),
        "plugin": (Plugins, None),
    },
    StoredStudy: {
        "study": (Name, inspect.Parameter.empty),
        "scale": (Scale, DEFAULT_SCALE),
        "sets": (Overrides, None),
        "plugin": (UnreadPlugins, None),
    },
    Output: {"as_json": (Json, False)},
}
"""The options that each kind of parameter stands for, with type and default."""


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """Return `function` with every parameter that is a group of options replaced by them, as typer requires."""
    own = inspect.signature(function, eval_str=True).parameters
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in own.items():
        for option, (kind, default) in _GROUPS.get(parameter.annotation, {}).items():
            parameters[option] = inspect.Parameter(
                option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
        if parameter.annotation not in _GROUPS:
            parameters[name] = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)

    @functools.wraps(function)
    def call(**given: Any) -> None:
        for name, parameter in own.items():
            group = _GROUPS.get(parameter.annotation)
            if group is not None:
                values = [given.pop(option) for option in group]
                given[name] = _output(*values) if parameter.annotation is Output else _study(*values)
        function(**given)

    call.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    call.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    return call


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a verb; see `expanded`."""
    return app.command()(expanded(function))


def usage_error(error: typer.TyperException) -> str:
    """Return a mistake in the options or arguments of a verb as one line, with the nearest valid option."""
    context: Any = getattr(error, "ctx", None)
    verb = [context.command.name] if context is not None and context.parent is not None else []
    message = error.message[:1].lower() + error.message[1:].rstrip(".")
    if hasattr(error, "possibilities"):  # typer's class for unknown options is private
        named = error.option_name  # type: ignore[attr-defined]
        known = [name for param in context.command.params for name in param.opts if name.startswith("--")]
        # typer calls an argument by its parameter's name; who writes it as an option finds no option of that name
        plain = next((p for p in context.command.params if p.opts == [named.lstrip("-")]), None)
        if plain is not None:
            usage = " ".join([proposed(*verb), *(p.metavar for p in context.command.params if not _is_option(p))])
            return ": ".join([*verb, f"'{named}' is no option: write its value by itself, as in {usage}"])
        return ": ".join([*verb, f"unknown option '{named}'; {nearest(named, [*known, '--help'])}"])
    if isinstance(error, typer.BadParameter) and error.param is not None:
        name = error.param.opts[0] if error.param.opts[0].startswith("-") else error.param.metavar
        said = f"{name}: {message}" if message else f"{name} is missing"
    else:
        said = message
    return f"{': '.join([*verb, said])}; see: {proposed(*verb, '--help')}"


def _is_option(param: Any) -> bool:
    return any(name.startswith("-") for name in param.opts)


def _study(study: str, scale: str, sets: list[str] | None, _plugin: list[str] | None) -> StudyArguments:
    return StudyArguments(study, scale, sets or [])


def _output(as_json: bool) -> Output:
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    console = Console(soft_wrap=True, highlight=False, width=width)
    return Output(console, emit if as_json else None)


def emit(value: Any) -> None:
    """Print JSON on standard output; NaN and infinities become null, with a note on standard error."""
    finite, num_lost = without_infinities(value)
    sys.stdout.write(json.dumps(finite, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    if num_lost:
        sys.stderr.write(f"phasesweep: {num_lost} of the numbers exceed every float, and are null\n")
