"""Defects in what is measured of encodings of positions."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_FORMS = "trainables/diagnostics/closed_forms.py"
_SIMILARITY = "trainables/diagnostics/similarity.py"
_SPECTRUM = "trainables/diagnostics/spectrum.py"
_UNIFORMITY = "trainables/diagnostics/uniformity.py"
_FORM_TESTS = "tests/unit/trainables/diagnostics/test_closed_forms.py"
_TESTS = "tests/unit/trainables/diagnostics/test_diagnosis.py"

_COST = "trainables/architectures/base/reading.py"
_ATTENTION = "trainables/inspection/attention.py"
_COST_TESTS = "tests/unit/trainables/inspection/test_cost.py"
_ATTENTION_TESTS = "tests/unit/trainables/inspection/test_attention.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="phases_of_32_bits",
        meaning="a constant is rounded to 32 bits, so that far positions have the phase of another constant",
        file=_FORMS,
        old="round(turns % 1 * 2**64) % 2**64",
        new="(round(turns % 1 * 2**32) << 32) % 2**64",
        caught_by=f"{_FORM_TESTS}::test_phases_are_exact",
    ),
    Mutant(
        name="correlation_wraps_around",
        meaning="the autocorrelation is not padded, so that the end of the sequence is compared with its start",
        file=_SIMILARITY,
        old="size = 2 * num_positions",
        new="size = num_positions",
        caught_by=f"{_TESTS}::test_mean_similarity_is_the_mean_over_positions",
    ),
    Mutant(
        name="lags_not_weighted",
        meaning="every lag counts as often as the next, though fewer pairs of positions are far apart",
        file=_SIMILARITY,
        old="pairs_by_lag = np.arange(num_positions - 1, 0, -1)",
        new="pairs_by_lag = np.full(num_positions - 1, num_positions // 2)",
        caught_by=f"{_TESTS}::test_collisions_are_counted_pair_by_pair",
    ),
    Mutant(
        name="white_noise_is_flat",
        meaning="the flatness of white noise is taken to be 1, so that noise looks like structure",
        file=_SPECTRUM,
        old="float(np.exp(-np.euler_gamma))",
        new="1.0",
        caught_by=f"{_TESTS}::test_white_noise_has_a_flatness_of_its_own",
    ),
    Mutant(
        name="circle_cut_open",
        meaning="the gap from the last phase to the first is left out",
        file=_UNIFORMITY,
        old="np.diff(np.append(ordered, ordered[0]))",
        new="np.diff(ordered)",
        caught_by=f"{_TESTS}::test_random_phases_have_all_gaps_different",
    ),
    Mutant(
        name="discrepancy_from_one_side",
        meaning="only too many points in [0, x) count, not too few",
        file=_UNIFORMITY,
        old="return float(max((rank / size - ordered).max(), (ordered - (rank - 1) / size).max()))",
        new="return float((rank / size - ordered).max())",
        caught_by=f"{_TESTS}::test_star_discrepancy_is_its_definition",
    ),
    Mutant(
        name="a_view_counts_as_small",
        meaning="a state that keeps a large storage alive by a small view seems not to grow",
        file=_COST,
        old="item.untyped_storage().nbytes()",
        new="item.nbytes",
        caught_by=f"{_COST_TESTS}::test_a_view_counts_with_the_storage_that_it_keeps",
    ),
    Mutant(
        name="attention_without_its_bias",
        meaning="a bias on the scores, as ALiBi's, is left out of the map",
        file=_ATTENTION,
        old="scores = scores + attn_mask",
        new="scores = scores.masked_fill(attn_mask < 0, -math.inf) if attn_mask.max() > 0 else scores",
        caught_by=f"{_ATTENTION_TESTS}::test_the_weights_are_those_of_the_call",
    ),
    Mutant(
        name="chunks_are_sequences_of_their_own",
        meaning="a long sequence is read in chunks that know nothing of each other, so that its state never grows",
        file=_COST,
        old="found = model.prefill(tokens_T[place_T].long()[None], state)",
        new="found = model.prefill(tokens_T[place_T].long()[None], None)",
        caught_by="tests/unit/trainables/tasks/text/test_long_stream.py"
        "::test_the_state_is_counted_after_exactly_the_length",
    ),
)
