"""The π-spiral family: how a position is encoded, and the ranges for a search."""

from __future__ import annotations

from search_spaces.dimensions import Choice, Integer, LogReal, Real
from search_spaces.space import Condition, SearchSpace

_CODE = "pie-spiral f4f10cd"
_OURS = "this project"

SCHEMES = (
    "rope",
    "ntk",
    "linear",
    "yarn",
    "alibi",
    "spiral",
    "hybrid",
    "adaptive_hybrid",
    "learned",
    "sinusoidal",
    "none",
)

_OF_ONE = ("pi", "e", "sqrt2", "golden", "1", "22/7", "355/113", "rope_frequency", "prng_table", "prng_hash")
_CONSTANTS = (*_OF_ONE, "multi")
_HYBRIDS = ("hybrid", "adaptive_hybrid")
_SPIRALS = ("spiral", *_HYBRIDS)
_SCALED = ("ntk", "linear", "yarn")
_HAVE_BASE = ("rope", *_SCALED, *_HYBRIDS)
_DRAWN = ("prng_table", "prng_hash")

_ENCODING = {
    "scheme": Choice(
        SCHEMES,
        meaning="How attention learns of positions.",
        source=f"{_CODE} (rope, ntk, spiral, hybrid, adaptive_hybrid; alibi in a note); the rest are controls",
    ),
    "applied": Choice(
        ("rotary", "added"),
        meaning="Whether a spiral rotates queries and keys, or is a vector added at the input of attention.",
        source=f"{_CODE} adds it",
    ),
    "constant": Choice(
        _CONSTANTS,
        unit="turns a position",
        meaning="What a position's phase is computed from; those from 1 on are controls.",
        source=f"{_CODE} (pi, e, sqrt2, golden, prng); {_OURS}",
    ),
    "rates": Choice(
        ("one", "multiples"),
        meaning="Whether all pairs of channels have one phase, or pair k that phase k times.",
        source=f"{_CODE} has one; {_OURS}",
    ),
    "base": LogReal(
        1e3,
        1e6,
        meaning="Base of RoPE's frequencies.",
        source=f"{_CODE} has 1e4, Qwen2.5 1e6",
    ),
    "scale": LogReal(1.0, 32.0, meaning="By which factor the context is extended.", source=f"{_CODE} uses 4"),
    "scaled_in_training": Choice(
        (True, False), meaning="Extend in training too, or in evaluation only.", source=_OURS
    ),
    "trained_length": Choice(
        (64, 128, 256, 512, 1024, 2048, 4096, 8192),
        unit="positions",
        meaning="Positions that the weights are trained on, as YaRN has to be told.",
        source="the task's or the pretrained model's",
    ),
    "transition": LogReal(
        16.0,
        65_536.0,
        unit="positions",
        meaning="Position K at which a hybrid is half RoPE, half spiral.",
        source=f"{_CODE}: 8,000 to 64,000; {_OURS} below",
    ),
    "width": LogReal(
        1.0, 4_096.0, unit="positions", meaning="Width of that transition.", source=f"{_CODE}: 1,000; {_OURS}"
    ),
    "phase_precision": Choice(
        ("exact", "float32"),
        meaning="Whether phases are exact at any position, or computed in float32, as published.",
        source=_CODE,
    ),
}

_ATTRACTOR = {
    "policy": Choice(("fixed", "exp_c_over_n", "learned"), meaning="What the decay of the state is.", source=_CODE),
    "decay": Real(0.5, 0.999, meaning="Decay a position where it is fixed; learned, at the start.", source=_CODE),
    "c": Real(0.0, 8.0, meaning="c of the decay exp(-c / N).", source=f"{_CODE}: 1, e, pi, 5"),
    "length": Choice(
        (None, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
        unit="positions",
        meaning="N of the decay exp(-c / N); null: the length of the input, as published.",
        source=_CODE,
    ),
    "constant": Choice(
        _OF_ONE, unit="turns a position", meaning="By which the state's terms turn; 1: not.", source=_OURS
    ),
    "injection": Choice(
        ("cross_attention", "residual", "projection"),
        meaning="How the state is added to the output of attention.",
        source=f"{_CODE} (the first two); {_OURS}",
    ),
    "last_layers": Integer(1, 12, unit="layers", meaning="Layers with an attractor.", source=f"{_CODE}: 4"),
    "state_width": Choice(
        (None, 16, 32, 64, 128, 256, 512),
        unit="complex numbers",
        meaning="Size of a state; null: the width of the model.",
        source=_CODE,
    ),
    "read": Choice(
        ("causal", "final"), meaning="Whether a position sees its own state or the last one.", source=_CODE
    ),
    "carried": Choice((False, True), meaning="Start with the state of the batch before.", source=_CODE),
    "phase_precision": Choice(
        ("exact", "float32"), meaning="Whether phases are exact, or in float32 as published.", source=_CODE
    ),
}


def encoding_space(prefix: str = "") -> SearchSpace:
    """Return the fields of an encoding with the conditions between them, each name after `prefix`."""
    scheme, constant, applied = f"{prefix}scheme", f"{prefix}constant", f"{prefix}applied"
    conditions = (
        Condition((applied, constant), only_if=f"{scheme} in {_SPIRALS}"),
        Condition(f"{prefix}rates", only_if=f"{scheme} in {_SPIRALS} and {constant} != 'multi'"),
        Condition(f"{prefix}base", only_if=f"{scheme} in {_HAVE_BASE}"),
        Condition((f"{prefix}scale", f"{prefix}scaled_in_training"), only_if=f"{scheme} in {_SCALED}"),
        Condition(f"{prefix}trained_length", only_if=f"{scheme} == 'yarn'"),
        Condition((f"{prefix}transition", f"{prefix}width"), only_if=f"{scheme} in {_HYBRIDS}"),
        Condition(
            f"{prefix}phase_precision",
            only_if=f"{scheme} in {_HAVE_BASE} or {scheme} == 'spiral' and {constant} not in {_DRAWN}",
        ),
    )
    return SearchSpace({f"{prefix}{name}": dimension for name, dimension in _ENCODING.items()}, conditions)


def attractor_space(prefix: str = "") -> SearchSpace:
    """Return the fields of an attractor with the conditions between them, each name after `prefix`."""
    policy = f"{prefix}policy"
    conditions = (
        Condition(f"{prefix}decay", only_if=f"{policy} in ('fixed', 'learned')"),
        Condition((f"{prefix}c", f"{prefix}length"), only_if=f"{policy} == 'exp_c_over_n'"),
        Condition(f"{prefix}phase_precision", only_if=f"{prefix}constant not in {_DRAWN}"),
    )
    return SearchSpace({f"{prefix}{name}": dimension for name, dimension in _ATTRACTOR.items()}, conditions)


def _family_space() -> SearchSpace:
    """Return an encoding, the switch of the attractor, and its fields."""
    encoding, attractor = encoding_space("encoding."), attractor_space("attractor.")
    switch = Choice((False, True), meaning="Add an attractor in the last layers.", source=_CODE)
    return SearchSpace(
        {**encoding.dimensions, "attractor": switch, **attractor.dimensions},
        (*encoding.conditions, Condition("attractor.*", only_if="attractor"), *attractor.conditions),
    )


SEARCH = _family_space()
"""Every field specific to the family that a search may change."""

SPACES = {"search": SEARCH}
