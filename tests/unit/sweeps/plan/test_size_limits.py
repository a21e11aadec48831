"""Numbers that no run reaches are refused by arithmetic, whatever field they are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.errors import UserError
from sweeps.fields import flatten
from sweeps.plan.size_limits import check_sizes
from sweeps.studies.resolve import load_study
from tests.golden.mistake import VALID

ABSURD = 10**15
SEEDS = {"task.data_seed", "architecture.seed"}


@pytest.fixture
def study(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(VALID, encoding="utf-8")
    return str(path)


def fields(study: str) -> list[str]:
    """Return every field of a configuration or of the resources that is a number or may be one."""
    loaded = load_study(study)
    kuramoto = loaded.arms[1].config.model_dump(include={"architecture", "task", "optimizer", "budget"})
    resources = {f"resources.{name}": value for name, value in loaded.resources.model_dump().items()}
    known = {**flatten(kuramoto), **resources}
    return [name for name, value in known.items() if value is None or type(value) in {int, tuple, list}]


def test_no_whole_number_may_be_absurd(study: str) -> None:
    names = fields(study)
    assert {"budget.steps", "budget.eval_sequences", "optimizer.warmup_steps", "task.stride"} <= set(names)
    accepted = []
    for name in names:
        prefix = "arms.kuramoto." if name.startswith("architecture.") else ""
        try:
            check_sizes(load_study(study, "laptop", [f"{prefix}{name}={ABSURD}"]))
        except UserError as error:
            assert name.rpartition(".")[2] in str(error)
        else:
            accepted.append(name)
    assert set(accepted) <= SEEDS


def test_a_multiplier_may_not_be_absurd_either(study: str) -> None:
    with pytest.raises(UserError, match=r"--set architecture\.ffn_multiplier=1e\+?12|takes more than"):
        check_sizes(load_study(study, "laptop", ["architecture.ffn_multiplier=1e12"]))


def test_what_a_long_run_needs_is_allowed(study: str) -> None:
    sets = ["budget.steps=10000000", "budget.eval_sequences=1000000", "task.context_length=1000000"]
    check_sizes(load_study(study, "laptop", sets))
