import random

import pytest

from search_spaces.dimensions import Choice, Constant, Integer, LogReal, Real


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Real(1.0, 1.0), "low must be below high, got low=1.0 and high=1.0"),
        (lambda: Real(0.0, float("inf")), "high must be a finite number, got inf"),
        (lambda: Real(True, 2.0), "low must be a finite number, got True"),
        (lambda: LogReal(0.0, 1.0), "low must be above 0 on a logarithmic range, got 0.0"),
        (lambda: Integer(1, 2.5), "high must be a whole number, got 2.5"),
        (lambda: Integer(3, 2), "low must be below high, got low=3 and high=2"),
        (lambda: Choice((1,)), "at least 2 options"),
        (lambda: Choice((1, 1.0)), "1.0 is given twice"),
        (lambda: Choice(("a", float("nan"))), "must be finite, got nan"),
        (lambda: Choice("ab"), "options must be a list, got 'ab'"),
        (lambda: Constant({}), "must be a string, number, bool or null"),
    ],
)
def test_construction_quotes_rule_and_value(build, message):
    with pytest.raises(ValueError, match=r"got|given") as error:
        build()
    assert message in str(error.value)


def test_grids():
    assert Real(0, 1).grid(3) == (0.0, 0.5, 1.0)
    assert LogReal(1e-3, 1e-1).grid(3) == pytest.approx((1e-3, 1e-2, 1e-1))
    assert Integer(0, 10).grid(3) == (0, 5, 10)
    assert Integer(1, 3).grid(9) == (1, 2, 3)
    assert Choice(("a", "b", "c")).grid(2) == ("a", "b", "c")
    assert Constant(4).grid(7) == (4,)


@pytest.mark.parametrize("dimension", [Real(0, 1), LogReal(1, 2), Integer(0, 1), Choice((1, 2)), Constant(1)])
def test_a_grid_of_one_has_no_ends(dimension):
    with pytest.raises(ValueError, match="n >= 2"):
        dimension.grid(1)


def test_grid_ends_survive_rounding():
    huge = Real(-1.7e308, 1.7e308).grid(5)
    assert (huge[0], huge[-1]) == (-1.7e308, 1.7e308)
    assert Integer(0, 2**63 + 1).grid(2) == (0, 2**63 + 1)


@pytest.mark.parametrize(
    ("dimension", "value", "reason"),
    [
        (Real(0, 1), 1.5, "must be at most 1, got 1.5"),
        (Real(0, 1), -1, "must be at least 0, got -1"),
        (Real(0, 1), True, "must be a finite number, got True"),
        (Real(0, 1), float("nan"), "must be a finite number, got nan"),
        (Integer(1, 4), 2.0, "must be a whole number, got 2.0"),
        (Integer(1, 4), 5, "must be at most 4, got 5"),
        (Choice((0, 1)), False, "must be one of 0, 1, got False"),
        (Choice(("a", "b")), "c", "must be one of 'a', 'b', got 'c'"),
        (Constant(None), 0, "must be None, got 0"),
    ],
)
def test_explain_says_what_is_allowed(dimension, value, reason):
    assert dimension.explain(value) == reason
    assert not dimension.contains(value)


def test_a_list_from_yaml_is_the_tuple_it_means():
    assert Choice(((4,), (4, 7))).contains([4, 7])
    assert Choice(([4], [4, 7])).options == ((4,), (4, 7))


def test_log_samples_are_uniform_in_the_exponent():
    rng = random.Random(0)
    draws = [LogReal(1e-4, 1.0).sample(rng) for _ in range(4000)]
    below = sum(x < 1e-2 for x in draws) / len(draws)
    assert below == pytest.approx(0.5, abs=0.04)  # 5 standard errors


def test_dimensions_are_values():
    assert Real(0, 1, unit="nats") == Real(0, 1, unit="nats")
    with pytest.raises(AttributeError):
        Real(0, 1).low = 2
