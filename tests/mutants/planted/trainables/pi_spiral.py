"""Defects in the π-spiral family: its phases, rotations, biases, and the attractor."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_PHASES = "trainables/layers/encodings/phases.py"
_ROTARY = "trainables/layers/encodings/rotary.py"
_ALIBI = "trainables/layers/encodings/alibi.py"
_ATTRACTOR = "trainables/layers/encodings/attractor.py"
_MIXER = "trainables/architectures/pi_spiral/mixer.py"

_TESTS = "tests/unit/trainables/layers/encodings"
_CONTRACT = "tests/contract/test_architectures.py::test_meets_contract"

MUTANTS = (
    Mutant(
        name="periods_of_any_length",
        meaning="a slow drift beyond the training length counts as its strongest period",
        file="trainables/tasks/text/language.py",
        old="strongest_period(beyond, self.context_length).share",
        new="strongest_period(beyond).share",
        caught_by="tests/unit/trainables/tasks/test_length_bands.py::"
        "test_periods_are_sought_beyond_the_training_length_and_up_to_it",
    ),
    Mutant(
        name="periods_within_the_training_length",
        meaning="what oscillates within the training length counts as a period beyond it",
        file="trainables/tasks/text/language.py",
        old="beyond = by_position_T[self.context_length :]",
        new="beyond = by_position_T[:]",
        caught_by="tests/unit/trainables/tasks/test_length_bands.py::"
        "test_periods_are_sought_beyond_the_training_length_and_up_to_it",
    ),
    Mutant(
        name="constant_as_a_double",
        meaning="the fraction of a constant is rounded to a double before positions multiply the error",
        file=_PHASES,
        old="_signed(round(turns % 1 * TURN))",
        new="_signed(round(float(turns) % 1 * TURN))",
        caught_by=f"{_TESTS}/test_phases.py::test_phases_are_exact",
    ),
    Mutant(
        name="ntk_without_its_exponent",
        meaning="NTK raises the base by the scale alone, so the slowest pair is not slowed by it",
        file=_ROTARY,
        old="return base * scale ** (head_width / (head_width - 2))",
        new="return base * scale",
        caught_by=f"{_TESTS}/test_rotary.py::test_ntk_raises_the_base",
    ),
    Mutant(
        name="hybrid_the_other_way_round",
        meaning="a hybrid is a spiral up to its transition and RoPE after it",
        file=_ROTARY,
        old="torch.lerp(near, far, share_x1)",
        new="torch.lerp(far, near, share_x1)",
        caught_by=f"{_TESTS}/test_rotary.py::test_a_hybrid_is_rope_before_its_transition_and_the_spiral_after",
    ),
    Mutant(
        name="alibi_prefers_what_is_far",
        meaning="the bias grows with the distance",
        file=_ALIBI,
        old="return -slope_H11 * far_TS",
        new="return slope_H11 * far_TS",
        caught_by=f"{_TESTS}/test_alibi.py::test_bias_falls_with_the_distance_and_hides_the_future",
    ),
    Mutant(
        name="cached_positions_restart",
        meaning="the positions of a continued sequence begin at 0 again, as in the published adapter",
        file=_MIXER,
        old="start = 0 if self.positions_restart else num_seen",
        new="start = 0",
        caught_by=_CONTRACT,
    ),
    Mutant(
        name="attractor_of_the_next_position",
        meaning="each position sees the attractor's state after the next token",
        file=_ATTRACTOR,
        old="        return s_BTS\n",
        new="        return Pair(s_BTS.re.roll(-1, 1), s_BTS.im.roll(-1, 1))\n",
        caught_by=_CONTRACT,
    ),
    Mutant(
        name="evaluation_carries_its_state",
        meaning="an evaluation changes the state with which training goes on",
        file=_ATTRACTOR,
        old="if self.config.carried and self.training:",
        new="if self.config.carried:",
        caught_by=f"{_TESTS}/test_attractor.py::test_a_carried_state_is_that_of_the_last_sequence_before",
    ),
)
