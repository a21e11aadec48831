"""Mistakes with encodings of positions and attractors."""

from __future__ import annotations

from tests.golden.mistake import Mistake, edit
from tests.golden.pretrained_mistakes import KURAMOTO


def asks(fields: str) -> Mistake:
    """Return the mistake of asking for a π-spiral model with such fields."""
    return edit(KURAMOTO, f"{{name: pi_spiral, {fields}}}")


MISTAKES = {
    "a constant of spirals that is none": asks("encoding: {constant: tau}"),
    "a fraction that YAML reads as a number": asks("encoding: {constant: 1}"),
    "a scale for a scheme that has none": asks("encoding: {scheme: rope, scale: 4.0}"),
    "YaRN without the trained length": asks("encoding: {scheme: yarn, scale: 4.0}"),
    "positions beside an encoding": asks("positions: learned"),
    "a hybrid as published": asks("fidelity: as_published, encoding: {scheme: hybrid}"),
    "an attractor with many constants": asks("attractor: {constant: multi}"),
    "heads that cannot be rotated": asks("d_model: 6, num_heads: 2"),
}
