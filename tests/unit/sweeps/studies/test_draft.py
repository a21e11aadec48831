"""A study that would have too many replicates is refused before an arm is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.errors import UserError
from sweeps.studies import draft
from sweeps.studies.resolve import load_study
from tests.support.sweeps.studies import write_study

GRID = """\
grid:
  name: grid
  architecture: {name: transformer}
  fields:
    optimizer.warmup_steps: {values: [1, 2]}
"""
ABLATION = """\
ablation:
  around: kuramoto
  design: leave_one_out
  components: {coupling: {off: {architecture.coupling: 0.0}}}
"""


@pytest.fixture(autouse=True)
def at_most_six(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft, "MAX_REPLICATES", 6)


def load(folder: Path, more: str, *overrides: str) -> int:
    """Return how many arms the study of two arms has with such a section."""
    path = write_study(folder)
    path.write_text(path.read_text(encoding="utf-8").replace("scales:\n", f"{more}scales:\n"), encoding="utf-8")
    return len(load_study(str(path), "laptop", overrides).arms)


def test_as_many_as_are_allowed(tmp_path: Path) -> None:
    assert load(tmp_path, "", "seeds=3") == 2
    assert load(tmp_path, ABLATION) == 3
    assert load(tmp_path, GRID, "seeds=1") == 4


@pytest.mark.parametrize(
    ("more", "override", "expected"),
    [
        ("", "seeds=4", "--set seeds: 4 seeds of 2 arms are 8 replicates; at most 6 are planned; lower the seeds"),
        ("", "seeds=[3, 5, 8, 9]", "--set seeds: 4 seeds of 2 arms are 8 replicates; .* lower the seeds"),
        (GRID, "budget.steps=20", "tiny.yaml:4: 2 seeds of 4 arms are 8 .* or the values of the grid's fields"),
        (ABLATION, "seeds=3", "--set seeds: 3 seeds of 3 arms are 9 replicates; .* lower the seeds"),
    ],
)
def test_more_are_refused_where_the_seeds_are_written(
    more: str, override: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"{expected}$"):
        load(tmp_path, more, override)


def test_a_grid_is_counted_before_its_arms_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft.Draft, "validated", None)
    with pytest.raises(UserError, match="2 seeds of 4 arms"):
        load(tmp_path, GRID)
