"""The resonant family's space: the guide's values are in it, and it knows the architecture's fields."""

from __future__ import annotations

import random
import re
import types
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from search_spaces.optional_groups import from_fields, is_switch, to_fields
from search_spaces.resonant import SEARCH, TRAINING
from tests.support.sweeps.guides import ROOT
from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.resonant.config import ResonantConfig
from trainables.config.resources import ResourceConfig
from trainables.config.trial import TrialConfig
from trainables.registry import TASKS

SWITCHES = [name for name in SEARCH if is_switch(name, SEARCH)]

RECOMMENDED = {
    "num_blocks": 1,
    "alpha": 0.04,
    "gamma": 0.20,
    "omega": 6.0,
    "pvm": True,
    "pvm.alpha": 0.3,
    "pvm.beta": 0.85,
    "pvm.gate_init": -2.0,
    "readout": True,
    "ridge": True,
    "ridge.max_pairs": 512,
    "ridge.l2": 1e-3,
    "ridge.unfreeze_step": 100,
    "infonce": True,
    "infonce.weight": 0.3,
    "infonce.negatives": 128,
    "infonce.temperature": 0.08,
    "budget.steps": 2000,
    "budget.batch_size": 4,
    "optimizer.learning_rate": 1e-4,
    "optimizer.warmup_steps": 100,
    "optimizer.clip_norm": 1.0,
}
"""The usage guide's recommended values of the fields in `SEARCH` and `TRAINING`."""

NOT_SEARCHED = {
    "fidelity",
    "backbone",
    "backbone_dtype",
    "freeze_backbone",
    "quantisation",
    "train_head",
    "causal",
    "omega_learning_rate_factor",
    "plm.pcm.published",
    "plm.t2.published",
    "pvm.pcm.published",
    "pvm.t2.published",
    "ridge.in_training",
    "ridge.query_of",
    "ridge.target",
}
"""What a model is made of or how faithful it is, not how well it is tuned."""


def built(point: dict[str, Any]) -> ResonantConfig:
    """Return the configuration of a point, wide enough for everything in the space."""
    return ResonantConfig.model_validate({"d_model": 512, "num_layers": 1, **to_fields(point, SEARCH)})


