"""Designs: which combinations of levels to run, around a baseline or over the whole factorial.

Every design takes the levels of each factor in order; **the first level is the baseline's**. For the designs of
components (`leave_one_out`, `base_plus_one`, `fractional`) a factor has two levels: off, then on.

Source:
    Box, Hunter & Hunter (2005), "Statistics for Experimenters", chapters 5 and 6.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from search_spaces.dimensions import freeze, identity

Point = dict[str, Any]
Levels = Mapping[str, Sequence[Any]]
Design = Literal["full_factorial", "one_at_a_time", "pairs", "leave_one_out", "base_plus_one", "fractional"]

DESIGNS: tuple[Design, ...] = get_args(Design)
MIN_RESOLUTION = 3


def full_factorial(levels: Levels) -> list[Point]:
    """Return every combination once; the last factor varies fastest.

    Raises:
        ValueError: If there is no factor, one has no level, or two of its levels are equal.
    """
    _check(levels)
    return [dict(zip(levels, values, strict=True)) for values in itertools.product(*levels.values())]


def one_at_a_time(levels: Levels) -> list[Point]:
    """Return the baseline, then every point that differs from it in one factor.

    Raises:
        ValueError: As `full_factorial`.
    """
    _check(levels)
    return list(_around(levels, most_changes=1))


def pairs(levels: Levels) -> list[Point]:
    """Return the baseline, then every point that differs from it in one factor, then in two.

    Those in two show the interactions of pairs, which `one_at_a_time` cannot see.

    Raises:
        ValueError: As `full_factorial`.
    """
    _check(levels)
    return list(_around(levels, most_changes=2))


def base_plus_one(switches: Levels) -> list[Point]:
    """Return the base with every component off, then each component alone: what each adds by itself.

    Raises:
        ValueError: As `full_factorial`, or if a factor does not have two levels.
    """
    _check(switches)
    _check_two_levels(switches)
    return list(_around(switches, most_changes=1))


def leave_one_out(switches: Levels) -> list[Point]:
    """Return the whole with every component on, then the whole without each: what each adds to the others.

    It disagrees with `base_plus_one` exactly where components interact.

    Raises:
        ValueError: As `base_plus_one`.
    """
    _check(switches)
    _check_two_levels(switches)
    on_first = {name: (on, off) for name, (off, on) in switches.items()}
    return list(_around(on_first, most_changes=1))


def fractional(switches: Levels, resolution: int = MIN_RESOLUTION, at_most: int | None = None) -> list[Point]:
    """Return the smallest regular fraction of the full factorial that the search finds with at least `resolution`.

    Any `resolution` − 1 factors appear in all their combinations equally often. So at resolution 3 main
    effects are not aliased with each other, at 4 not with two-factor interactions, and at 5 neither are those.

    Args:
        switches: Two levels a factor.
        resolution: At least 3; above the number of factors it is the full factorial.
        at_most: Largest number of points; None: no limit.

    Raises:
        ValueError: As `base_plus_one`, or if `resolution` < 3, or if there are more points.
    """
    _check(switches)
    _check_two_levels(switches)
    if resolution < MIN_RESOLUTION:
        raise ValueError(f"resolution must be at least {MIN_RESOLUTION}, got {resolution}")
    words = _generators(len(switches), min(resolution, len(switches) + 1), at_most)
    runs = 2 ** max(word.bit_length() for word in words)
    return [
        {
            name: pair[(run & word).bit_count() % 2]
            for (name, pair), word in zip(switches.items(), words, strict=True)
        }
        for run in range(runs)
    ]


def points(
    design: Design, levels: Levels, *, resolution: int | None = None, at_most: int | None = None
) -> list[Point]:
    """Return the points of the design called `design`.

    Args:
        design: One of `DESIGNS`.
        levels: Levels of each factor, the baseline's first.
        resolution: For `fractional` only; 3 unless given.
        at_most: Largest number of points; None: no limit.

    Raises:
        ValueError: If the design cannot have these levels, or has no resolution, or has more points.
    """
    if design == "fractional":
        return fractional(levels, MIN_RESOLUTION if resolution is None else resolution, at_most)
    if resolution is not None:
        raise ValueError(f"only a fractional design has a resolution, not {design}")
    if at_most is not None and (count := _count(design, levels)) > at_most:
        raise ValueError(_too_many(f"{count:,}" if count < _EXACT else f"about {float(count):.0e}", at_most))
    return _BY_NAME[design](levels)


MOST_FOR_RESOLUTION_5 = 6
"""Components; with more, a fraction of resolution 5 has 64 points and more."""


def ablation_resolution(design: Design, num_components: int, resolution: int | None = None) -> int | None:
    """Return the resolution of an ablation: that given or, of a fraction, 5 for up to six components, else 4."""
    if design != "fractional" or resolution is not None:
        return resolution
    return 5 if num_components <= MOST_FOR_RESOLUTION_5 else 4


def ablation(
    design: Design, components: Sequence[str], *, resolution: int | None = None, at_most: int | None = None
) -> list[tuple[str, ...]]:
    """Return which of the components each point of an ablation has; what begins with the whole has all first.

    Args:
        design: One of `DESIGNS` for components; of `fractional` and `pairs`, the baseline is the whole.
        components: Their names.
        resolution: Of a fraction; None: that of `ablation_resolution`.
        at_most: Largest number of points; None: no limit.

    Raises:
        ValueError: As `points`.
    """
    is_around_whole = design in {"fractional", "pairs"}
    switches = dict.fromkeys(components, (True, False) if is_around_whole else (False, True))
    found = points(
        design, switches, resolution=ablation_resolution(design, len(components), resolution), at_most=at_most
    )
    return [tuple(name for name in components if point[name]) for point in found]


_EXACT = 10**9
"""Counts below this are printed exactly."""


def _too_many(count: str, at_most: int) -> str:
    return f"has {count} points, and at most {at_most:,} are made; take out factors or levels"


def _count(design: Design, levels: Levels) -> int:
    """Return the number of points of a design around a baseline, or of the full factorial, without building it."""
    others = [len(values) - 1 for values in levels.values()]
    if design == "full_factorial":
        return min(math.prod(other + 1 for other in others), 10**300)
    pairs_of = (sum(others) ** 2 - sum(other**2 for other in others)) // 2 if design == "pairs" else 0
    return 1 + sum(others) + pairs_of


_BY_NAME: dict[str, Callable[[Levels], list[Point]]] = {
    "full_factorial": full_factorial,
    "one_at_a_time": one_at_a_time,
    "pairs": pairs,
    "leave_one_out": leave_one_out,
    "base_plus_one": base_plus_one,
}


def _around(levels: Levels, *, most_changes: int) -> Iterator[Point]:
    """Yield the baseline and all points that differ from it in up to `most_changes` factors, fewest first."""
    baseline = {name: values[0] for name, values in levels.items()}
    for count in range(min(most_changes, len(levels)) + 1):
        for changed in itertools.combinations(levels, count):
            for values in itertools.product(*(levels[name][1:] for name in changed)):
                yield {**baseline, **dict(zip(changed, values, strict=True))}


def _generators(count: int, resolution: int, at_most: int | None) -> list[int]:
    """Return one word a factor, as bit masks over the run's number: the factor is the parity of those bits.

    A word is taken if no `resolution` − 2 or fewer of those before it add up (XOR) to it; taken greedily from 1
    on, the words span every bit they use, so no run is repeated.

    Raises:
        ValueError: If there are more than `at_most` runs.
    """
    words: list[int] = []
    sums: list[set[int]] = [{0}, *(set() for _ in range(resolution - 2))]  # sums[k]: of k different words
    word = 0
    while len(words) < count:
        word += 1
        if any(word in reachable for reachable in sums):
            continue
        if at_most is not None and 2 ** word.bit_length() > at_most:
            raise ValueError(_too_many(f"at least {2 ** word.bit_length():,}", at_most))
        words.append(word)
        for k in range(len(sums) - 1, 0, -1):
            sums[k] |= {word ^ other for other in sums[k - 1]}
    return words


def _check(levels: Levels) -> None:
    if not levels:
        raise ValueError("a design needs at least one factor")
    for name, values in levels.items():
        if not values:
            raise ValueError(f"{name} needs at least one level")
        if len({identity(freeze(value)) for value in values}) < len(values):
            raise ValueError(f"the levels of {name} must differ, got {list(values)!r}")


def _check_two_levels(switches: Levels) -> None:
    for name, values in switches.items():
        if len(values) != 2:
            raise ValueError(f"{name} needs two levels, off and on, in this design; got {list(values)!r}")
