"""What must hold of intervals and comparisons whatever the numbers."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis.statistics.inference import holm, mean_interval, paired_comparison

VALUES = st.floats(min_value=-1e3, max_value=1e3).map(lambda x: round(x, 3))
SAMPLES = st.lists(VALUES, min_size=2, max_size=12)
PAIRS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=12)
P_VALUES = st.lists(st.floats(min_value=0, max_value=1), max_size=12)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_interval_does_not_depend_on_the_order_of_seeds(values: list[float], random) -> None:
    shuffled = random.sample(values, len(values))
    first, second = mean_interval(values), mean_interval(shuffled)
    if first is None or second is None:
        assert first is second
        return
    assert second.low == pytest.approx(first.low, rel=1e-9, abs=1e-6)
    assert second.high == pytest.approx(first.high, rel=1e-9, abs=1e-6)


@given(SAMPLES, st.floats(min_value=0.5, max_value=0.97))
def test_interval_widens_with_confidence_and_holds_the_mean(values: list[float], confidence: float) -> None:
    assume(len(set(values)) > 1)
    narrow, wide = mean_interval(values, confidence=confidence), mean_interval(values, confidence=confidence + 0.02)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low <= sum(values) / len(values) + 1e-9
    assert wide.high > narrow.high >= sum(values) / len(values) - 1e-9


@given(PAIRS)
def test_swapping_the_arms_only_turns_the_sign(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    forward, backward = paired_comparison(a, b), paired_comparison(b, a)
    assert backward.difference == pytest.approx(-forward.difference, abs=1e-9)
    assert backward.p == (None if forward.p is None else pytest.approx(forward.p, abs=1e-9))
    if forward.interval is not None and backward.interval is not None:
        assert backward.interval.low == pytest.approx(-forward.interval.high, abs=1e-6)


@given(PAIRS)
def test_p_and_interval_agree(pairs: list[tuple[float, float]]) -> None:
    result = paired_comparison([x for x, _ in pairs], [y for _, y in pairs])
    if result.interval is None or result.p is None:
        assert result.interval is None
        return
    assume(abs(result.p - 0.05) > 1e-6)
    assert (result.p < 0.05) == (not result.interval.low <= 0 <= result.interval.high)


@given(P_VALUES)
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    ordered = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert ordered == sorted(ordered)


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=12))
def test_holm_multiplies_the_smallest_p_by_the_family_and_none_by_more(p_values: list[float]) -> None:
    size, adjusted = len(p_values), holm(p_values)
    assert min(adjusted) == min(1.0, size * min(p_values))
    assert max(adjusted) <= min(1.0, size * max(p_values))
