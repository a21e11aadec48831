"""Grids in studies: what they expand to, how arms are named, and what is refused where."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from sweeps.errors import UserError
from sweeps.fields import SCALES
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study

STUDY = """\
format_version: 1
study: grids
title: A grid for tests
seeds: 2
base:
  architecture: {d_model: 16, num_layers: 2, num_heads: 2}
  task: {name: language, corpus: synthetic, context_length: 16, max_bytes: 20000}
  budget: {steps: 20, batch_size: 4, report_every: 10, eval_sequences: 8}
arms:
  transformer: {role: baseline, architecture: {name: transformer}}
grid:
  architecture: {name: kuramoto, learn_coupling: false}
  fields:
    architecture.coupling: {values: [0.0, 0.5, 1.0], label: K}
    architecture.sign: {values: [attractive, repulsive]}
    architecture.causal: {values: [true, false]}
scales:
  smoke: {}
  laptop: {arms: {K1_repulsive_causal: {budget: {steps: 40}}}}
"""
WHOLE_GRID = STUDY[STUDY.index("grid:") : STUDY.index("scales:")]


def load(folder: Path, text: str = STUDY, *, scale: str = "smoke", sets: tuple[str, ...] = ()) -> Study:
    path = folder / "grids.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(str(path), scale, sets)


def with_grid(grid: str) -> str:
    return STUDY.replace(WHOLE_GRID, f"grid:\n{grid}").replace(
        "{arms: {K1_repulsive_causal: {budget: {steps: 40}}}}", "{}"
    )


def names(study: Study) -> list[str]:
    return [arm.name for arm in study.arms[1:]]


def test_points_that_compute_the_same_are_one_arm_named_by_what_matters(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert names(study) == [
        "K0",
        "K0p5_attractive_causal",
        "K0p5_attractive_no_causal",
        "K0p5_repulsive_causal",
        "K0p5_repulsive_no_causal",
        "K1_attractive_causal",
        "K1_attractive_no_causal",
        "K1_repulsive_causal",
        "K1_repulsive_no_causal",
    ]
    assert study.grid is not None
    assert (study.grid.num_points, study.grid.num_repeats, study.grid.num_forbidden) == (12, 3, 0)
    assert study.grid.describe() == "12 points, of which 3 repeat others: 9 arms"
    uncoupled, coupled = study.arms[1], study.arms[4]
    assert set(uncoupled.changes) == {f"architecture.{field}" for field in ("name", "learn_coupling", "coupling")}
    assert coupled.changes["architecture.sign"] == "repulsive"
    assert study.resolved()["grid"]["num_arms"] == 9


def test_what_matters_depends_on_the_rest_of_the_configuration(tmp_path: Path) -> None:
    """A coupling that is learned has a sign even where it starts at 0: nothing is dropped."""
    study = load(tmp_path, STUDY.replace("learn_coupling: false", "learn_coupling: true"))
    assert len(names(study)) == 12
    assert "K0_attractive_causal" in names(study)


def test_scales_and_set_reach_the_arms_of_a_grid(tmp_path: Path) -> None:
    sets = ("arms.K0.architecture.num_oscillators=8", "budget.batch_size=2")
    study = load(tmp_path, scale="laptop", sets=sets)
    by_name = {arm.name: arm.config for arm in study.arms}
    assert by_name["K1_repulsive_causal"].budget.steps == 40
    assert by_name["K0"].architecture.num_oscillators == 8  # type: ignore[attr-defined]
    assert {config.budget.batch_size for config in by_name.values()} == {2}


def test_when_forbid_marks_and_names(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        with_grid("""\
  name: g
  note: of the grid
  architecture: {name: kuramoto}
  fields:
    architecture.phase_layers: {values: [[0], [0, 1]], label: L}
    architecture.coherence_weight: {values: [0.0, 0.1], labels: ["", reg]}
    architecture.coherence_target: {values: [0.3, 0.5], label: R}
  when:
    - {fields: [architecture.coherence_target], only_if: architecture.coherence_weight != 0}
  forbid:
    - {when: "architecture.coherence_weight > 0 and architecture.coherence_target == 0.5", reason: too weak}
  marks:
    - {when: architecture.coherence_weight > 0, role: control, note: regularised}
    - {when: "architecture.phase_layers == (0, 1) and architecture.coherence_weight > 0", name: both}
