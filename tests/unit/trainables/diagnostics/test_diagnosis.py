"""What is measured of encodings, against known numbers and slow definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.irrational import CONSTANTS
from trainables.diagnostics import similarity, spectrum, uniformity
from trainables.diagnostics.closed_forms import ENCODINGS, multiples, vectors_of
from trainables.diagnostics.curves import curves_of
from trainables.diagnostics.diagnosis import EncodingDiagnosis, diagnose
from trainables.diagnostics.vectors import PositionVectors


def of(name: str, width: int = 64) -> PositionVectors:
    return vectors_of(ENCODINGS[name], width, name=name)


def words(name: str, count: int) -> uniformity.Words:
    return multiples(CONSTANTS[name].value)(np.arange(1, count + 1))


@pytest.mark.parametrize(
    ("name", "thousand", "ten_thousand"),
    [("pi", 1.489, 7.144), ("e", 0.159, 0.274), ("sqrt2", 0.245, 0.287), ("golden", 0.193, 0.279)],
)
def test_discrepancy_of_the_constants(name: str, thousand: float, ten_thousand: float) -> None:
    found = [uniformity.scaled_discrepancy(words(name, size)) for size in (1000, 10_000)]
    assert found == pytest.approx([thousand, ten_thousand], abs=6e-4)


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=30))
def test_star_discrepancy_is_its_definition(turns: list[float]) -> None:
    corners = [*turns, 1.0]
    # The supremum is reached at a point, from below or including it.
    slow = max(
        max(abs(sum(t < x for t in turns) / len(turns) - x), abs(sum(t <= x for t in turns) / len(turns) - x))
        for x in corners
    )
    assert uniformity.star_discrepancy(np.array(turns)) == pytest.approx(slow, abs=1e-12)


@given(st.integers(1, 2**64 - 1), st.integers(2, 300))
def test_multiples_of_any_number_leave_at_most_three_different_gaps(multiplier: int, count: int) -> None:
    phases = np.arange(count, dtype=np.uint64) * np.uint64(multiplier)
    found = uniformity.gaps(phases)
    if len(np.unique(phases)) == count:
        assert found.num_different <= 3
    assert found.smallest <= 1 <= found.largest


def test_phases_in_one_place_leave_a_gap_of_a_whole_turn() -> None:
    found = uniformity.gaps(words("1", 20))
    assert (found.num_different, found.smallest, found.largest) == (2, 0, 20)


def test_random_phases_have_all_gaps_different() -> None:
    drawn = of("prng_hash").words
    assert drawn is not None
    assert uniformity.gaps(drawn(np.arange(500))).num_different == 500


@pytest.mark.parametrize(
    ("name", "position", "distance"), [("pi", 7, 0.00885), ("pi", 113, 3.01e-5), ("pi", 33_215, 1.1e-5)]
)
def test_pi_is_near_fractions(name: str, position: int, distance: float) -> None:
    found = uniformity.distance_to_integer(words(name, position))[-1]
    assert found == pytest.approx(distance, rel=0.01)


def test_the_golden_ratio_is_the_hardest_to_approximate() -> None:
    least = [uniformity.approximation(words(name, 10_000)) for name in ("pi", "e", "sqrt2", "golden")]
    assert least == sorted(least)
    for name, position, limit in (("golden", 6765, 1 / math.sqrt(5)), ("sqrt2", 5741, 1 / math.sqrt(8))):
        distance = uniformity.distance_to_integer(words(name, position))[-1]
        assert position * distance == pytest.approx(limit, abs=1e-6)  # where they come nearest, as Hurwitz says


@pytest.mark.parametrize(
    ("count", "error", "num_phases"), [(10**4, 0.0018, None), (10**5, 0.024, None), (10**6, 0.21, 4)]
)
def test_float32_loses_far_phases(count: int, error: float, num_phases: int | None) -> None:
    found = uniformity.float32_error(words("pi", count), math.pi)
    assert found == pytest.approx(error, rel=0.05)
    if num_phases:
        drawn = of("pi_float32").words
        assert drawn is not None
        assert len(np.unique(drawn(np.arange(count - 1000, count)))) == num_phases


@pytest.mark.parametrize(
    ("lag", "cosine"), [(7, 0.9985), (113, 1 - 1.8e-8), (1000, -0.835), (5000, 0.973), (10_000, 0.895)]
)
def test_pi_at_the_published_offsets(lag: int, cosine: float) -> None:
    found = similarity.at_offsets(of("pi"), 100, [lag])[0]
    assert (found.mean, found.std, found.low) == (pytest.approx(cosine, abs=5e-4), 0, found.high)
    if lag == 113:
        assert 1 - found.mean == pytest.approx(1.8e-8, rel=0.02)


def test_pi_returns_after_113_positions() -> None:
    found = similarity.mean_similarity(of("pi"), 10_000)
    assert similarity.recurrence_lag(found) == 113
    assert [each.lag for each in similarity.recurrences(found)] == [1, 7, 106, 113]


@pytest.mark.parametrize("name", ["e", "golden", "rope", "prng_hash"])
def test_others_do_not(name: str) -> None:
    assert similarity.recurrence_lag(similarity.mean_similarity(of(name), 900)) is None


@pytest.mark.parametrize("name", ["pi", "e", "sqrt2", "golden", "prng_table", "prng_hash"])
def test_every_single_phase_collides_equally_often(name: str) -> None:
    vectors = of(name)
    found = similarity.collisions(vectors, similarity.mean_similarity(vectors, 10_000), 10_000)
    # P(‖x‖ < ε) = 2ε with cos 2πε = .99, whatever the constant: only where they collide differs.
    assert found.rate == pytest.approx(math.acos(0.99) / math.pi, abs=0.004)
    assert found.is_sampled == name.startswith("prng")


def test_collisions_are_counted_pair_by_pair() -> None:
    for name in ("pi", "linear"):
        vectors, positions = of(name, 8), np.arange(60)
        left, right = (grid.ravel() for grid in np.meshgrid(positions, positions))
        alike = vectors.between(left, right)[left < right]
        found = similarity.collisions(vectors, similarity.mean_similarity(vectors, 60), 60)
        assert (found.rate, found.num_pairs) == (pytest.approx((alike > 0.99).mean()), len(alike))


def test_rope_confuses_no_far_positions() -> None:
    vectors = of("rope", 128)
    found = similarity.collisions(vectors, similarity.mean_similarity(vectors, 100_001), 100_001)
    assert found.far_similarity == pytest.approx(0.32, abs=0.005)
    assert found.rate == 0


@pytest.mark.parametrize("name", ["prng_hash", "hybrid"])
def test_mean_similarity_is_the_mean_over_positions(name: str) -> None:
    vectors, size = of(name, 8), 400
    found = similarity.mean_similarity(vectors, size)
    assert len(found) == size // 2
    for lag in (0, 1, 7, 199):
        positions = np.arange(size - lag)
        assert found[lag] == pytest.approx(vectors.between(positions, positions + lag).mean(), abs=1e-10)


@pytest.mark.parametrize(
    ("name", "rank"), [("pi", 2), ("prng_table", 2), ("22/7", 2), ("multi", 8), ("rope", 8), ("none", 1)]
)
def test_rank(name: str, rank: int) -> None:
    assert similarity.rank(of(name, 8), 10_000) == rank


def test_distance_ratios_are_those_of_the_vectors() -> None:
    found = {(each.near, each.far): each for each in similarity.distance_ratios(of("pi"), 1000)}
    expected = math.sin(math.pi * math.fmod(2 * math.pi, 1)) / math.sin(math.pi * math.fmod(math.pi, 1))
    assert found[1, 2].mean == pytest.approx(abs(expected))
    assert all(each.std < 1e-9 for each in found.values())
    assert found.keys() == set(similarity.DISTANCE_PAIRS)
    assert similarity.distance_ratios(of("none"), 1000) == []
    assert similarity.distance_ratios(of("prng_hash"), 1000)[0].std > 0.1


@pytest.mark.parametrize(("name", "flatness"), [("pi", 3e-5), ("sqrt2", 9e-5), ("e", 2e-4), ("golden", 5e-4)])
def test_a_spiral_is_a_pure_tone(name: str, flatness: float) -> None:
    cosines = of(name).pair(0, np.arange(10_000)).real
    found = spectrum.flatness(np.abs(np.fft.rfft(cosines)) ** 2)
    assert found == pytest.approx(flatness, rel=0.2)
    complex_one = spectrum.vector_flatness(of(name), 4096)
    assert complex_one is not None
    assert 5e-6 < complex_one < 1e-3


def test_white_noise_has_a_flatness_of_its_own() -> None:
    drawn = np.random.default_rng(0)
    noise = drawn.standard_normal(2**16) + 1j * drawn.standard_normal(2**16)
    assert spectrum.flatness(spectrum.periodogram(noise)) == pytest.approx(0.5615, abs=0.005)
    assert pytest.approx(0.5615, abs=5e-5) == spectrum.WHITE_NOISE_FLATNESS
    assert spectrum.vector_flatness(of("prng_table"), 10_000) == pytest.approx(0.565, abs=1e-3)
    impulse = np.zeros(64)
    impulse[5] = 1
    assert spectrum.flatness(spectrum.periodogram(impulse)) == pytest.approx(1)
    assert spectrum.flatness(np.zeros(4)) == 0


def test_published_entropy() -> None:
    found = {name: spectrum.published_entropy(of(name), 10_000) for name in ("pi", "prng_table", "alibi")}
    assert found == {
        "pi": pytest.approx(4.31, abs=0.02),
        "prng_table": pytest.approx(8.38, abs=0.01),
        "alibi": None,
    }
    assert spectrum.largest_entropy(10_000) == pytest.approx(8.52, abs=0.005)


def test_binned_power_keeps_its_mean() -> None:
    power = np.arange(1.0, 101.0)
    centres, means = spectrum.binned(power, 10)
    assert np.mean(means) == pytest.approx(1)
    assert centres[:2] == pytest.approx([0.045, 0.145])
    assert [len(part) for part in spectrum.binned(power[:4], 10)] == [4, 4]


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_diagnosis_is_finite_and_says_what_does_not_exist(name: str) -> None:
    found = diagnose(of(name, 8), 1200)
    assert isinstance(found, EncodingDiagnosis)
    values = [value for value in vars(found).values() if isinstance(value, float)]
    assert all(map(math.isfinite, values))
    assert (found.gaps is None) == (of(name, 8).words is None)
    assert (found.flatness is None) == (name == "alibi")
    assert (found.float32_error is None) == (name not in CONSTANTS)


def test_two_positions_are_the_least() -> None:
    assert diagnose(of("pi"), 2).collisions.num_pairs == 1
    with pytest.raises(ValueError, match="at least 2"):
        diagnose(of("pi"), 1)


def test_curves_are_envelopes_of_what_is_measured() -> None:
    curves = curves_of(of("pi"), 5000)
    all_lags = similarity.mean_similarity(of("pi"), 5000)
    assert max(curves.highest) == pytest.approx(all_lags[1:].max(), abs=1e-12)
    assert min(curves.lowest) == pytest.approx(all_lags[1:].min(), abs=1e-12)
    assert curves.frequencies[int(np.argmax(curves.power))] == pytest.approx(math.pi - 3, abs=0.01)
    assert curves.discrepancy[-1] == pytest.approx(uniformity.scaled_discrepancy(words("pi", 5000)))
    none = curves_of(of("alibi"), 500)
    assert (none.power, none.discrepancy, len(none.lags) > 50) == ([], [], True)
