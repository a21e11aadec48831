"""The Kuramoto family: the grid that re-runs PhaseGPT's Phase A fairly, and the ranges for a search."""

from __future__ import annotations

from search_spaces.dimensions import Choice, Integer, LogReal, Real
from search_spaces.space import Condition, Forbidden, SearchSpace

_PHASE_A = "PhaseGPT, docs/PHASE_A_FINAL_REPORT.md"
_PHASE_B = "PhaseGPT, Phase B preregistration"
_CODE = "PhaseGPT, src/phase_attention.py"

_COUPLED = "coupling != 0 or learn_coupling"

_SIGN = Choice(
    ("attractive", "repulsive"),
    meaning="Pull toward the mean field (Kuramoto's equation) or away from it (the published code).",
    source=_CODE,
)
_CAUSAL = Choice(
    (True, False),
    meaning="Mean field over positions up to t, or over the whole sequence as published: a future leak.",
    source=_CODE,
)
_LEARN_COUPLING = Choice(
    (False, True), meaning="Hold the coupling, or train one a head from `coupling` on.", source=_CODE
)
_NUM_OSCILLATORS = Choice((16, 32, 64), unit="oscillators a head", meaning="Phases a head.", source=_PHASE_A)

PHASE_A_GRID = SearchSpace(
    {
        "coupling": Choice(
            (0.0, 0.5, 0.75, 1.0, 2.0),
            unit="radians per unit of model time",
            meaning="Strength of the mean field; 0 leaves the oscillators independent.",
            source=f"{_PHASE_A} (1, 2); {_PHASE_B} (.5, .75); 0 is the control",
        ),
        "learn_coupling": _LEARN_COUPLING,
        "num_oscillators": _NUM_OSCILLATORS,
        "phase_layers": Choice(
            ((4,), (6,), (7,), (4, 7), (6, 7)),
            unit="layers, from 0",
            meaning="Layers whose attention is replaced by phases; needs a model of at least 8 layers.",
            source=_PHASE_A,
        ),
        "sign": _SIGN,
        "causal": _CAUSAL,
    },
    conditions=(Condition(("sign", "causal"), only_if=_COUPLED),),
    forbidden=(
        Forbidden("coupling == 0 and learn_coupling", "a coupling learnt from 0 is no control without one"),
    ),
)
"""Phase A, with the switches that the published code never varied."""

SEARCH = SearchSpace(
    {
        "coupling": Real(
            0.0,
            4.0,
            unit="radians per unit of model time",
            meaning="Strength of the mean field; 0 leaves the oscillators independent.",
            source=f"0 to twice the largest of {_PHASE_A}",
        ),
        "learn_coupling": _LEARN_COUPLING,
        "num_oscillators": _NUM_OSCILLATORS,
        "phase_weight": Choice(
            (1.0, 0.5),
            meaning="Share of the oscillators in a phase layer; softmax attention has the rest.",
            source=f"{_CODE}: 1 in every configuration, .5 in HybridAttention",
        ),
        "frequency_std": Real(
            0.0,
            0.5,
            unit="radians per unit of model time",
            meaning="Initial standard deviation of the natural frequencies.",
            source=f"{_CODE}: natural_freq_std, .1 in every configuration",
        ),
        "sign": _SIGN,
        "causal": _CAUSAL,
        "readout": Choice(
            ("cos_sin", "angle"),
            meaning="What the output projection reads; raw angles jump at pi.",
            source=_CODE,
        ),
        "num_steps": Integer(
            1,
            20,
            unit="Euler steps",
            meaning="Steps of the oscillators in one layer.",
            source=f"{_CODE} uses 10, its configuration says 5",
        ),
        "dt": LogReal(0.01, 1.0, unit="model time", meaning="Length of an Euler step.", source=f"{_CODE} fixes .1"),
        "phase_noise": Real(
            0.0,
            0.3,
            unit="radians",
            meaning="Standard deviation of the noise added to the phases in training.",
            source=f"{_PHASE_B} names .03",
        ),
        "frequency_jitter": Real(
            0.0,
            0.2,
            meaning="Relative standard deviation of the natural frequencies in training.",
            source=f"{_PHASE_B} names .02",
        ),
        "coherence_weight": Choice(
            (0.0, 0.01, 0.1),
            unit="nats a token",
            meaning="Weight of the regulariser on the order parameter; 0 is off.",
            source=f"{_PHASE_B} says .01, its configuration .1",
        ),
        "coherence_target": Real(
            0.3,
            0.55,
            meaning="Order parameter the regulariser aims at, between 0 and 1.",
            source=f"{_PHASE_B} names [.3, .55] and .45, without a reason",
        ),
        "coherence_form": Choice(
            ("ceiling", "centre", "band"),
            meaning="Penalty above the target, on both sides of it, or outside a band around it.",
            source=_PHASE_B,
        ),
    },
    conditions=(
        Condition("sign", only_if=_COUPLED),
        Condition("causal", only_if=f"{_COUPLED} or phase_weight != 1"),
        Condition(("coherence_target", "coherence_form"), only_if="coherence_weight != 0"),
    ),
)
"""Every field specific to the family that a search may change. Fixed are `phase_layers`; `coherence_layers`, which
matters to several of them only; and `padding_token`, which is the task's."""

SPACES = {"search": SEARCH, "phase_a": PHASE_A_GRID}
