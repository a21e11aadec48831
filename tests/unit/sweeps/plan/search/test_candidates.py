"""The plan of a search: candidates are configurations of their arm, sized for the largest corner of its space."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.records.journal import JournalState
from cluster.inventory import Inventory
from search_spaces.space import InvalidPointError
from sweeps.errors import UserError
from sweeps.plan.builder import build_plan
from sweeps.plan.plan import Plan
from sweeps.plan.search.corners import MAX_CORNERS, corners
from sweeps.plan.search_forecast import forecast_search, to_json
from sweeps.studies.resolve import load_study
from tests.support.sweeps.searches import SPACE
from tests.support.sweeps.studies import write_study

MACHINE = Inventory(cpus=2, memory_mib=7680)
SEARCH = """\
space:
  fields:
    optimizer.learning_rate: {log: [1e-4, 1e-2]}
    architecture.d_model: {choice: [16, 64]}
    optimizer.warmup_steps: {integer: [0, 5]}
search: {budget: {replicates: 6, configurations: 6}}
scheduler: {first: 0.5, seeds: 2}
confirm: {seeds: 3}
scales:
"""


def planned(folder: Path, *sets: str, search: str = SEARCH) -> Plan:
    path = write_study(folder)
    path.write_text(path.read_text(encoding="utf-8").replace("scales:\n", search), encoding="utf-8")
    return build_plan(load_study(str(path), "laptop", sets), MACHINE, None)


def test_a_search_plans_its_arms_and_fresh_seeds(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.search is not None and plan.replicates == ()
    info = plan.search.info
    assert [one.arm for one in info.arms] == ["transformer", "kuramoto"]
    assert (info.seeds, info.confirm_seeds) == ((0, 1), (2, 3, 4))
    assert [(rung.steps, rung.seeds) for rung in info.rungs] == [(10, 1), (20, 1), (20, 2)]
    assert info.metric == "val/bits_per_char" and info.subset_metric == "val_subset/bits_per_char"
    left = forecast_search(plan, JournalState())
    assert left.num_starts > 2 * (6 + 3) and left.replicates <= 2 * (6 + 3)


def test_a_candidate_is_its_arm_with_other_values(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.search is not None
    point = {"optimizer.learning_rate": 2e-3, "architecture.d_model": 64, "optimizer.warmup_steps": 1}
    born = plan.search.bear("kuramoto", 3, point)
    assert born.config_id == plan.search.identify("kuramoto", point) != plan.search.arms["kuramoto"].config_id
    assert (born.arm.name, born.config.architecture.d_model, born.config.optimizer.learning_rate) == (
        "kuramoto#3",
        64,
        2e-3,
    )
    assert plan.unit(born.config_id) is born
    assert plan.size_class(born) is plan.size_class(plan.search.arms["kuramoto"])
    wide = born.memory.total_mib
    assert wide > plan.search.arms["transformer"].memory.total_mib * 0.5
    with pytest.raises(InvalidPointError, match="warmup_steps"):
        plan.search.identify("kuramoto", {"optimizer.warmup_steps": 20})


def test_memory_is_that_of_the_largest_corner(tmp_path: Path) -> None:
    (tmp_path / "narrow").mkdir()
    narrow = planned(tmp_path / "narrow", "space.fields.architecture.d_model={choice: [8, 16]}")
    wide = planned(tmp_path, "space.fields.architecture.d_model={choice: [16, 256]}")
    for name in ("transformer", "kuramoto"):
        assert narrow.search is not None and wide.search is not None
        assert wide.search.arms[name].need_mib > narrow.search.arms[name].need_mib


def test_another_space_is_another_search_and_another_budget_is_not(tmp_path: Path) -> None:
    def ids(*sets: str) -> list[str]:
        search = planned(tmp_path, *sets).search
        assert search is not None
        return [one.search for one in search.info.arms]

    own = ids()
    assert ids("search.budget.replicates=9", "search.method=sobol", "confirm.seeds=4") == own
    for changed in (
        "space.fields.optimizer.learning_rate={log: [1e-4, 1e-3]}",
        "search.seed=1",
        "scheduler.seeds=4",
    ):
        assert not set(ids(changed)) & set(own), changed


def test_corners_reach_every_end() -> None:
    found = corners(SPACE)
    assert len(found) <= MAX_CORNERS and all(map(SPACE.contains, found))
    assert {point["architecture.num_steps"] for point in found} >= {1, 20}


def test_the_plan_as_json_names_rungs_and_what_is_left(tmp_path: Path) -> None:
    said = to_json(planned(tmp_path), JournalState())
    assert said is not None
    assert [rung["expected"] for rung in said["rungs"]] == [6, 3, 1]
    assert said["arms"][0]["num_points"] is None


ABLATION = """\
ablation:
  around: kuramoto
  components:
    rate: {off: {optimizer.learning_rate: 1e-3}}
    steps: {off: {architecture.num_oscillators: 2}}
  design: leave_one_out
