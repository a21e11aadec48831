"""The π-spiral family: how a position is encoded, and the ranges for a search."""

from __future__ import annotations

from search_spaces.dimensions import Choice, LogReal
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
        (
            "pi",
            "e",
            "sqrt2",
            "golden",
            "22/7",
            "355/113",
            "rope_frequency",
            "prng_table",
            "prng_hash",
            "multi",
        ),
        unit="turns a position",
        meaning="What a position's phase is computed from; those from 22/7 on are controls.",
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


def encoding_space(prefix: str = "") -> SearchSpace:
    """Return the fields of an encoding with the conditions between them, each name after `prefix`."""
    scheme, constant, applied = f"{prefix}scheme", f"{prefix}constant", f"{prefix}applied"
    conditions = (
        Condition((applied, constant), only_if=f"{scheme} in {_SPIRALS}"),
        Condition(f"{prefix}rates", only_if=f"{scheme} in {_SPIRALS} and {constant} != 'multi'"),
        Condition(f"{prefix}base", only_if=f"{scheme} in {_HAVE_BASE}"),
        Condition((f"{prefix}scale", f"{prefix}scaled_in_training"), only_if=f"{scheme} in {_SCALED}"),
        Condition((f"{prefix}transition", f"{prefix}width"), only_if=f"{scheme} in {_HYBRIDS}"),
        Condition(
            f"{prefix}phase_precision",
            only_if=f"{scheme} in {_HAVE_BASE} or {scheme} == 'spiral' and {constant} not in {_DRAWN}",
        ),
    )
    return SearchSpace({f"{prefix}{name}": dimension for name, dimension in _ENCODING.items()}, conditions)


ENCODING = encoding_space()
"""The fields of one encoding (`trainables.layers.encodings.fields.EncodingConfig`)."""
