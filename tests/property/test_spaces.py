import random

from hypothesis import given
from hypothesis import strategies as st

from search_spaces.dimensions import Choice, Constant, Integer, LogReal, Real, identity
from search_spaces.space import Condition, Forbidden, SearchSpace

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-300, max_value=1e300)
scalars = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.none())


def _ascending(values):
    return st.lists(values, min_size=2, max_size=2, unique=True).map(sorted)


ranges = st.one_of(
    _ascending(finite).map(lambda ends: Real(*ends)),
    _ascending(positive).map(lambda ends: LogReal(*ends)),
    _ascending(st.integers()).map(lambda ends: Integer(*ends)),
)
choices = st.lists(scalars, min_size=2, max_size=4, unique_by=identity).map(lambda xs: Choice(tuple(xs)))
dimensions = st.one_of(ranges, choices, scalars.map(Constant))


@st.composite
def spaces(draw):
    """Three switches or ranges; the later ones may depend on an earlier switch, or be forbidden with it."""
    parts = {"on": Choice((True, False)), "a": draw(dimensions), "a.b": draw(dimensions)}
    conditions = draw(
        st.lists(
            st.sampled_from([Condition("a*", "on"), Condition("a.b", "not on"), Condition("a.b", "on or a == 1")]),
            max_size=2,
        )
    )
    forbidden = draw(st.lists(st.just(Forbidden("on and a == 0", "no")), max_size=1))
    return SearchSpace(parts, tuple(conditions), tuple(forbidden))


@given(dimensions, st.integers())
def test_dimensions_contain_their_samples(dimension, seed):
    assert dimension.contains(dimension.sample(random.Random(seed)))


@given(dimensions, st.integers())
def test_sampling_is_a_function_of_the_generator(dimension, seed):
    assert dimension.sample(random.Random(seed)) == dimension.sample(random.Random(seed))


@given(dimensions, st.integers(2, 12))
def test_grids_are_distinct_and_inside(dimension, n):
    grid = dimension.grid(n)
    assert len({identity(value) for value in grid}) == len(grid)
    assert all(dimension.contains(value) for value in grid)


@given(ranges, st.integers(2, 12))
def test_grids_of_ranges_ascend_from_end_to_end(dimension, n):
    grid = dimension.grid(n)
    assert (grid[0], grid[-1]) == (dimension.low, dimension.high)
    assert list(grid) == sorted(grid)
    assert 2 <= len(grid) <= n


@given(st.integers(), st.integers(1, 30))
def test_grids_of_whole_numbers_are_complete(low, span):
    assert Integer(low, low + span).grid(span + 1) == tuple(range(low, low + span + 1))


@given(choices)
def test_grids_of_choices_are_complete(choice):
    assert choice.grid(2) == choice.options


@given(spaces(), st.integers())
def test_canonical_is_idempotent_and_keeps_membership(space, seed):
    rng = random.Random(seed)
    full = {name: space[name].sample(rng) for name in space}
    canonical = space.canonical(full)
    assert space.canonical(canonical) == canonical
    assert space.contains(full) == space.contains(canonical)


@given(spaces(), st.integers())
def test_space_contains_its_samples(space, seed):
    point = space.sample(random.Random(seed))
    assert space.explain(point) == []
    assert space.canonical(point) == point
    assert point == space.sample(random.Random(seed))


@given(spaces())
def test_space_grid_is_the_product_without_duplicates_and_forbidden_points(space):
    points = [tuple(point.items()) for point in space.grid(3)]
    keys = [tuple((name, identity(value)) for name, value in point) for point in points]
    assert len(set(keys)) == len(keys)
    assert all(space.contains(dict(point)) for point in points)
    product = {
        tuple((name, identity(x)) for name, x in space.canonical({"on": on, "a": a, "a.b": b}).items())
        for on in (True, False)
        for a in space["a"].grid(3)
        for b in space["a.b"].grid(3)
        if space.contains({"on": on, "a": a, "a.b": b})
    }
    assert set(keys) == product
