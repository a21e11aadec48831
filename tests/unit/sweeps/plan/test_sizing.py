"""What a plan says before it does something that takes long."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.inventory import local_inventory
from sweeps.plan import sizing
from sweeps.plan.builder import build_plan
from sweeps.studies.resolve import load_study
from tests.support.models.sizes import unmeasured
from tests.support.sweeps.studies import write_study


def plan(folder: Path, *overrides: str) -> None:
    study = load_study(str(write_study(folder)), "laptop", overrides)
    with unmeasured():
        build_plan(study, local_inventory(), None)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (99, "measuring the memory of 2 configurations…\n"),
        (
            100,
            "measuring the memory of 2 configurations (arm 'transformer' has 100 layers, measured one by one)…\n",
        ),
    ],
)
def test_many_layers_are_announced(
    layers: int, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan(tmp_path, f"arms.transformer.architecture.num_layers={layers}")
    assert capsys.readouterr().err == expected


def test_a_long_synthetic_text_is_announced_once_before_it_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "LONG_TEXT", 20_000)  # the study's own size
    plan(tmp_path)
    first, *others = capsys.readouterr().err.splitlines()
    assert first.startswith("making 20,000 bytes of synthetic text") and len(others) == 1
    plan(tmp_path, "task.max_bytes=19999")
    plan(tmp_path, "task.corpus=stdlib", "task.max_bytes=20000", "task.tokenizer=byte")
    assert "making" not in capsys.readouterr().err
