"""Every mistake with its golden answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.golden import (
    ablation_mistakes,
    pretrained_mistakes,
    search_mistakes,
    spiral_mistakes,
    study_mistakes,
    verb_mistakes,
)
from tests.golden.mistake import Mistake

PATH = Path(__file__).with_name("mistakes.yaml")

MISTAKES: dict[str, Mistake] = {
    **study_mistakes.MISTAKES,
    **verb_mistakes.MISTAKES,
    **pretrained_mistakes.MISTAKES,
    **search_mistakes.MISTAKES,
    **ablation_mistakes.MISTAKES,
    **spiral_mistakes.MISTAKES,
}


class _Dumper(yaml.SafeDumper):
    """Writes texts that end a line as they are, for people to read."""


def _as_it_is(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _as_it_is)


def entry(mistake: Mistake, err: str) -> dict[str, Any]:
    """Return what the golden file says of a mistake."""
    change = {} if mistake.replace is None else {"wrong": mistake.replace[1], "right": mistake.replace[0]}
    return {"command": mistake.command, **change, "answer": err}


def golden() -> dict[str, dict[str, Any]]:
    """Return the golden file: {mistake: its entry}."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    return found


def write(entries: dict[str, dict[str, Any]]) -> None:
    """Write the golden file, one mistake after another, messages on lines of their own."""
    blocks = [
        yaml.dump({name: fields}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
        for name, fields in entries.items()
    ]
    PATH.write_text("\n".join(blocks), encoding="utf-8")
