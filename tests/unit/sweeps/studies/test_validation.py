"""Where a mistake stands that a message about several fields names: at the line of the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.inventory import Inventory
from sweeps.errors import UserError
from sweeps.plan.checks import checked
from sweeps.studies.resolve import load_study
from sweeps.studies.validation import field_in

MACHINE = Inventory(cpus=2, memory_mib=7680)

STUDY = """\
format_version: 1
study: lines
title: Every field on a line of its own
seeds: 2
base:
  architecture:
    d_model: 16
    num_layers: 1
    num_heads: 2
  task:
    name: copy
    num_symbols: 4
  optimizer: {learning_rate: 3e-3}
  budget: {steps: 2, batch_size: 2, report_every: 2, eval_sequences: 8}
arms:
  transformer: {role: baseline, architecture: {name: transformer}}
  tpi:
    architecture:
      name: tpi
      variant: v1_simple
scales:
  smoke:
    base:
      task: {}
    arms:
      tpi:
        architecture: {}
"""


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("variant: v1_simple", "variant: v1_simpel", 20),
        ("num_symbols: 4", "num_symbols: 4\n    min_symbols: 9", 13),
        ("num_heads: 2", "num_heads: 3", 9),
        ("variant: v1_simple", "decoupling: free\n      frequency: fixed", 20),
        ("variant: v1_simple", "parameter_budget: 10", 20),
        ("num_heads: 2", "num_heads: 2\n    parameter_budget: 10", 10),
    ],
)
def test_a_mistake_is_at_the_line_of_the_field(old: str, new: str, place: int, tmp_path: Path) -> None:
    path = tmp_path / "lines.yaml"
    assert old in STUDY
    path.write_text(STUDY.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as told:
        checked(load_study(str(path), "smoke"), MACHINE, None)
    assert str(told.value).startswith(f"{path}:{place}: "), told.value


def test_an_override_is_blamed_for_its_own_mistake(tmp_path: Path) -> None:
    path = tmp_path / "lines.yaml"
    path.write_text(STUDY, encoding="utf-8")
    for given in ("architecture.parameter_budget=10", "arms.tpi.architecture.parameter_budget=10"):
        with pytest.raises(UserError) as told:
            checked(load_study(str(path), "smoke", [given]), MACHINE, None)
        assert str(told.value).startswith(f"--set {given.partition('=')[0]}: "), told.value


@pytest.mark.parametrize(
    ("said", "value", "field"),
    [
        ("a=3 must be at most b=2", {"b": 2}, ("b",)),
        ("optimizer.rate=3 is too much", {"optimizer": {"rate": 3}, "rate": 1}, ("optimizer", "rate")),
        ("layers names layer 5, but depth=1", {"layers": [5], "depth": 1}, ("layers",)),
        ("unknown variant 'x'", {"variant": "x"}, ("variant",)),
        ("a=3 is too much", 3, ()),
        ("this key is required", {}, ()),
    ],
)
def test_the_first_field_that_the_value_has_is_meant(said: str, value: Any, field: tuple[str, ...]) -> None:
    assert field_in(said, value) == field
