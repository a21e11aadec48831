"""An ablation as a user runs it: `run` trains what the section makes, and `ablate` analyses it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from sweeps.cli.schemas.generate import load_schema
from tests.support.sweeps.studies import STUDY, phasesweep

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]

SECTION = """\
ablation:
  around: kuramoto
  components:
    coupling: {off: {architecture.coupling: 0.0}}
    decay: {off: {optimizer.weight_decay: 0.0}}
scales:
"""


def test_what_an_ablation_makes_is_run_and_analysed(tmp_path: Path) -> None:
    study = STUDY.format(seeds=2, steps=20, report_every=10).replace("scales:\n", SECTION)
    (tmp_path / "tiny.yaml").write_text(study, encoding="utf-8")
    done = phasesweep(["run", "tiny.yaml", "--scale", "smoke"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = phasesweep(["ablate", "tiny.yaml", "--scale", "smoke", "--json"], tmp_path)
    found = json.loads(printed.stdout)
    jsonschema.Draft202012Validator(load_schema("ablate")).validate(found)
    assert (found["n_arms"], found["n_values"], found["n_missing"], found["residual_df"]) == (4, 8, 0, 3)
    assert [row["components"] for row in found["effects"]] == [["coupling"], ["decay"]]
    assert found["interactions"][0]["effect"] is not None