def names_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Return the dotted names of all fields, groups and what is in them."""
    names = set()
    for key, field in model.model_fields.items():
        annotation: Any = field.annotation
        parts = get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
        groups = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        if not groups or type(None) in parts:
            names.add(prefix + key)
        for group in groups:
            names |= names_of(group, f"{prefix}{key}.")
    return names


def test_the_space_has_every_field_of_the_family_that_tuning_may_move() -> None:
    own = names_of(ResonantConfig) - names_of(BackboneConfig) | {"attention"}
    assert own == set(SEARCH) | NOT_SEARCHED


def test_recommended_values_are_in_the_space_and_are_the_defaults() -> None:
    everything = SEARCH | TRAINING
    for name, value in RECOMMENDED.items():
        assert everything[name].contains(value), name
    groups: dict[str, Any] = {name: {} for name in ("pvm", "readout", "ridge", "infonce")}
    defaults = from_fields(ResonantConfig.model_validate(groups).model_dump(), SEARCH)
    assert {name: defaults[name] for name in RECOMMENDED if name in SEARCH} == {
        name: value for name, value in RECOMMENDED.items() if name in SEARCH
    }


def test_defaults_are_a_point_of_the_space() -> None:
    groups: dict[str, Any] = {"stillness": {"ema": 0.1}, "plm": {}, "readout": {}, "ridge": {}, "infonce": {}}
    groups["pvm"] = {"t2": {}, "pcm": {}, "local_attention": {}}
    fields = from_fields(ResonantConfig.model_validate(groups).model_dump(), SEARCH)
    point = {name: value for name, value in fields.items() if name in SEARCH}
    assert SEARCH.explain(point) == []
    assert SEARCH.explain(SEARCH.canonical(point)) == []


@given(seed=st.integers())
def test_any_sample_builds_a_configuration_with_its_values(seed: int) -> None:
    point = SEARCH.sample(random.Random(seed))
    found = from_fields(built(point).model_dump(), SEARCH)
    assert {name: found[name] for name in point} == point


@pytest.mark.parametrize(
    ("point", "gone"),
    [
        ({"num_blocks": 0}, {"gamma", "alpha", "omega", "pvm", "pvm.alpha", "plm", "readout", "mixer"}),
        ({"gamma": 0.0}, {"alpha", "omega", "time", "block_ramp_steps", "stillness", "phase_delta", "counter"}),
        ({"alpha": 0.0, "learn_phase": False}, {"omega", "time", "omega_min", "phase_delta", "phase_ramp_steps"}),
        ({"num_blocks": 1}, {"cascade_lambda", "cascade_kappa", "omega_delta", "block_warm_delta_steps"}),
        ({"pvm": False}, {"pvm.alpha", "pvm.t2", "pvm.t2.mode", "pvm.local_attention.window"}),
        (
            {"pvm": False, "plm": False},
            {"readout", "readout.over", "query.mode", "ridge", "ridge.l2", "infonce.dim"},
        ),
        ({"pvm.rotation": "none", "pvm.t2": False}, {"pvm.omega", "pvm.phase", "pvm.time", "pvm.counter"}),
        ({"pvm.t2.mode": "exp"}, {"pvm.t2.k", "pvm.t2.alpha", "pvm.t2.omega", "pvm.t2.phase"}),
        ({"pvm.t2.mode": "resonant"}, {"pvm.t2.steps"}),
        ({"plm.t2": False}, {"plm.t2.mode", "plm.t2.fades_read"}),
        ({"readout.over": "state"}, {"query.mode", "query.window"}),
        ({"readout.head": "separate"}, {"ridge", "ridge.l2"}),
        ({"readout.mask": "none"}, {"readout.window"}),
        ({"ridge.projection": "random"}, {"ridge.l2", "ridge.max_pairs", "ridge.recalibrate_every"}),
    ],
)
def test_fields_without_effect_are_dropped(point: dict[str, Any], gone: set[str]) -> None:
    everything: dict[str, Any] = {name: SEARCH[name].grid(2)[-1] for name in SEARCH}
    everything |= {"readout.over": "trace", "readout.head": "shared", "ridge.projection": "ridge"}
    everything |= {"pvm.t2.mode": "resonant", "readout.mask": "window"}
    before = set(SEARCH.canonical(everything))
    after = set(SEARCH.canonical({**everything, **point}))
    assert gone <= before | {"pvm.t2.steps"}
    assert not gone & after
    assert set(point) <= after or point == {"num_blocks": 0}


@pytest.mark.parametrize(
    "point",
    [
        {"learn_omega": True, "omega": 5.0, "omega_min": 5.6, "omega_max": 6.4},
        {"learn_omega": True, "omega": 7.0, "omega_min": 5.6, "omega_max": 6.4},
        {"readout.source": "plm", "plm": False},
        {"readout.source": "both", "plm": False},
        {"readout.source": "pvm", "pvm": False},
    ],
)
def test_combinations_that_no_model_has_are_forbidden(point: dict[str, Any]) -> None:
    groups: dict[str, Any] = {"pvm": {}, "plm": {}, "readout": {}}
    fields = from_fields(ResonantConfig.model_validate(groups).model_dump(), SEARCH)
    start = {name: value for name, value in fields.items() if name in SEARCH}
    assert SEARCH.explain(start) == []
    (reason,) = SEARCH.explain({**start, **point})
    assert "is not allowed" in reason


@pytest.mark.parametrize("space", [SEARCH, TRAINING], ids=["search", "training"])
def test_dimensions_say_what_they_are(space: Any) -> None:
    for name, dimension in space.dimensions.items():
        assert dimension.meaning.endswith("."), name
        assert dimension.source, name


def section_fields(section: str) -> set[str]:
    """Return the names of the fields of a part of a trial's configuration."""
    annotation: Any = TrialConfig.model_fields[section].annotation
    return set(annotation.model_fields)


def test_training_names_are_fields_of_a_trial() -> None:
    for name in TRAINING:
        section, _, field = name.partition(".")
        assert field in section_fields(section)


# --- groups ---

NAMES = ("width", "memory", "memory.size", "memory.decay", "memory.decay.rate", "query.mode")


def test_switches_are_the_names_with_fields_of_their_own() -> None:
    assert [name for name in NAMES if is_switch(name, NAMES)] == ["memory", "memory.decay"]
    assert not is_switch("query", NAMES)  # a group that is always there has no switch