"""),
    )
    assert names(study) == ["g_L0", "g_L0_reg_R0p3", "g_L0_1", "both"]
    assert [(arm.role, arm.note) for arm in study.arms[1:]] == [
        ("treatment", "of the grid"),
        ("control", "regularised"),
    ] * 2
    assert study.grid is not None
    assert (study.grid.num_points, study.grid.num_repeats, study.grid.num_forbidden) == (8, 2, 2)
    assert study.arms[3].config.architecture.phase_layers == (0, 1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ("base_plus_one", ["off", "noise", "jitter", "reg"]),
        ("leave_one_out", ["noise_jitter_reg", "jitter_reg", "noise_reg", "noise_jitter"]),
        ("one_at_a_time", ["off", "noise", "jitter", "reg"]),
        ("pairs", ["off", "noise", "jitter", "reg", "noise_jitter", "noise_reg", "jitter_reg"]),
        ("fractional\n  resolution: 3", ["off", "noise_reg", "jitter_reg", "noise_jitter"]),
    ],
)
def test_designs(tmp_path: Path, design: str, expected: list[str]) -> None:
    study = load(
        tmp_path,
        with_grid(f"""\
  design: {design}
  architecture: {{name: kuramoto}}
  fields:
    architecture.phase_noise: {{values: [0.0, 0.03], labels: ["", noise]}}
    architecture.frequency_jitter: {{values: [0.0, 0.02], labels: ["", jitter]}}
    architecture.coherence_weight: {{values: [0.0, 0.1], labels: ["", reg]}}
  marks:
    - when: >-
        architecture.phase_noise == 0 and architecture.frequency_jitter == 0 and
        architecture.coherence_weight == 0
      name: "off"
"""),
    )
    assert sorted(names(study)) == sorted(expected)


def test_two_values_that_are_one_setting_are_one_arm(tmp_path: Path) -> None:
    """`stride: null` means the context's length; the arm must not fall back on the base's stride."""
    text = with_grid("  fields:\n    task.stride: {values: [null, 16], labels: [disjoint, sixteen]}\n  name: g\n")
    text = text.replace("max_bytes: 20000", "max_bytes: 20000, stride: 4").replace(
        "architecture: {d_model: 16", "architecture: {name: transformer, d_model: 16"
    )
    study = load(tmp_path, text)
    assert names(study) == ["g"]
    assert study.arms[1].config.task.canonical()["stride"] == 16


BAD = {
    "no values": ("[true, false]", "[]", r":16: grid\.fields\.architecture\.causal\.values: .*at least 1 item"),
    "label with a dot": ("label: K", "label: K.", r":14: .*letters, digits, _ and - only, got 'K\.'"),
    "no name": ("label: K", "labels: ['', '', '']", r"coupling=0\.0 has no name; give the grid one, or a label"),
    "names clash": (
        "{values: [true, false]}",
        "{values: [true, false], labels: ['', '']}",
        r"are both named 'K0p5_attractive'; give other labels",
    ),
    "arm of that name": ("arms:\n", "arms:\n  K0: {}\n", r":10: arms\.K0: the grid makes an arm of this name too"),
    "components": ("grid:", "grid:\n  design: leave_one_out", r":12: grid\.design: .*coupling needs two levels"),
    "unordered": (
        "scales:",
        "  forbid: [{when: architecture.sign > 0, reason: never}]\nscales:",
        r"grid\.fields: .*'architecture\.sign > 0' cannot be applied",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), BAD.values(), ids=BAD.keys())
def test_mistakes_in_a_grid_have_their_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in STUDY
    with pytest.raises(UserError) as error:
        load(tmp_path, STUDY.replace(old, new, 1))
    assert re.search(message, str(error.value)), error.value


def test_set_of_a_field_that_the_grid_varies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load(tmp_path, sets=("architecture.coupling=2.0",))
    assert "arms K0, K0p5_attractive_causal" in str(error.value)
    assert "4 more set this field themselves" in str(error.value)
    with pytest.raises(UserError, match="no arm 'K0p5_attractive'; did you mean"):
        load(tmp_path, sets=("arms.K0p5_attractive.budget.steps=2",))


@pytest.mark.parametrize("scale", SCALES)
def test_the_corrected_factorial_is_fifty_one_configurations(scale: str) -> None:
    """5 couplings x 3 widths x 2 signs x 2 causalities = 60 points; without coupling 3 are left of 12."""
    study = load_study("kuramoto_corrected", scale)
    assert study.grid is not None
    assert (study.grid.num_points, study.grid.num_repeats, len(study.grid.arms)) == (60, 9, 51)
    assert len({arm.config.model_dump_json() for arm in study.arms}) == len(study.arms) == 53
    coupled = [arm for arm in study.arms if not arm.name.startswith(("K0_", "baseline", "mean_pool"))]
    assert Counter(arm.role for arm in coupled) == {"treatment": 24, "control": 24}
    for arm in study.arms:
        leaks = "causality" in arm.config.architecture.violates
        assert leaks == arm.name.endswith("_noncausal") == ("leak" in arm.note), arm.name
    assert {"K1_N32_attractive_causal", "K0p75_N16_repulsive_noncausal", "K0_N64"} <= {
        arm.name for arm in study.arms
    }
