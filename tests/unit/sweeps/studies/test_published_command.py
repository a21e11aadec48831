"""The guide's table of the published command gives the configuration of the study that reproduces it."""

from __future__ import annotations

import re
from typing import Any

from sweeps.studies.overrides import parse_overrides
from sweeps.studies.resolve import load_study
from tests.support.sweeps.guides import ROOT
from trainables.architectures.resonant.config import OF_BACKBONE
from trainables.config.trial import TrialConfig

_, _, _AFTER = (
    (ROOT / "docs" / "guides" / "resonant.md")
    .read_text(encoding="utf-8")
    .partition("## The published command, line by line\n")
)
SECTION = _AFTER.partition("\n## ")[0]
COMMAND = SECTION.partition("```text\n")[2].partition("```")[0]
ROWS = [line.split("|")[1:4] for line in SECTION.splitlines() if line.startswith("| ")][1:]


def in_backticks(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def settings() -> dict[str, Any]:
    """Return the table's fields with their values, by dotted name."""
    return parse_overrides(text for here, _, _ in ROWS for text in in_backticks(here))


def nested(fields: dict[str, Any]) -> dict[str, Any]:
    """Return dotted names as groups; a group that is given by itself is kept."""
    found: dict[str, Any] = {}
    for name, value in sorted(fields.items()):
        *groups, key = name.split(".")
        place = found
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = value
    return found


def configured(fields: dict[str, Any]) -> TrialConfig:
    """Return the configuration that the table's fields describe."""
    return TrialConfig.model_validate(nested({name: value for name, value in fields.items() if name != "seeds"}))


def test_the_table_has_every_flag_of_the_command_with_its_value() -> None:
    given = [" ".join(words.split()) for words in re.findall(r"--[^-\n]\S*(?: +[^-\s]\S*)?", COMMAND)]
    in_table = [flag for _, published, _ in ROWS for flag in in_backticks(published)]
    assert len(given) == 24
    assert sorted(in_table) == sorted(given)


def test_the_table_describes_the_arm_that_reproduces_it() -> None:
    study = load_study("resonant_echo", "paper")
    (arm,) = (one.config for one in study.arms if one.name == "reproduction")
    table = configured(settings())
    without = {*OF_BACKBONE, "dropout", "bias"}
    assert table.architecture.model_dump(exclude=without) == arm.architecture.model_dump(exclude=without)
    assert table.task == arm.task
    assert list(study.seeds) == settings()["seeds"]
    assert table.optimizer == arm.optimizer
    assert table.budget == arm.budget


def test_what_the_fidelity_is_said_to_set_is_set_by_it() -> None:
    rows = [here for here, _, note in ROWS if "set by the fidelity" in note]
    assert len(rows) == 2
    said = parse_overrides(text for here in rows for text in in_backticks(here))
    assert configured({name: value for name, value in settings().items() if name not in said}) == configured(
        settings()
    )
