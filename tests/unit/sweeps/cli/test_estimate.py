"""The verb `estimate`: sizes told apart, and what would shrink one, each with its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.sweeps.studies import write_study
from tests.support.sweeps.verbs import Call, caller

PARTS = ("parameters", "gradients", "optimizer", "activations", "workspace", "context")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    write_study(tmp_path)
    return caller(tmp_path, monkeypatch, capsys)


def changes_of(said: dict[str, Any]) -> dict[str, Any]:
    return {change["setting"]: change for change in said["changes"]}


def test_sizes_are_listed_largest_first_with_parts_that_add_up(call: Call) -> None:
    said = call("estimate", "tiny.yaml", "--json").json("estimate")
    totals = [size["memory"]["total_mib"] for size in said["sizes"]]
    assert totals == sorted(totals, reverse=True) and len(totals) == 2
    assert {name for size in said["sizes"] for name in size["arms"]} == {"transformer", "kuramoto"}
    for size in said["sizes"]:
        parts = sum(size["memory"][f"{part}_mib"] for part in PARTS)
        assert parts == pytest.approx(size["memory"]["total_mib"], abs=0.5)
    assert said["arm"] == said["sizes"][0]["arms"][0]
    plan = call("plan", "tiny.yaml", "--json").json("plan")
    by_arm = {one["arm"]: one["memory"] for one in plan["configurations"]}
    assert by_arm == {name: size["memory"] for size in said["sizes"] for name in size["arms"]}


def test_what_shrinks_an_arm_is_listed_with_what_it_saves(call: Call) -> None:
    """With a batch far above the validation windows, so that the peak is in training."""
    settings = ("budget.batch_size=512", "task.val_fraction=0.02", "architecture.num_layers=3")
    large = [part for setting in settings for part in ("--set", setting)]
    said = call("estimate", "tiny.yaml", *large, "--arm", "transformer", "--json").json("estimate")
    assert said["arm"] == "transformer"
    before = next(size for size in said["sizes"] if "transformer" in size["arms"])
    assert before["peak_stage"] == "training"
    changes = changes_of(said)
    assert list(changes) == [
        "resources.micro_batch_size=256",
        "resources.micro_batch_size=128",
        "architecture.checkpoint_blocks=true",
        "optimizer.name=adamw_8bit",
        "budget.precision=bfloat16",
    ]
    half, quarter = (changes[f"resources.micro_batch_size={size}"] for size in (256, 128))
    assert quarter["saved_mib"] > half["saved_mib"] > 1
    assert half["memory"]["activations_mib"] == pytest.approx(before["memory"]["activations_mib"] / 2, rel=0.1)
    assert changes["architecture.checkpoint_blocks=true"]["saved_mib"] > 0
    for change in changes.values():
        total = before["memory"]["total_mib"] - change["saved_mib"]
        assert change["memory"]["total_mib"] == pytest.approx(total, abs=0.11)
    assert changes["optimizer.name=adamw_8bit"]["meaning"] and not half["meaning"]
    setting = "resources.micro_batch_size=256"
    applied = call("estimate", "tiny.yaml", *large, "--set", setting, "--arm", "transformer", "--json")
    after = next(size for size in applied.json("estimate")["sizes"] if "transformer" in size["arms"])
    assert after["memory"] == half["memory"], "the setting does what was said of it"


def test_noise_is_said_to_be_drawn_anew(call: Call) -> None:
    noisy = ("--set", "architecture.dropout=0.1", "--set", "optimizer.name=adamw_8bit")
    changes = changes_of(call("estimate", "tiny.yaml", *noisy, "--json").json("estimate"))
    assert "optimizer.name=adamw_8bit" not in changes
    assert "noise" in next(iter(changes.values()))["meaning"]


def test_the_text_names_sizes_and_what_saves_and_puts_what_saves_nothing_on_one_line(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peak of the small study is in the process itself: no setting makes that smaller."""
    monkeypatch.setenv("COLUMNS", "160")
    said = call("estimate", "tiny.yaml")
    assert said.code == 0, said.err
    for text in ("transformer", "kuramoto", "peak in", "context: the process itself", "what would shrink"):
        assert text in said.out
    (useless,) = [line for line in said.out.splitlines() if line.startswith("would save nothing: ")]
    assert "optimizer.name=adamw_8bit" in useless and "budget.precision=bfloat16" in useless
    assert "\nbudget.precision" not in said.out
    large = call("estimate", "tiny.yaml", "--set", "budget.batch_size=512", "--set", "task.val_fraction=0.02").out
    assert "\nresources.micro_batch_size=256" in large
