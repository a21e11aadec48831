"""Defects of architectures and layers: looks into the future, signs, nulls."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_CONTRACT = "tests/contract/test_architectures.py::test_meets_contract"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        name="attention_sees_the_future",
        meaning="the control attends to later tokens",
        file="trainables/layers/attention.py",
        old="is_causal=self.causal",
        new="is_causal=False",
        caught_by=f"{_CONTRACT}[transformer]",
    ),
    Mutant(
        name="mean_field_sees_the_next_token",
        meaning="the causal mean field of the oscillators holds the next position too",
        file="trainables/architectures/kuramoto/mixer.py",
        old="sum_cos, sum_sin = cumulative_sum(own_cos), cumulative_sum(own_sin)",
        new="sum_cos, sum_sin = cumulative_sum(own_cos.roll(-1, -1)), cumulative_sum(own_sin.roll(-1, -1))",
        caught_by="tests/unit/trainables/architectures/kuramoto/test_mixer.py::test_only_the_causal_mean_field_hides_the_future",
    ),
    Mutant(
        name="prefix_sum_counts_a_block_twice",
        meaning="the sum carried into a block holds the block itself, and so its future",
        file="trainables/layers/cumulative.py",
        old="functional.pad(within[..., -1], (1, -1))",
        new="within[..., -1]",
        caught_by="tests/unit/trainables/layers/test_cumulative.py::test_equals_torch_cumsum_and_its_gradient",
    ),
    Mutant(
        name="prefix_mean_divides_by_the_length",
        meaning="the mean over a prefix is divided by the window's length",
        file="trainables/layers/cumulative.py",
        old="return sum_xT / count_T,",
        new="return sum_xT / count_T[-1],",
        caught_by="tests/unit/trainables/layers/test_cumulative.py::test_mean_of_a_constant_is_the_constant",
    ),
    Mutant(
        name="published_form_does_not_leak",
        meaning="`as_published` is quietly causal, so that the leak it is there to show has gone",
        file="trainables/architectures/kuramoto/config.py",
        old='    "causal": False,',
        new='    "causal": True,',
        caught_by="tests/unit/trainables/architectures/kuramoto/test_config.py::test_fidelity_sets_the_defaults",
    ),
    Mutant(
        name="published_regulariser_of_all_layers",
        meaning="`as_published` penalises the sum over phase layers, not the last one's coherence",
        file="trainables/architectures/kuramoto/config.py",
        old='    "coherence_layers": "last",\n',
        new="",
        caught_by="tests/golden/test_parity.py::test_as_published_is_as_published"
        "[GPT2Model, two phase layers, coherence ceiling, target 0.05]",
    ),
    Mutant(
        name="hybrid_attention_is_always_causal",
        meaning="the attention beside published oscillators does not see the future, which the published one does",
        file="trainables/architectures/kuramoto/config.py",
        old="            causal=self.causal,\n        )\n        return HybridMixer",
        new="        )\n        return HybridMixer",
        caught_by="tests/unit/trainables/architectures/kuramoto/test_hybrid.py"
        "::test_its_attention_sees_the_future_only_as_published[as_published-True]",
    ),
    Mutant(
        name="padding_pulls",
        meaning="the oscillators of masked padding pull the others all the same",
        file="trainables/architectures/kuramoto/mixer.py",
        old="(cos, sin) if pulls_xT is None else (cos * pulls_xT, sin * pulls_xT)",
        new="(cos, sin)",
        caught_by="tests/unit/trainables/architectures/kuramoto/test_config.py"
        "::test_masked_padding_pulls_nobody[False]",
    ),
    Mutant(
        name="corrected_repels",
        meaning="`attractive` oscillators repel each other, as the published code's do",
        file="trainables/architectures/kuramoto/mixer.py",
        old='1.0 if sign == "attractive" else -1.0',
        new='-1.0 if sign == "attractive" else 1.0',
        caught_by="tests/unit/trainables/architectures/kuramoto/test_mixer.py::test_attractive_oscillators_synchronise_and_repulsive_ones_do_not",
    ),
    Mutant(
        name="noise_at_evaluation",
        meaning="phase noise acts in evaluation too",
        file="trainables/architectures/kuramoto/mixer.py",
        old="phase_noise=self.phase_noise if perturbed else 0.0",
        new="phase_noise=self.phase_noise",
        caught_by="tests/unit/trainables/architectures/kuramoto/test_mixer.py::test_noise_acts_in_training_only",
    ),
    Mutant(
        name="regulariser_has_no_gradient",
        meaning="the coherence regulariser of `corrected` teaches nothing, as published",
        file="trainables/architectures/kuramoto/mixer.py",
        old="phase_BHNT if self.coherence_has_gradient else phase_BHNT.detach()",
        new="phase_BHNT.detach()",
        caught_by="tests/unit/trainables/architectures/kuramoto/test_mixer.py::test_regulariser_teaches_unless_its_phases_are_detached",
    ),
    Mutant(
        name="null_of_another_size",
        meaning="the order over positions is held against the null of the number of oscillators",
        file="trainables/layers/order_parameters.py",
        old='"order_positions_null": expected_resultant(num_positions)',
        new='"order_positions_null": expected_resultant(num_oscillators)',
        caught_by="tests/unit/trainables/layers/test_order_parameters.py::test_measured_noise_equals_its_nulls",
    ),
    Mutant(
        name="null_is_zero",
        meaning="independent phases are expected to have order 0",
        file="trainables/layers/order_parameters.py",
        old="(simpson(inner, dx=end / (num_points - 1)) + 1.0 / end) / math.sqrt(count)",
        new="0.0",
        caught_by="tests/unit/trainables/layers/test_order_parameters.py::test_expected_resultant_is_exact_for_one_and_two",
    ),
    Mutant(
        name="zero_coupling_keeps_its_sign",
        meaning="K = 0 counts as two configurations, attractive and repulsive",
        file="trainables/architectures/kuramoto/config.py",
        old="**SEARCH.canonical(space)}",
        new="**space}",
        caught_by="tests/unit/trainables/architectures/kuramoto/test_config.py::test_fields_without_effect_are_dropped",
    ),
    Mutant(
        name="parameter_budget_ignored",
        meaning="arms are not parameter-matched",
        file="trainables/architectures/gpt/config.py",
        old="if self.parameter_budget is None:\n            return",
        new="if self.parameter_budget is None or self.num_layers:\n            return",
        caught_by="tests/unit/trainables/architectures/test_gpt.py::test_parameter_budget_is_met",
    ),
)
