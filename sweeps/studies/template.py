"""The verb `new`: a study to begin with, commented and valid at every scale."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from sweeps.errors import UserError
from sweeps.studies.library import find
from sweeps.studies.yaml_file import YamlSource
from trainables.registry import ARCHITECTURES, TASKS, Registry

CONTROL = "transformer"
WIDTH = 110
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class _TaskLines:
    """What the scaffold writes of a task: its fields at laptop scale, and what the other scales change."""

    fields: str
    smoke: str = ""
    gpu: str = ""
    paper: str = ""
    metric: str = ""
    """Metric of the example claim; without one the claim is a comment."""


_TASK_LINES = {
    "language": _TaskLines(
        "corpus: stdlib, tokenizer: byte, context_length: 64, max_bytes: 1000000",
        smoke="{corpus: synthetic, tokenizer: char, max_bytes: 60000, context_length: 32}",
        gpu="{max_bytes: 20000000, context_length: 256}",
        paper="{max_bytes: 20000000, context_length: 512}",
        metric="val/bits_per_byte",
    )
}

_HEAD = """\
# A study of phasesweep: which arms, on which task, with which seeds, at which sizes.
#   look at it   phasesweep show {file} --scale smoke
#   price it     phasesweep plan {file}
#   run it       phasesweep run {file}
# Every key: phasesweep schema study. Fields of architectures and tasks: phasesweep families.
format_version: 1
study: {name}  # names the results folder and the MLflow experiment
title: {title}
description: |
  What is asked, and which result would answer it.
source: ""  # whose claim this is: a paper, a repository, a file
seeds: 5  # 0 to 4; all arms share them, so that differences are paired by seed
base:  # what all arms share
  # parameter_budget solves the feed-forward width of every arm, so that all have equally many parameters
  architecture: {{d_model: 64, num_layers: 2, num_heads: 4, parameter_budget: 130000}}
  task: {{name: {task}{task_fields}}}
{task_comments}  optimizer: {{learning_rate: 4e-3, warmup_steps: 20}}
  budget: {{steps: 300, batch_size: 12, report_every: 50, eval_sequences: 32}}
"""

_ARMS = """\
arms:
  baseline:
    role: baseline  # exactly one arm; the others are compared with it
    architecture: {{name: {control}}}
  {arm}:
    note: what this arm changes, and why
{change}# A control has the arm's shape without its mechanism; a better arm must beat that, too:
#  control:
#    role: control
#    architecture: {{name: mean_pool}}
# Planned comparisons beside those with the baseline:
# contrasts:
#   - {{arm: {arm}, against: control, meaning: what the mechanism is worth}}
"""

_CLAIM = """\
claims:  # what is to be settled, and how, said before anything runs; kinds of test: phasesweep claims
  C1:
    statement: {arm} scores better than the {control} of equal size
    source: this study
    kind: superiority
    metric: {metric}
    arm: {arm}
    against: baseline
    settled_at: laptop  # the smallest scale that settles it
"""

_SCALES = """\
scales:  # each overlays what is above; laptop is the default
  smoke:
    note: seconds, to see that it runs
    seeds: 2
    base:
      architecture: {{d_model: 16, num_layers: 2, num_heads: 2, parameter_budget: 17000}}
{smoke}      optimizer: {{warmup_steps: 5}}
      budget: {{steps: 20, batch_size: 4, report_every: 10, eval_sequences: 8}}
  laptop:
    note: minutes on 2 cores
  gpu:
    note: about an hour on one card
    base:
      architecture: {{d_model: 256, num_layers: 6, num_heads: 8, parameter_budget: 5000000}}
{gpu}      optimizer: {{learning_rate: 1e-3, warmup_steps: 100}}
      budget: {{steps: 3000, batch_size: 64, report_every: 250, eval_sequences: 128, precision: bfloat16}}
    resources: {{gpus_per_trial: by_memory, max_trials_per_gpu: 4}}
  paper:
    note: the size that the claim was made at
    base:
      architecture: {{d_model: 768, num_layers: 12, num_heads: 12, parameter_budget: 85000000}}
{paper}      optimizer: {{learning_rate: 3e-4, warmup_steps: 100}}
      budget: {{steps: 5000, batch_size: 32, report_every: 250, eval_sequences: 128, precision: bfloat16}}
    resources: {{gpus_per_trial: 1.0}}
"""


def scaffold(name: str, architecture: str, task: str, file: str) -> str:
    """Return the text of a new study: an architecture against the transformer, on a task.

    Args:
        name: Of the study.
        architecture: A registered one.
        task: A registered one.
        file: Name of the file, for the comments.

    Raises:
        UserError: If the architecture or the task is unknown, or the architecture learns nothing.
    """
    family, task_class = _registered(ARCHITECTURES, architecture), _registered(TASKS, task)
    if not ARCHITECTURES.get(architecture).learns:
        raise UserError(
            f"--architecture: '{architecture}' learns nothing; it is a control, to be added as an arm with "
            "budget: {steps: 0}"
        )
    lines = _TASK_LINES.get(task, _TaskLines(""))
    is_control = architecture == CONTROL
    arm = "slower" if is_control else architecture
    known = {field.partition(":")[0].strip() for field in lines.fields.split(",")}
    head = _HEAD.format(
        file=file,
        name=name,
        title=f"{arm} against the {CONTROL}",
        task=task,
        task_fields=f", {lines.fields}" if lines.fields else "",
        task_comments=_comments(task_class, {"name", *known}, "  # "),
    )
    change = f"    architecture: {{name: {CONTROL}}}\n    optimizer: {{learning_rate: 2e-3}}\n"
    if not is_control:
        shared = set(ARCHITECTURES.get(CONTROL).model_fields)
        comments = _comments(family, shared, "      # ")
        change = f"    architecture:\n      name: {architecture}\n{comments}"
    claim = _CLAIM.format(arm=arm, control=CONTROL, metric=lines.metric or "METRIC")
    scales = {
        scale: f"      task: {overlay}\n" if (overlay := getattr(lines, scale)) else ""
        for scale in ("smoke", "gpu", "paper")
    }
    return "".join(
        (
            head,
            _ARMS.format(control=CONTROL, arm=arm, change=change),
            claim if lines.metric else textwrap.indent(claim, "# "),
            _SCALES.format(**scales),
        )
    )


def _registered(registry: Registry[Any], name: str) -> type[BaseModel]:
    try:
        return registry.get(name)
    except ValueError as error:
        raise UserError(f"--{registry.kind}: {error}") from error


def _comments(config: type[BaseModel], known: Iterable[str], prefix: str) -> str:
    """Return the other fields of a class as comments, with their defaults and what they mean."""
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
    """Return the text of an existing study under another name, comments and all.

    Raises:
        UserError: If there is no such study, or its name cannot be told from its text.
    """
    path = find(source)
    text = YamlSource.read(path).path.read_text(encoding="utf-8")
    renamed, count = re.subn(r"(?m)^study:[ \t]*[^\s#]+", f"study: {name}", text, count=1)
    if not count:
        raise UserError(f"--from {source}: {path} has no line `study: …` to rename; copy it by hand")
    return f"# Copied from the study `{source}`.\n{renamed}"
