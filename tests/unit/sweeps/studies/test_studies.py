"""The library of studies: every one resolves at every scale, and its comparisons are fair."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest

from sweeps.fields import SCALES
from sweeps.plan.batch_splits import check_batch_splits
from sweeps.studies import resolve
from sweeps.studies.catalogue import library
from sweeps.studies.study import Arm, Study
from trainables.architectures.base.parameters import count_parameters
from trainables.config.trial import config_id
from trainables.data.markov import MarkovSource
from trainables.tasks.text.config import TextConfig

load_study = cache(resolve.load_study)
CHARACTERS = {"synthetic": len(set(MarkovSource(0).text(5000))), "tiny_shakespeare": 65}
ONE_CONFIGURATION = {"kuramoto_phase_b": 1}
"""Arms beyond the first under which a study runs one configuration: there controls that do not act."""
PHASE_A_ARMS = {
    "L7_N32_K1": (32, 1.0),
    "L6_N32_K1": (32, 1.0),
    "L6_N16_K1": (16, 1.0),
    "L67_N32_K1": (32, 1.0),
    "L47_N32_K1": (32, 1.0),
    "L6_N32_K2": (32, 2.0),
    "L6_N64_K1": (64, 1.0),
}
MATCHED = {
    "quickstart",
    "kuramoto_phase_a_corrected",
    "kuramoto_phase_b",
    "kuramoto_corrected",
    "tpi_windows",
    "tpi_decoupling",
    "tpi_length",
    "tpi_variants",
    "tpi_recall",
    "pi_spiral_encodings",
    "pi_spiral_attractor",
    "pi_spiral_hybrid_k",
}
SMALLER = {"tpi_variants": {"no_ffn", "as_published"}}
"""Arms of matched studies whose point is that they have fewer parameters."""
NUM_TASKS = {"resonant_echo": 2, "resonant_extended": 3, "pi_spiral_cost": 8, "pi_spiral_attractor": 3}
"""Studies in which an arm is about another task: without the unshifted loss, or of another length."""
ALL = [pytest.param(name, scale, id=f"{name}@{scale}") for name in library() for scale in SCALES]


def num_parameters(arm: Arm) -> int:
    task: Any = arm.config.task
    vocab_size = text_symbols(task) if isinstance(task, TextConfig) else task.vocab_size
    return count_parameters(arm.config.architecture, vocab_size=vocab_size, max_seq_len=task.context_length)


def text_symbols(task: TextConfig) -> int:
    sizes = {"byte": 256, "bpe": task.bpe_vocab_size}
    return sizes.get(task.tokenizer) or CHARACTERS[task.corpus]


def arms(study: Study) -> dict[str, Arm]:
    return {arm.name: arm for arm in study.arms}


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_it_resolves_with_distinct_arms_equal_budgets_and_shared_seeds(name: str, scale: str) -> None:
    study = load_study(name, scale)
    assert study.name == name
    check_batch_splits(study)
    is_here = not any(getattr(arm.config.architecture, "is_hugging_face", False) for arm in study.arms)
    # The weights of a model from the hub are part of its configuration's name, and are not here.
    distinct = {config_id(arm.config, "data") if is_here else arm.config.model_dump_json() for arm in study.arms}
    assert len(distinct) == len(study.arms) - ONE_CONFIGURATION.get(name, 0)
    trained = [arm for arm in study.arms if arm.config.budget.steps]
    assert len({arm.config.budget for arm in trained or study.arms}) == 1
    assert len({arm.config.optimizer for arm in trained or study.arms}) == 1
    assert len({arm.config.task for arm in study.arms}) == NUM_TASKS.get(name, 1)


@pytest.mark.parametrize(("name", "scale"), [case for case in ALL if case.values[0] in MATCHED])
def test_all_arms_are_parameter_matched(name: str, scale: str) -> None:
    counts = {arm.name: num_parameters(arm) for arm in load_study(name, scale).arms}
    smaller = [counts.pop(arm) for arm in SMALLER.get(name, ())]
    assert max(counts.values()) < 1.01 * min(counts.values()), counts
    assert max(smaller, default=0) < min(counts.values())


@pytest.mark.parametrize("scale", SCALES)
def test_the_published_study_matches_its_controls_to_the_winner(scale: str) -> None:
    by_name = arms(load_study("kuramoto_phase_a", scale))
    winner = num_parameters(by_name["L7_N32_K1"])
    for control in ("leak_free", "K0", "mean_pool", "transformer_matched"):
        assert num_parameters(by_name[control]) == pytest.approx(winner, rel=0.01), control


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("name", "causal", "sign", "readout"),
    [
        ("kuramoto_phase_a", False, "repulsive", "angle"),
        ("kuramoto_phase_a_corrected", True, "attractive", "cos_sin"),
    ],
)
def test_phase_a_is_the_seven_published_configurations(
    name: str, causal: bool, sign: str, readout: str, scale: str
) -> None:
    study = load_study(name, scale)
    by_name = arms(study)
    assert study.baseline.config.architecture.name == "transformer"
    for arm, (num_oscillators, coupling) in PHASE_A_ARMS.items():
        fields = by_name[arm].config.architecture.model_dump()
        assert (fields["num_oscillators"], fields["coupling"]) == (num_oscillators, coupling)
        assert (fields["causal"], fields["sign"], fields["readout"]) == (causal, sign, readout)
        assert (fields["num_steps"], fields["dt"], fields["learn_coupling"]) == (10, 0.1, True)
    layers = {arm: by_name[arm].config.architecture.model_dump()["phase_layers"] for arm in PHASE_A_ARMS}
    (seven,), (six,) = layers["L7_N32_K1"], layers["L6_N32_K1"]
    assert seven == six + 1
    assert set(layers["L67_N32_K1"]) == {six, seven}
    four, last = sorted(layers["L47_N32_K1"])
    assert last == seven and four < six
    if scale == "paper":
        assert (seven, four) == (7, 4)


def test_the_leak_free_twin_differs_from_the_winner_in_causality_alone() -> None:
    by_name = arms(load_study("kuramoto_phase_a"))
    winner = by_name["L7_N32_K1"].config.architecture.model_dump()
    twin = by_name["leak_free"].config.architecture.model_dump()
    assert {key for key in winner if winner[key] != twin[key]} == {"causal"}


def test_nanogpt_is_the_stated_setting() -> None:
    config = load_study("nanogpt_cpu").baseline.config
    assert config.architecture.model_dump() | {"d_model": 128, "num_layers": 4, "num_heads": 4} == (
        config.architecture.model_dump()
    )
    assert (config.architecture.bias, config.architecture.dropout) == (False, 0.0)
    assert (config.budget.steps, config.budget.batch_size) == (2000, 12)
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.beta2, optimizer.weight_decay) == (1e-3, 0.99, 0.1)
    assert (optimizer.warmup_steps, optimizer.clip_norm, optimizer.final_fraction) == (100, 1.0, 0.1)


@pytest.mark.parametrize("scale", SCALES)
def test_phase_b_is_the_four_preregistered_configurations_and_what_tells_the_controls_apart(scale: str) -> None:
    by_name = {arm.name: arm.config.architecture.model_dump() for arm in load_study("kuramoto_phase_b", scale).arms}
    assert by_name["baseline"]["name"] == "transformer"
    controls = ("phase_noise", "frequency_jitter", "coherence_weight")
    preregistered = {
        "K0p5": (0.5, 0.0, 0.0, 0.0),
        "K0p75": (0.75, 0.0, 0.0, 0.0),
        "diverse": (0.75, 0.03, 0.02, 0.1),
    }
    for name, (coupling, *strengths) in preregistered.items():
        fields = by_name[name]
        assert [fields[control] for control in controls] == strengths
        assert (fields["coupling"], fields["num_oscillators"], fields["learn_coupling"]) == (coupling, 32, True)
        assert (fields["controls_act"], fields["causal"], fields["sign"]) == (True, True, "attractive")
    assert (by_name["diverse"]["coherence_target"], by_name["diverse"]["coherence_form"]) == (0.45, "ceiling")
    combinations = {
        tuple(fields[control] > 0 for control in controls)
        for name, fields in by_name.items()
        if name == "diverse" or (name.startswith("K0p75") and not name.endswith("as_published"))
    }
    assert len(combinations) == 8
    for name in ("K0p75_as_published", "diverse_as_published"):
        assert (by_name[name]["causal"], by_name[name]["controls_act"]) == (False, False)


def test_each_claim_of_the_tpi_notes_is_declared_once() -> None:
    studies = [load_study(name) for name in library() if name.startswith("tpi_")]
    ids = [claim.id for study in studies for claim in study.claims]
    assert len(set(ids)) == len(ids)
    assert {claim_id.partition("_")[0] for claim_id in ids} == {f"T{number}" for number in range(1, 12)}


@pytest.mark.parametrize("scale", SCALES)
def test_tpi_windows_keep_their_share_of_the_context_and_each_decay_has_a_twin_without_phases(scale: str) -> None:
    study = load_study("tpi_windows", scale)
    fields = {name: arm.config.architecture.model_dump() for name, arm in arms(study).items()}
    task: Any = study.baseline.config.task
    assert fields["window_quarter"]["window"] * 4 == fields["window_half"]["window"] * 2 == task.context_length
    twins = {f"decay_{start}": f"ema_{start}" for start in (4, 16, 64, 512)} | {"window_quarter": "mean_quarter"}
    for name, twin in twins.items():
        changed = {key for key in fields[name] if fields[name][key] != fields[twin][key]}
        assert changed == {"frequency", "variant"} - ({"variant"} if name == "window_quarter" else set())
        assert fields[twin]["frequency"] == "none"
    # Adam moves the decay's logit by about a learning rate a step; the published range must be within reach of 64.
    config = study.baseline.config
    assert config.optimizer.schedule == "constant"
    assert scale == "smoke" or config.optimizer.learning_rate * config.budget.steps > math.log(63 / 16)


@pytest.mark.parametrize("scale", SCALES)
def test_tpi_decoupling_has_dropout_only_where_it_is_about_dropout(scale: str) -> None:
    by_name = arms(load_study("tpi_decoupling", scale))
    dropout = {name: arm.config.architecture.model_dump()["dropout"] for name, arm in by_name.items()}
    assert {name: value for name, value in dropout.items() if value} == {"dropout_10": 0.1, "dropout_30": 0.3}


@pytest.mark.parametrize("scale", SCALES)
def test_tpi_length_scores_to_four_times_the_training_length_without_learned_positions(scale: str) -> None:
    study = load_study("tpi_length", scale)
    task: Any = study.baseline.config.task
    assert task.evaluation_length == 4 * task.context_length
    assert scale == "smoke" or task.samples.num_tokens >= 500
    positions = {name: arm.config.architecture.model_dump()["positions"] for name, arm in arms(study).items()}
    assert {name for name, form in positions.items() if form == "none"} == {
        name for name in positions if name.endswith("_no_positions")
    }
    assert "learned" not in positions.values()
