"""Who wins where a field is written several times, and that no override is ever without effect."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps.errors import UserError
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study

FILE: dict[str, Any] = {
    "format_version": 1,
    "study": "tiny",
    "title": "Two arms for tests",
    "seeds": 2,
    "base": {
        "architecture": {"d_model": 16, "num_layers": 1, "num_heads": 2},
        "task": {"name": "language", "context_length": 16, "max_bytes": 20000},
        "budget": {"steps": 20, "batch_size": 4, "report_every": 10},
    },
    "arms": {
        "control": {"role": "baseline", "architecture": {"name": "transformer"}},
        "oscillators": {"architecture": {"name": "kuramoto", "phase_layers": [0]}},
    },
    "scales": {"smoke": {}, "laptop": {}},
}

WRITERS: list[tuple[str, ...]] = [
    ("base", "architecture"),
    ("scales", "smoke", "base", "architecture"),
    ("architectures", "kuramoto"),
    ("scales", "smoke", "architectures", "kuramoto"),
    ("arms", "oscillators", "architecture"),
    ("scales", "smoke", "arms", "oscillators", "architecture"),
]
"""Where a field of the arm `oscillators` may be written, the nearest to the arm last."""


def load(folder: Path, file: dict[str, Any], *sets: str, scale: str = "smoke") -> Study:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False), encoding="utf-8")
    return load_study(str(path), scale, sets)


def write(file: dict[str, Any], place: tuple[str, ...], **fields: Any) -> None:
    for key in place:
        file = file.setdefault(key, {})
    file.update(fields)


def dropout(study: Study, arm: str = "oscillators") -> float:
    return next(found for found in study.arms if found.name == arm).config.architecture.dropout


def test_the_nearest_writer_of_a_field_wins(tmp_path: Path) -> None:
    file = deepcopy(FILE)
    for number, place in enumerate(WRITERS, start=1):
        write(file, place, dropout=number / 10)
        assert dropout(load(tmp_path, file)) == number / 10, place
    found = load(tmp_path, file, "arms.oscillators.architecture.dropout=0.7")
    assert dropout(found) == 0.7
    assert dropout(found, "control") == 0.2
    assert dropout(load(tmp_path, file, scale="laptop")) == 0.5


def test_an_override_of_the_base_wins_over_every_shared_field(tmp_path: Path) -> None:
    file = deepcopy(FILE)
    for number, place in enumerate(WRITERS[:4], start=1):
        write(file, place, dropout=number / 10)
    found = load(tmp_path, file, "architecture.dropout=0.7", "budget.steps=30")
    assert [dropout(found, arm.name) for arm in found.arms] == [0.7, 0.7]
    assert {arm.config.budget.steps for arm in found.arms} == {30}


def test_an_override_that_would_not_reach_every_arm_is_refused(tmp_path: Path) -> None:
    file = deepcopy(FILE)
    write(file, WRITERS[4], dropout=0.1)
    with pytest.raises(UserError, match=r"--set architecture\.dropout: arms oscillators set this field themselves"):
        load(tmp_path, file, "architecture.dropout=0.7")


def test_overrides_that_make_other_configurations_name_a_folder_of_their_own(tmp_path: Path) -> None:
    texts: list[list[str]] = [[], ["budget.steps=30"], ["budget.steps=31"], ["arms.control.budget.steps=30"]]
    names = [load(tmp_path, FILE, *sets).results_key for sets in texts]
    assert names[0] == "smoke"
    assert all(name.startswith("smoke+") for name in names[1:])
    assert len(set(names)) == len(names)


def test_more_seeds_and_other_hardware_continue_in_the_same_folder(tmp_path: Path) -> None:
    for sets in (
        ["seeds=10"],
        ["resources.cpus_per_trial=2"],
        ["seeds=[1, 2]", "resources.report_timeout_seconds=9"],
    ):
        plain, added = load(tmp_path, FILE), load(tmp_path, FILE, *sets)
        assert added.results_key == plain.results_key == "smoke"
        assert [arm.config for arm in added.arms] == [arm.config for arm in plain.arms]
        both = load(tmp_path, FILE, "budget.steps=30", *sets)
        assert both.results_key == load(tmp_path, FILE, "budget.steps=30").results_key != "smoke"


def test_changes_are_what_an_arm_writes_beyond_the_base(tmp_path: Path) -> None:
    file = deepcopy(FILE)
    write(file, WRITERS[4], dropout=0.1)
    by_name = {arm.name: arm.changes for arm in load(tmp_path, file).arms}
    assert by_name["control"] == {"architecture.name": "transformer"}
    assert by_name["oscillators"] == {
        "architecture.name": "kuramoto",
        "architecture.phase_layers": [0],
        "architecture.dropout": 0.1,
    }
