"""What must hold of the plan of any valid study, on any machine; and of the names of its configurations."""

from __future__ import annotations

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.inventory import Inventory
from cluster.placement.size_classes import HEADROOM
from sweeps.errors import UserError
from sweeps.plan.builder import build_plan
from sweeps.plan.plan import Plan
from sweeps.studies.resolve import load_study
from tests.support.models.configs import small_config
from trainables.config.trial import TrialConfig, config_id
from trainables.registry import ARCHITECTURES, TASKS

KURAMOTO: dict[str, Any] = {"name": "kuramoto", "phase_layers": [0], "num_oscillators": 4}
UNCOUPLED: dict[str, Any] = {**KURAMOTO, "coupling": 0.0, "learn_coupling": False}
ARCHITECTURE_POOL: tuple[dict[str, Any], ...] = (
    {"name": "transformer"},
    {"name": "transformer", "d_model": 32},
    KURAMOTO,
    {**KURAMOTO, "coupling": 2.0},
    UNCOUPLED,
    {**UNCOUPLED, "sign": "repulsive"},  # computes what the one above does
    {"name": "mean_pool", "pool_layers": [0]},
)


@st.composite
def studies(draw: st.DrawFn) -> dict[str, Any]:
    """Return a study file with 1 to 5 arms, some of which may compute the same."""
    pool = draw(st.lists(st.sampled_from(ARCHITECTURE_POOL), min_size=1, max_size=5))
    baseline = draw(st.integers(0, len(pool) - 1))
    arms: dict[str, Any] = {f"arm_{index}": {"architecture": fields} for index, fields in enumerate(pool)}
    arms[f"arm_{baseline}"]["role"] = "baseline"
    seeds = draw(st.one_of(st.integers(1, 4), st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True)))
    return {
        "format_version": 1,
        "study": "any",
        "title": "Any study",
        "seeds": seeds,
        "base": {
            "architecture": {"d_model": 16, "num_layers": 1, "num_heads": 2},
            "task": {"name": "language", "context_length": 8, "max_bytes": 2000},
            "budget": {"steps": 6, "batch_size": 2, "report_every": 3},
        },
        "arms": arms,
        "resources": {"cpus_per_trial": draw(st.integers(1, 3))},
        "scales": {"smoke": {}},
    }


MACHINES = st.builds(Inventory, cpus=st.integers(1, 9), memory_mib=st.integers(600, 9000))
INVENTORIES = st.one_of(
    MACHINES,
    st.lists(MACHINES, min_size=1, max_size=3).map(
        lambda nodes: Inventory(
            cpus=sum(node.cpus for node in nodes),
            memory_mib=sum(node.memory_mib for node in nodes),
            nodes=tuple(nodes),
        )
    ),
)


def plan_of(file: dict[str, Any], inventory: Inventory) -> Plan:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_text(yaml.safe_dump(file, sort_keys=False), encoding="utf-8")
        return build_plan(load_study(str(path), "smoke"), inventory, None)


ROOMY = Inventory(cpus=64, memory_mib=100_000)


@settings(max_examples=25)
@given(studies())
def test_every_seed_begins_with_the_baseline_and_holds_every_configuration_once(file) -> None:
    plan = plan_of(file, ROOMY)
    configurations = {planned.config_id for planned in plan.arms}
    baseline = next(planned.config_id for planned in plan.arms if planned.arm.role == "baseline")
    assert len(set(plan.keys)) == len(plan.keys) == len(configurations) * len(plan.study.seeds)
    for index, seed in enumerate(plan.study.seeds):
        block = plan.keys[index * len(configurations) : (index + 1) * len(configurations)]
        assert {seed_of_key for _, seed_of_key in block} == {seed}
        assert block[0][0] == baseline
        assert {config for config, _ in block} == configurations


@settings(max_examples=25)
@given(studies(), INVENTORIES)
def test_what_is_planned_fits_the_machines_and_what_does_not_is_refused(file, inventory) -> None:
    try:
        plan = plan_of(file, inventory)
    except UserError:
        request = plan_of(file, ROOMY).request
        assert not any(m.cpus >= request.cpu and m.memory_mib >= request.memory_mib for m in inventory.machines)
        return
    request = plan.request
    assert plan.concurrency >= 1
    assert plan.concurrency * request.cpu <= inventory.cpus
    assert plan.concurrency * request.memory_mib <= inventory.memory_mib
    assert all(request.memory_mib >= planned.memory.total_mib * (1 + HEADROOM) for planned in plan.arms)
    seconds, _ = plan.forecast_seconds()
    assert seconds > 0


@settings(max_examples=8)
@given(studies())
def test_equal_studies_have_equal_plans(file) -> None:
    one, other = (plan_of(file, ROOMY).to_json() for _ in range(2))
    assert json.dumps(one, allow_nan=False) == json.dumps(other, allow_nan=False)


def shuffled(tree: Any, rng: random.Random) -> Any:
    """Return `tree` with the keys of every mapping in another order."""
    if not isinstance(tree, dict):
        return tree
    return {key: shuffled(tree[key], rng) for key in rng.sample(list(tree), len(tree))}


@given(st.sampled_from(ARCHITECTURE_POOL), st.randoms(use_true_random=False))
def test_a_configuration_s_name_does_not_depend_on_the_order_of_its_fields(architecture, rng) -> None:
    config = small_config(architecture=architecture)
    again = TrialConfig.model_validate(shuffled(config.model_dump(mode="json"), rng))
    assert config_id(again, "data") == config_id(config, "data")


WITHOUT_EFFECT: dict[str, st.SearchStrategy[Any]] = {
    "sign": st.sampled_from(["attractive", "repulsive"]),
    "causal": st.booleans(),
    "coherence_target": st.floats(0.3, 0.5),
    "coherence_form": st.sampled_from(["ceiling", "centre", "band"]),
    "ffn_multiplier": st.floats(1.0, 4.0),
}
"""Fields that change nothing where there is no coupling, no regulariser, and a parameter budget."""


@given(st.fixed_dictionaries({}, optional=WITHOUT_EFFECT))
def test_fields_without_effect_do_not_name_a_configuration(fields) -> None:
    fixed = {**UNCOUPLED, "parameter_budget": 20_000}
    plain, varied = (small_config(architecture={**fixed, **extra}) for extra in ({}, fields))
    assert config_id(varied, "data") == config_id(plain, "data")


def test_a_configuration_is_named_by_all_that_changes_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"architecture": {"d_model": 32}},
        {"architecture": {"name": "kuramoto"}},
        {"architecture": {"name": "kuramoto", "coupling": 2.0}},
        {"architecture": {"dropout": 0.1}},
        {"task": {"context_length": 17}},
        {"task": {"corpus": "synthetic:1"}},
        {"optimizer": {"learning_rate": 2e-3}},
        {"optimizer": {"clip_norm": 2.0}},
        {"budget": {"steps": 13}},
        {"budget": {"precision": "bfloat16"}},
    ]
    names = [config_id(small_config(**change), "data") for change in changes]
    names.append(config_id(small_config(), "other data"))
    for registry, name in ((ARCHITECTURES, "transformer"), (TASKS, "language")):
        with monkeypatch.context() as patch:
            patch.setitem(registry._versions, name, registry.version(name) + 1)
            names.append(config_id(small_config(), "data"))
    assert len(set(names)) == len(names)
    assert config_id(small_config(), "data") == names[0]
