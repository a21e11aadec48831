"""Ablations in studies: which arms they make, and what these have of the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.errors import UserError
from sweeps.plan.checks import check_ablation
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study

STUDY = """\
format_version: 1
study: ablated
title: An ablation for tests
seeds: 2
base:
  architecture: {d_model: 16, num_layers: 2, num_heads: 2}
  task: {name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}
  budget: {steps: 20, batch_size: 4, report_every: 10, eval_sequences: 8}
arms:
  transformer: {role: baseline, architecture: {name: transformer}}
  kuramoto: {architecture: {name: kuramoto, learn_coupling: false}, optimizer: {learning_rate: 2e-3}}
ablation:
  around: kuramoto
  components:
    coupling: {off: {architecture.coupling: 0.0, architecture.causal: false}}
    decay: {off: {optimizer.weight_decay: 0.0}}
  placebo:
    one_step: {architecture.num_steps: 1}
scales:
  smoke: {arms: {kuramoto: {architecture: {num_oscillators: 4}}}}
  laptop: {ablation: {design: leave_one_out}}
"""


def load(folder: Path, text: str = STUDY, *, scale: str = "smoke", sets: tuple[str, ...] = ()) -> Study:
    path = folder / "ablated.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(str(path), scale, sets)


def test_an_arm_lacks_all_fields_of_its_components_and_has_the_rest_of_the_whole(tmp_path: Path) -> None:
    study = load(tmp_path, sets=("arms.kuramoto.optimizer.learning_rate=0.01",))
    by_name = {arm.name: arm for arm in study.arms}
    assert list(by_name) == [
        "transformer",
        "kuramoto",
        "kuramoto_no_coupling",
        "kuramoto_no_decay",
        "kuramoto_no_coupling_no_decay",
        "one_step",
    ]
    neither, placebo = by_name["kuramoto_no_coupling_no_decay"], by_name["one_step"]
    whole = by_name["kuramoto"].config.model_dump()
    off = {"coupling": 0.0, "causal": False}
    assert neither.config.model_dump() == {
        **whole,
        "architecture": {**whole["architecture"], **off},
        "optimizer": {**whole["optimizer"], "weight_decay": 0.0},
    }
    assert neither.config.architecture.num_oscillators == 4  # type: ignore[attr-defined]
    assert neither.config.optimizer.learning_rate == 0.01
    assert (neither.role, placebo.role) == ("treatment", "control")
    assert study.ablation is not None and study.resolved()["ablation"]["around"] == "kuramoto"
    assert study.ablation.arms["kuramoto_no_decay"] == ("coupling",)
    assert study.ablation.arms["kuramoto"] == ("coupling", "decay")
    assert (study.ablation.resolution, study.ablation.placebos) == (5, ("one_step",))


def test_a_scale_and_set_choose_the_design(tmp_path: Path) -> None:
    one_out = load(tmp_path, scale="laptop")
    assert one_out.ablation is not None
    assert set(one_out.ablation.arms) == {"kuramoto", "kuramoto_no_coupling", "kuramoto_no_decay"}
    assert one_out.ablation.resolution is None
    plus_one = load(tmp_path, sets=("ablation.design=base_plus_one",))
    assert plus_one.ablation is not None
    assert set(plus_one.ablation.arms.values()) == {(), ("coupling",), ("decay",)}
    assert "kuramoto" not in plus_one.ablation.arms, "the whole is an arm, outside of this design"


def test_components_of_overlapping_fields_are_refused(tmp_path: Path) -> None:
    """What a field is without both would depend on which component comes first."""
    overlapping = "    sync: {off: {architecture.coupling: 0.5}}\n  placebo:"
    with pytest.raises(UserError, match=r"component .coupling. sets architecture\.coupling too"):
        load(tmp_path, STUDY.replace("  placebo:", overlapping))


def test_arms_that_compute_the_same_are_refused(tmp_path: Path) -> None:
    """Without coupling a sign has no effect: the arm without both would count twice."""
    study = load(tmp_path)
    ids = {arm.name: arm.name for arm in study.arms}
    assert study.ablation is not None
    check_ablation(study.ablation, study, ids)
    with pytest.raises(
        UserError, match=r"ablated.yaml:15: .*_no_decay' computes the same as 'kuramoto_no_coupling'"
    ):
        check_ablation(study.ablation, study, {**ids, "kuramoto_no_coupling_no_decay": "kuramoto_no_coupling"})
    with pytest.raises(UserError, match="which has these settings itself"):
        check_ablation(study.ablation, study, {**ids, "kuramoto_no_decay": "kuramoto"})


def test_a_mistake_in_a_component_is_found_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ablated.yaml:16: .*weight_deca"):
        load(tmp_path, STUDY.replace("optimizer.weight_decay", "optimizer.weight_deca"))
