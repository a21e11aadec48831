"""What a study's YAML is read as, and that all else is refused with its line: YAML 1.2, core schema."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeps.errors import UserError
from sweeps.studies.catalogue import library
from sweeps.studies.resolve import load_study
from sweeps.studies.yaml_file import MAX_BYTES, YamlSource, parse_scalar

PATH = Path("f.yaml")
BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def read(text: str) -> Any:
    return YamlSource(PATH, text).data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0b_", "0b_"),
        ("0x_", "0x_"),
        ("2026-01-01", "2026-01-01"),
        ("2026-13-45", "2026-13-45"),
        ("2026-01-01T00:00:00+99:00", "2026-01-01T00:00:00+99:00"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        ("1e-3", 0.001),
        ("1e5", 1e5),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("!!float 3", 3.0),
        ("!!str 3", "3"),
        ("'3'", "3"),
        ("{no: 1, 2: b}", {"no": 1, "2": "b"}),
        ("%YAML 1.1\n---\nno", "no"),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: Any) -> None:
    found = read(text)
    assert (found, type(found)) == (value, type(value))


def test_a_merged_mapping_gives_what_the_mapping_does_not_say_itself() -> None:
    source = YamlSource(PATH, "a: &a {x: 1, y: 2}\nb: {<<: [*a, {y: 3, z: 4}], x: 5}\n")
    assert source.data["b"] == {"x": 5, "y": 2, "z": 4}
    assert [source.where(("b", key)) for key in "xyz"] == ["f.yaml:2", "f.yaml:1", "f.yaml:2"]
    assert source.locate(("b", "w")) is None
    assert source.where(("b", "w")) == "f.yaml:2"


REFUSED = {
    "!!float abc": ":1: 'abc' is no float",
    "!!bool abc": ":1: 'abc' is no bool",
    "!mine x": ":1: the type !mine is not for this value",
    "!!set {a}": ":1: the type !!set is not for this value",
    "!!str [a]": ":1: the type !!str is not for this value",
    "a: 9223372036854775808": ":1: a: 9223372036854775808 is beyond 9223372036854775807",
    "a: " + "9" * 5000: ":1: a: 99999999999999999999… (5000 characters) is beyond 9223372036854775807",
    '"\\ud800": a': ":1: not valid YAML: found invalid Unicode character escape code",
    '"\\UFFFFFFFF"': ":1: not valid YAML: ",
    "\n\ud800": ":2: not valid YAML: character 0xd800 is half of a surrogate pair",
    "<<: word": ":1: <<: takes a mapping, or a list of mappings",
    "<<: null": ":1: <<: takes a mapping",
    BOMB: "more than 100000 values, or aliases that repeat too much; write fewer",
    "&a [*a, *a, *a]": "nested too deeply, or an alias of itself",
    "[" * 5000: ":1: nested too deeply",
    "%YAML 1.3\n---\na": ":1: not valid YAML: found incompatible YAML document",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text[:20]))
def test_what_is_no_value_is_refused_with_its_line(text: str) -> None:
    began = time.process_time()
    with pytest.raises(UserError) as refused:
        read(text)
    assert time.process_time() - began < 2
    assert REFUSED[text] in str(refused.value)


def test_a_value_on_the_command_line_passes_the_same_reader() -> None:
    assert parse_scalar("1:30", "--set a=1:30") == "1:30"
    for text, says in {
        "010": r"^--set a: 010 is a number with a leading zero",
        "[1": r"^--set a: not valid YAML: .*; put it in quotes if it is text$",
        "!!int x": r"^--set a: 'x' is no int",
    }.items():
        with pytest.raises(UserError, match=says):
            parse_scalar(text, "--set a")


def test_a_file_that_is_no_study_by_its_size_alone(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text("a" * (MAX_BYTES + 1), encoding="utf-8")
    with pytest.raises(UserError, match=f"big.yaml: {MAX_BYTES + 1} bytes are too many for a study; at most"):
        YamlSource.read(path)


@pytest.mark.parametrize("study", ["quickstart", "resonant_extended"])
def test_a_resolved_study_is_read_as_it_was_written(study: str) -> None:
    resolved = load_study(study).resolved()
    assert read(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True)) == resolved


def test_the_largest_study_is_read_at_once() -> None:
    path = max(library().values(), key=lambda path: path.stat().st_size)
    began = time.process_time()
    YamlSource.read(path)
    assert time.process_time() - began < 1
