"""The Pareto front of points with several objectives."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Return the places of the points that no other one dominates, in their order; lower is better.

    A point dominates another one if it is nowhere worse and somewhere better, so equal points stand side by side.
    """
    return [place for place, own in enumerate(points) if not any(_dominates(other, own) for other in points)]


def _dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)