@pytest.mark.parametrize(
    ("fields", "point"),
    [
        ({"width": 3, "memory": None}, {"width": 3, "memory": False}),
        (
            {"memory": {"size": 2, "decay": None}, "query": {"mode": "mean"}},
            {"memory": True, "memory.size": 2, "memory.decay": False, "query.mode": "mean"},
        ),
        (
            {"memory": {"decay": {"rate": None}}},
            {"memory": True, "memory.decay": True, "memory.decay.rate": None},
        ),
        ({"other": 1, "memory": {"extra": 2}}, {"other": 1, "memory": True, "memory.extra": 2}),
    ],
)
def test_fields_and_points_are_two_forms_of_one_thing(fields: dict[str, Any], point: dict[str, Any]) -> None:
    assert from_fields(fields, NAMES) == point
    assert to_fields(point, NAMES) == fields


def test_what_is_in_a_group_that_is_off_is_left_out() -> None:
    point = {"memory": True, "memory.decay": False, "memory.decay.rate": 0.5, "memory.size": 2}
    assert to_fields(point, NAMES) == {"memory": {"decay": None, "size": 2}}
    assert to_fields({"memory": False, "memory.decay": True, "memory.decay.rate": 0.5}, NAMES) == {"memory": None}


@given(seed=st.integers())
def test_every_sample_survives_the_way_there_and_back(seed: int) -> None:
    point = SEARCH.sample(random.Random(seed))
    assert from_fields(to_fields(point, SEARCH), SEARCH) == point


# --- the guide ---

GUIDE = (ROOT / "docs" / "guides" / "resonant.md").read_text(encoding="utf-8")

FLAGS = """
    n-afrb alpha gamma omega lr steps seq bs ga seed save resume eval-only warmup-steps grad-clip cascade-kappa
    cascade-lambda phase-delta omega-delta stillness-ema stillness-warm stillness-floor block-warm-delta block-ramp
    phase-ramp adaptive-omega adaptive-omega-lr adaptive-omega-interval omega-min omega-max enable-pvm pvm-alpha
    pvm-beta pvm-gate-init pvm2emb-ridge-recalib enable-plm plm-grid-x plm-grid-y plm-alpha plm-beta plm-omega
    plm-kappa plm-gate-init disable-attn task needle-len ctx-chunks ctx-chunk-len needle-query lambda-retrieval
    phase-alignment-weight infonce-weight infonce-negatives infonce-tau sir-dim mem-acc-exact eval-soft-topk
    curriculum-learning curriculum-steps-per-stage readout-from readout-topk readout-scale readout-window
    needle-query-mode readout-head log-readout-stats enable-rca hard-pointer-scale freeze-readout-steps
    kiss-ridge-calib kiss-ridge-max-pairs kiss-ridge-l2 kiss-ridge-unfreeze-step t2-enable t2-steps t2-mode t2-k
    t2-alpha t2-omega t2-phi pcm-enable pcm-gate-init phase-align phase-align-l2 gradient-checkpointing
    skip-phase-metrics num-workers prefetch pin-memory phase-curvature-metrics
"""
"""Every flag of the published command line."""


def test_the_guide_maps_every_flag_to_a_field_that_exists() -> None:
    rows = [line.split("|")[1:3] for line in GUIDE.splitlines() if line.startswith("| `--")]
    named = [flag for flags, _ in rows for flag in re.findall(r"`--([\w-]+)`", flags)]
    assert sorted(named) == sorted(FLAGS.split())
    tasks = {key for name in ("needle", "language") for key in TASKS.get(name).model_fields}
    trial = {f"{section}.{key}" for section in ("budget", "optimizer") for key in section_fields(section)}
    known = {f"architecture.{name}" for name in names_of(ResonantConfig)} | {f"task.{key}" for key in tasks} | trial
    known |= {f"resources.{key}" for key in ResourceConfig.model_fields} | {"seeds", "resume_from", "task.name"}
    fields = {field for _, text in rows for field in re.findall(r"`([\w.]+)`", text)}
    assert len(fields) > 60
    assert not fields - known
    assert all(re.search(r"`[\w.]+`|none", text) for _, text in rows)
