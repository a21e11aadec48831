"""Texts of new studies for the verb `new`: commented, and valid at every scale."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

import yaml
from pydantic import BaseModel

from sweeps.errors import UserError
from sweeps.studies.catalogue import find
from sweeps.studies.yaml_file import YamlSource
from trainables.registry import ARCHITECTURES, TASKS, Registry

CONTROL = "transformer"
WIDTH = 110


@dataclass(frozen=True)
class _TaskLines:
    """The lines of a task in a new study: its fields at laptop scale, and what the other scales change."""

    fields: str
    smoke: str = ""
    gpu: str = ""
    paper: str = ""
    metric: str = ""
    """Metric of the example claim; if empty, the claim is commented out."""
    smoke_parameters: int = 17_000
    laptop_parameters: int = 130_000

    @property
    def scales(self) -> dict[str, str]:
        """What each scale changes."""
        return {"smoke": self.smoke, "gpu": self.gpu, "paper": self.paper}


_LONG_TASK = _TaskLines("", smoke_parameters=60_000, laptop_parameters=300_000)
"""A table of 2,048 positions takes most of the parameters."""
_TASK_LINES = {
    "language": _TaskLines(
        "corpus: stdlib, tokenizer: byte, context_length: 64, max_bytes: 1000000",
        smoke="{corpus: synthetic, tokenizer: char, max_bytes: 60000, context_length: 32}",
        gpu="{max_bytes: 20000000, context_length: 256}",
        paper="{max_bytes: 20000000, context_length: 512}",
        metric="val/bits_per_byte",
    ),
    "niah": _TaskLines("", smoke_parameters=30_000),
    "ruler": _LONG_TASK,
    "infinitebench": _LONG_TASK,
}


def scaffold(name: str, architecture: str, task: str, file: str) -> str:
    """Return the text of a new study: an architecture against the transformer, on a task.

    Args:
        name: Name of the study.
        architecture: A registered one.
        task: A registered one.
        file: Name of the file, for the comments.

    Raises:
        UserError: If the architecture or the task is unknown, or the architecture has nothing to train.
    """
    family, task_class = _registered(ARCHITECTURES, architecture), _registered(TASKS, task)
    if not ARCHITECTURES.get(architecture).learns:
        raise UserError(
            f"--architecture: '{architecture}' learns nothing; it is a control, to be added as an arm with "
            "budget: {steps: 0}"
        )
    lines = _TASK_LINES.get(task, _TaskLines(""))
    known = {field.partition(":")[0].strip() for field in lines.fields.split(",")}
    if architecture == CONTROL:
        change = f"    architecture: {{name: {CONTROL}}}\n    optimizer: {{learning_rate: 2e-3}}\n"
    else:
        comments = _comments(family, ARCHITECTURES.get(CONTROL).model_fields, "      # ")
        change = f"    architecture:\n      name: {architecture}\n{comments}"
    return Template(
        resources.files("sweeps.studies").joinpath("library", "_template.yaml").read_text("utf-8")
    ).substitute(
        {scale: f"      task: {text}\n" if text else "" for scale, text in lines.scales.items()},
        file=file,
        name=name,
        arm="slower" if architecture == CONTROL else architecture,
        control=CONTROL,
        task=task,
        smoke_parameters=lines.smoke_parameters,
        laptop_parameters=lines.laptop_parameters,
        task_fields=f", {lines.fields}" if lines.fields else "",
        task_comments=_comments(task_class, {"name", *known}, "  # "),
        change=change,
        unclaimed="" if lines.metric else "# ",
        metric=lines.metric or "METRIC",
    )


def _registered(registry: Registry[Any], name: str) -> type[BaseModel]:
    try:
        return registry.get(name)
    except ValueError as error:
        raise UserError(f"--{registry.kind}: {error}") from error


def _comments(config: type[BaseModel], known: Iterable[str], prefix: str) -> str:
    """Return the other fields of a class as comments, with defaults and meaning."""
    skipped, lines = set(known), []
    for field, spec in config.model_json_schema()["properties"].items():
        if field in skipped:
            continue
        line = f"{prefix}{field}: {yaml.safe_dump(spec.get('default'), default_flow_style=True).splitlines()[0]}"
        meaning = " ".join(spec.get("description", "").split())
        room = WIDTH - len(line) - 4
        lines.append(f"{line}  # {textwrap.shorten(meaning, room, placeholder=' …')}" if meaning else line)
    return "".join(f"{line}\n" for line in lines)


def copy_of(source: str, name: str) -> str:
    """Return the text of an existing study under another name, with its comments.

    Raises:
        UserError: If there is no such study, or its name cannot be found in its text.
    """
    path = find(source)
    text = YamlSource.read(path).path.read_text(encoding="utf-8")
    renamed, count = re.subn(r"(?m)^study:[ \t]*[^\s#]+", f"study: {name}", text, count=1)
    if not count:
        raise UserError(f"--from {source}: {path} has no line `study: …` to rename; copy it by hand")
    return f"# Copied from the study `{source}`.\n{renamed}"
