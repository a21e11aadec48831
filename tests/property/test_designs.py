"""Designs keep their promises whatever the factors are."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from search_spaces.designs import base_plus_one, fractional, full_factorial, leave_one_out, one_at_a_time, pairs

names = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)


@st.composite
def factors(draw):
    return {
        name: draw(st.lists(st.integers(-9, 9) | st.text("xyz", max_size=2), min_size=1, max_size=4, unique=True))
        for name in draw(names)
    }


@st.composite
def switches(draw, most=9):
    count = draw(st.integers(1, most))
    return {f"x{i}": tuple(draw(st.permutations([0, 1]))) for i in range(count)}


def distance(point, baseline):
    return sum(point[name] != baseline[name] for name in baseline)


def keys(design):
    return [tuple(point.values()) for point in design]


@given(factors())
def test_the_designs_are_shells_of_the_full_factorial(levels):
    baseline = {name: values[0] for name, values in levels.items()}
    full = full_factorial(levels)
    sizes = 1
    for values in levels.values():
        sizes *= len(values)
    assert len(full) == sizes
    for design, reach in ((one_at_a_time(levels), 1), (pairs(levels), 2)):
        assert design[0] == baseline
        assert len(set(keys(design))) == len(design), "a point twice"
        assert set(keys(design)) == {
            key for key, p in zip(keys(full), full, strict=True) if distance(p, baseline) <= reach
        }
        assert [distance(p, baseline) for p in design] == sorted(distance(p, baseline) for p in design)


@given(switches())
def test_components_alone_and_left_out_mirror_each_other(pairs_of_levels):
    flipped = {name: (on, off) for name, (off, on) in pairs_of_levels.items()}
    assert base_plus_one(pairs_of_levels) == leave_one_out(flipped)
    assert len(base_plus_one(pairs_of_levels)) == len(pairs_of_levels) + 1


@given(switches(), st.integers(3, 6))
def test_fractions_are_orthogonal_to_their_resolution(pairs_of_levels, resolution):
    """Any `resolution` - 1 factors appear in all their combinations equally often."""
    design = fractional(pairs_of_levels, resolution)
    assert len(set(keys(design))) == len(design) <= 2 ** len(pairs_of_levels)
    strength = min(resolution - 1, len(pairs_of_levels))
    for chosen in itertools.combinations(pairs_of_levels, strength):
        seen = Counter(tuple(point[name] for name in chosen) for point in design)
        assert len(seen) == 2**strength
        assert len(set(seen.values())) == 1, chosen
