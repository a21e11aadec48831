"""The TPI family: its ten versions and its controls as named points of one space, and the ranges for a search."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from search_spaces.dimensions import Choice, LogReal
from search_spaces.space import Condition, SearchSpace

_NOTES = "TPI, notes on decoupling"
_CODE = "TPI (hartflow), version"
_OURS = "this project"

_PHASES = {
    "frequency": Choice(
        ("linear", "gated", "atan2", "fixed", "none"),
        meaning="Where a token's turn comes from; `fixed` and `none` are controls.",
        source=f"{_CODE} dfbbc17 (linear), 19df922 (atan2), a2c7932 (gated)",
    ),
    "frequency_scale": LogReal(
        1e-4,
        1.0,
        unit="radians a token",
        meaning="Start of the trained factor on the turns; standard deviation of fixed ones.",
        source=f"{_CODE} dfbbc17 starts at .001, ef2f19c at .01",
    ),
    "squash": Choice(
        (False, True),
        meaning="Keep phases within 10 radians by a tanh.",
        source=f"{_CODE} 19df922, dropped in dfbbc17",
    ),
    "decoupling": Choice(
        ("none", "free", "constrained"),
        meaning="Frequency by which phases are read: that of writing, one of its own, or that plus a tenth of it.",
        source=f"{_NOTES}: first attempt, and option B",
    ),
    "phase_init": Choice(
        ("none", "linear", "mlp"),
        meaning="Phase that a token adds to its own position alone.",
        source=f"{_CODE} ef2f19c (linear), 2743513 (two layers)",
    ),
    "query_offset": Choice(
        ("none", "read", "trajectory"),
        meaning="Phase that a token adds to where it reads, or also to the trajectory that the output sees.",
        source=f"{_NOTES}: second attempt; {_CODE} ef2f19c (trajectory), 2743513 (read)",
    ),
}

_SUM = {
    "window": Choice(
        (None, 64, 128), unit="tokens", meaning="Positions in the sum; null: all of the past.", source=_NOTES
    ),
    "decay": Choice(("none", "learned"), meaning="Let the past fade by one trained factor a layer.", source=_NOTES),
    "decay_init_window": LogReal(
        2.0,
        1024.0,
        unit="tokens",
        meaning="Window 1/(1 - factor) that the factor starts with.",
        source=f"{_OURS}: 64 is the hard window; far above and below the 13 to 17 that {_NOTES} found learned",
    ),
    "magnitude": Choice(
        ("sigmoid", "none"), meaning="Weight of a token: 5 times a sigmoid, or 1.", source=f"{_CODE} dfbbc17"
    ),
    "normalise": Choice(
        ("sum", "sqrt", "none"),
        meaning="Divide by the sum of the weights, or by its square root.",
        source=f"{_CODE} dfbbc17 (sum), a2c7932 (sqrt)",
    ),
}

_OUTPUT = {
    "expansion": Choice(
        ((), (1,), (2,), (4,), (4, 2)),
        unit="d_model",
        meaning="Hidden widths of the output map, a GELU after each; none: one linear map.",
        source=f"{_NOTES} (4, and 2 as a plan); {_CODE} ef2f19c (4 and 2)",
    ),
    "expansion_norm": Choice(
        (False, True), meaning="A norm before each hidden layer.", source=f"{_CODE} ef2f19c and 2743513"
    ),
    "double_residual": Choice(
        (False, True), meaning="Add the normed input a second time, as published.", source=f"{_CODE} dfbbc17"
    ),
    "dropout_at": Choice(
        ("everywhere", "output_map"),
        meaning="Where dropout acts: on embeddings and feed-forward layers too, or in the output map alone.",
        source=f"{_CODE} ef2f19c (output_map)",
    ),
    "memory_size": Choice(
        (0, 8, 16, 32),
        unit="numbers in a key",
        meaning="Explicit associative memory beside the sum; 0: none.",
        source=f"{_NOTES}: option C, which does not say what it is",
    ),
    "diversity_weight": Choice(
        (0.0, 0.01, 0.1),
        unit="nats a token",
        meaning="Penalty on phases that stay together over time, of every layer.",
        source=f"{_NOTES} name it; form and weights are this project's",
    ),
}

SEARCH = SearchSpace(
    {**_PHASES, **_SUM, **_OUTPUT},
    conditions=(
        Condition("frequency_scale", only_if="frequency in ('linear', 'gated', 'fixed')"),
        Condition("squash", only_if="frequency != 'none'"),
        Condition("decoupling", only_if="frequency in ('linear', 'gated')"),
        Condition("decay_init_window", only_if="decay == 'learned'"),
        Condition("expansion_norm", only_if="expansion != ()"),
        Condition("diversity_weight", only_if="frequency in ('linear', 'gated', 'atan2') or phase_init != 'none'"),
    ),
)
"""Every field specific to the family that a search may change. Names are those of the architecture's fields."""

VARIANTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "v0_atan2": {"frequency": "atan2", "squash": True},
        "v1_simple": {},
        "v2_expansion": {"expansion": (4,), "dropout": 0.1},
        "v3_hard_window": {"window": 64},
        "v4_learned_decay": {"decay": "learned"},
        "v5_decoupled": {"decoupling": "free"},
        "v6_query_offset": {
            "phase_init": "linear",
            "query_offset": "trajectory",
            "frequency_scale": 0.01,
            "expansion": (4, 2),
            "expansion_norm": True,
            "dropout": 0.1,
        },
        "v7_phase_init": {
            "phase_init": "linear",
            "frequency_scale": 0.01,
            "expansion": (4, 2),
            "expansion_norm": True,
            "dropout": 0.1,
        },
        "v8_read_offset": {
            "phase_init": "mlp",
            "query_offset": "read",
            "frequency_scale": 0.01,
            "expansion": (4,),
            "expansion_norm": True,
            "dropout": 0.2,
        },
        "v9_constrained": {"decoupling": "constrained"},
        "v10_gated": {
            "frequency": "gated",
            "phase_init": "mlp",
            "query_offset": "read",
            "normalise": "sqrt",
            "expansion": (2,),
            "expansion_norm": True,
            "dropout": 0.1,
        },
        "diversity": {"diversity_weight": 0.1},
        "associative_memory": {"memory_size": 16},
        "ema": {"frequency": "none", "decay": "learned"},
        "prefix_mean": {"frequency": "none", "magnitude": "none"},
        "fixed_frequency": {"frequency": "fixed", "frequency_scale": 1.0},
    }
)
"""The values that each name sets, where they differ from the family's defaults.

V0 to V10 are those of the source, the next two other ideas of its notes. The last three are controls: a decaying
average without phases, the plain mean of the past, and phases that do not depend on tokens.
"""

SPACES = {"search": SEARCH}
