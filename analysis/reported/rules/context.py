"""Numbers beside closed forms, and beside what must be known to read them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from analysis.reported.printed import Printed

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e, "sqrt2": math.sqrt(2), "phi": (1 + math.sqrt(5)) / 2}

OF_NOISE = math.exp(-float(np.euler_gamma))
"""Spectral flatness of white noise: that of exponentially distributed powers."""


def cosine_of_rotation(cosine: Printed, constant: str, offset: int) -> str | None:
    """Positions that a rotation turns by 2π · constant each have the cosine cos(2π · constant · offset)."""
    truth = math.cos(2 * math.pi * math.fmod(_constant(constant) * offset, 1.0))
    if cosine.holds(truth):
        return None
    return f"cos(2π · {constant} · {offset}) is {truth:.3f}, not {cosine.text}"


def flat_spectrum(constant: str, positions: int) -> str | None:
    """A spectrum that is called flat is as flat as that of noise; that of a rotation is a pure tone."""
    turns = np.fmod(_constant(constant) * np.arange(positions), 1.0)
    power = np.abs(np.fft.fft(np.exp(2j * np.pi * turns))) ** 2
    flatness = float(np.exp(np.log(power).mean()) / power.mean())
    if flatness >= OF_NOISE:
        return None
    return (
        f"a rotation by {constant} is a pure tone: flatness {flatness:.1g} over {positions} positions, "
        f"of noise {OF_NOISE:.4f}"
    )


def named_corpus(value: Printed, corpus: str | None = None) -> str | None:
    """A score on text names the text: without it no other score can stand beside it."""
    return None if corpus else f"{value.text} is a score on a text that is not named"


def _constant(name: str) -> float:
    if name not in CONSTANTS:
        raise ValueError(f"constant: unknown '{name}'; known: {', '.join(CONSTANTS)}")
    return CONSTANTS[name]