"""


def test_an_ablation_around_a_winner_searches_the_whole_only(tmp_path: Path) -> None:
    plan = planned(tmp_path, search=ABLATION + SEARCH)
    assert plan.search is not None and plan.search.ablation is not None
    assert [one.arm for one in plan.search.info.arms] == ["transformer", "kuramoto"]
    assert plan.replicates == () and plan.study.ablation is not None
    assert plan.study.ablation.tuning == "winner"
    point = {"optimizer.learning_rate": 2e-3, "architecture.d_model": 64, "optimizer.warmup_steps": 1}
    winner, without = plan.search.bear("kuramoto", 0, point), plan.search.ablate("kuramoto_no_rate", point)
    assert without.config.optimizer.learning_rate == 1e-3 and without.config.architecture.d_model == 64
    assert without.arm.name == "kuramoto_no_rate" and without.config_id != winner.config_id
    assert plan.size_class(without) is plan.size_class(winner)
    alone = planned(tmp_path, search=SEARCH)
    added = forecast_search(plan, JournalState()).num_starts - forecast_search(alone, JournalState()).num_starts
    assert added == 2 * 3, "two arms on three fresh seeds"


def test_arms_that_are_tuned_again_have_equal_budgets_and_keep_what_they_lack(tmp_path: Path) -> None:
    plan = planned(tmp_path, search=ABLATION + "  retune: true\n" + SEARCH)
    assert plan.search is not None and plan.search.ablation is None
    spaces = {name: list(one.space) for name, one in plan.search.spaces.items()}
    every = ["optimizer.learning_rate", "architecture.d_model", "optimizer.warmup_steps"]
    assert spaces == {
        "transformer": every,
        "kuramoto": every,
        "kuramoto_no_rate": every[1:],
        "kuramoto_no_steps": every,
    }
    assert plan.search.info.replicates == 6, "of each arm"
    assert len({one.search for one in plan.search.info.arms}) == 4
    point = {"architecture.d_model": 16, "optimizer.warmup_steps": 1}
    assert plan.search.bear("kuramoto_no_rate", 1, point).config.optimizer.learning_rate == 1e-3


def test_a_placebo_that_cannot_take_over_the_winners_settings_is_refused(tmp_path: Path) -> None:
    """Its fields are valid beside what the arm itself says, and not beside all fields of its architecture."""
    path = write_study(tmp_path)
    text = path.read_text(encoding="utf-8").replace(", phase_layers: [0], num_oscillators: 4, num_steps: 1", "")
    ablation = f"{ABLATION}  placebo: {{plain: {{architecture.name: transformer}}}}\n"
    path.write_text(text.replace("scales:\n", ablation + SEARCH), encoding="utf-8")
    with pytest.raises(UserError, match=r"arm 'plain' is to be the winner of 'kuramoto' with .*name=transformer"):
        build_plan(load_study(str(path), "laptop"), MACHINE, None)
