"""The arguments and options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Study = Annotated[str, typer.Argument(metavar="STUDY", help="A study of the library, or a YAML file.")]
Scale = Annotated[str, typer.Option("--scale", help="smoke, laptop, gpu or paper.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a field; may be repeated.")
]
MaxHours = Annotated[
    float | None, typer.Option("--max-hours", help="Stop in order after this wall time; what is left can go on.")
]
MaxTrials = Annotated[int | None, typer.Option("--max-trials", help="Start at most this many replicates.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def _use_plugins(paths: list[str] | None) -> list[str]:
    """Load plugins while the command line is read, so that every verb finds their names in place."""
    from sweeps.studies import plugins

    plugins.use(paths or [])
    return paths or []


Gpus = Annotated[
    str | None,
    typer.Option(
        "--gpus", metavar="CARDS", help="Plan for these cards, as 4x94.5GiB,2x24GiB, instead of what is here."
    ),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        callback=_use_plugins,
        help="A Python file with architectures or tasks of your own; may be repeated.",
    ),
]
