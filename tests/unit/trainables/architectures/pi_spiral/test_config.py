"""The fields of a π-spiral model: defaults, fidelity, what counts, and mistakes."""

from __future__ import annotations

import random
import types
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from search_spaces.optional_groups import from_fields, to_fields
from search_spaces.pi_spiral import SEARCH
from trainables.architectures.gpt import BackboneConfig, TransformerConfig
from trainables.architectures.pi_spiral import PiSpiralConfig
from trainables.registry import ARCHITECTURES

SMALL: dict[str, Any] = {"d_model": 16, "num_layers": 2, "num_heads": 2}


def built(**fields: Any) -> PiSpiralConfig:
    return PiSpiralConfig.model_validate({**SMALL, **fields})


def dotted(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Return the dotted names of all fields, optional groups and what is in groups."""
    names = set()
    for key, field in model.model_fields.items():
        annotation: Any = field.annotation
        parts = get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
        groups = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        names |= {prefix + key} if not groups or type(None) in parts else set()
        names |= {name for group in groups for name in dotted(group, f"{prefix}{key}.")}
    return names


def test_the_space_has_every_field_of_the_family() -> None:
    own = dotted(PiSpiralConfig) - set(BackboneConfig.model_fields)
    assert own == set(SEARCH) | {"fidelity", "causal", "positions_restart"}


@given(st.integers())
def test_any_sample_builds_a_configuration_with_its_values(seed: int) -> None:
    point = SEARCH.sample(random.Random(seed))
    found = from_fields(built(**to_fields(point, SEARCH)).model_dump(), SEARCH)
    assert {name: found[name] for name in point} == point


def test_a_group_may_say_only_what_differs() -> None:
    assert built(encoding={"constant": "e"}).encoding.scheme == "spiral"
    assert built(encoding={"scheme": "learned"}).positions == "learned"
    assert built(encoding={"scheme": "sinusoidal"}).positions == "sinusoidal"
    assert built().positions == built(encoding={"scheme": "alibi"}).positions == "none"


def test_as_published_sets_what_was_published() -> None:
    plain = built(fidelity="as_published")
    assert plain.attractor is None
    assert (plain.bias, plain.residual_init, plain.causal) == (True, "plain", False)
    assert (plain.encoding.applied, plain.encoding.phase_precision) == ("added", "float32")
    with_state = built(fidelity="as_published", attractor={"policy": "learned"})
    assert with_state.attractor is not None
    assert (with_state.attractor.read, with_state.attractor.carried, with_state.attractor.decay) == (
        "final",
        True,
        0.5,
    )
    given_decay = built(fidelity="as_published", attractor={"policy": "learned", "decay": 0.9}).attractor
    assert given_decay is not None and given_decay.decay == 0.9
    assert built(fidelity="as_published", encoding={"applied": "rotary"}).encoding.applied == "rotary"


@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ({}, set()),
        ({"attractor": {}}, set()),
        ({"attractor": {"read": "final"}}, {"causality"}),
        ({"causal": False}, {"causality"}),
        ({"positions_restart": True}, {"stream"}),
        ({"positions_restart": True, "encoding": {"scheme": "none"}}, set()),
        ({"positions_restart": True, "causal": False}, {"causality"}),
        ({"positions_restart": True, "encoding": {"scheme": "none"}, "attractor": {}}, {"stream"}),
        ({"num_layers": 0, "causal": False, "attractor": {"read": "final"}}, set()),
    ],
)
def test_what_is_broken_is_declared(fields: dict[str, Any], broken: set[str]) -> None:
    assert built(**fields).violates == broken


def test_a_carried_state_forbids_splitting_a_batch() -> None:
    assert built(attractor={}).microbatch_invariant
    assert not built(attractor={"carried": True}).microbatch_invariant


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"fidelity": "corrected", "encoding": {"base": 77.0}}),
        ({"encoding": {"scheme": "none"}}, {"encoding": {"scheme": "none", "constant": "e"}}),
        ({"attractor": {}}, {"attractor": {"last_layers": 2, "state_width": 16}}),
        ({}, {"attractor": {"last_layers": 0, "policy": "learned", "read": "final", "carried": True}}),
        ({"causal": False}, {"causal": False, "positions_restart": True}),
        ({"num_layers": 0}, {"num_layers": 0, "attractor": {}, "encoding": {"scheme": "alibi"}}),
    ],
)
def test_what_has_no_effect_does_not_count(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = built(**one), built(**other)
    assert first.canonical() == second.canonical()
    promises = ("violates", "microbatch_invariant", "shardable")
    assert [getattr(first, name) for name in promises] == [getattr(second, name) for name in promises]


def test_what_has_an_effect_counts() -> None:
    fields: list[dict[str, Any]] = [
        {},
        {"encoding": {"constant": "e"}},
        {"encoding": {"scheme": "none"}},
        {"encoding": {"scheme": "learned"}},
        {"encoding": {"scheme": "sinusoidal"}},
        {"attractor": {}},
        {"attractor": {"last_layers": 1}},
        {"attractor": {"carried": True}},
        {"causal": False},
        {"positions_restart": True},
        {"fidelity": "as_published"},
        {"num_layers": 0},
        {"num_layers": 0, "encoding": {"scheme": "learned"}},
    ]
    assert len({str(built(**each).canonical()) for each in fields}) == len(fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"positions": "learned"}, "positions=learned: in this family encoding.scheme=spiral says how"),
        ({"fidelity": "as_published", "encoding": {"scheme": "hybrid"}}, "as published a hybrid raises"),
        ({"encoding": {"scheme": "yarn"}}, "encoding.scheme=yarn needs encoding.trained_length"),
        ({"d_model": 6, "num_heads": 2}, "gives heads of 3 channels; encoding.scheme=spiral rotates pairs"),
        ({"d_model": 4, "encoding": {"scheme": "ntk"}}, "heads of 2 channels; encoding.scheme=ntk .* at least 4"),
        ({"encoding": {"constant": "tau"}}, "'pi', 'e'"),
    ],
)
def test_mistakes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        built(**fields)


def test_heads_of_odd_width_may_have_what_does_not_rotate() -> None:
    for scheme in ("alibi", "learned", "none"):
        assert built(d_model=6, encoding={"scheme": scheme}).rotates is False
    assert not built(d_model=6, encoding={"applied": "added"}).rotates


def test_equal_names_start_equal_in_the_transformer() -> None:
    """So that seeds are paired between this family's arms and the control."""
    from trainables.randomness import initialise

    models = [
        config.build(vocab_size=11, max_seq_len=9)
        for config in (TransformerConfig(**SMALL), built(encoding={"scheme": "rope"}), built(attractor={}))
    ]
    for model in models:
        initialise(model, 3)
    control, *others = [model.state_dict() for model in models]
    for other in others:
        for name in ("token_embedding.weight", "blocks.1.mixer.qkv.weight", "blocks.0.ffn.up.weight"):
            assert (control[name] == other[name]).all()


def test_a_configuration_is_found_by_its_name() -> None:
    assert ARCHITECTURES.parse({"name": "pi_spiral", **SMALL}) == built()
