"""Numbers that no run reaches are refused by arithmetic, whatever field they are in."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.inventory import Inventory
from cluster.memory.estimate import estimate
from sweeps.errors import UserError
from sweeps.fields import flatten
from sweeps.plan.size_limits import check_sizes
from sweeps.studies.resolve import load_study
from tests.golden.mistake import VALID
from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.base.parameters import count_parameters
from trainables.architectures.resonant.config import ResonantConfig
from trainables.registry import ARCHITECTURES

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


CONFIGS = [
    *(config for name in ARCHITECTURES.names() for config in ARCHITECTURES.get(name).contract_configs()),
    ResonantConfig(backbone="pretrain", d_model=64, num_layers=4),  # which is frozen
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_no_model_has_fewer_parameters_than_its_fields_tell(config: ArchitectureConfig) -> None:
    assert config.min_trained_parameters <= count_parameters(config, vocab_size=8, max_seq_len=8)


def test_what_is_refused_would_not_have_fitted(study: str) -> None:
    """Half of what the model takes is counted: the bound is of use, and below the estimate."""
    wide = load_study(study, "laptop", ["architecture.d_model=1024"])
    needed_mib = estimate(wide.baseline.config, vocab_size=27, context_length=16, process_mib=0.0).total_mib
    check_sizes(wide, Inventory(cpus=2, memory_mib=int(needed_mib)))
    with pytest.raises(UserError, match=r"architecture\.d_model=1024: training its parameters takes more than 0\."):
        check_sizes(wide, Inventory(cpus=2, memory_mib=int(needed_mib / 2)))


@pytest.mark.parametrize(
    ("sets", "passes"),
    [
        (["budget.steps=0", "optimizer.warmup_steps=0"], True),
        (["optimizer.name=adamw_8bit"], True),
        (["resources.workers=2", "resources.sharding=fsdp"], True),
        (["resources.workers=2"], False),
    ],
)
def test_what_is_not_kept_is_not_counted(study: str, sets: list[str], passes: bool) -> None:
    """131,072 parameters in the feed-forward layers of each arm: 2 MiB to train them, and 1.25 with 8-bit AdamW."""
    machine = Inventory(cpus=2, memory_mib=1)
    wide = load_study(study, "laptop", ["architecture.d_model=128", *sets])
    if passes:
        check_sizes(wide, Inventory(cpus=2, memory_mib=2) if "adamw_8bit" in sets[0] else machine)
    else:
        with pytest.raises(UserError, match="takes more than"):
            check_sizes(wide, machine)
