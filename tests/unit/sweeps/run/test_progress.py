"""What the live display says, on a terminal and without one."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.inventory import GpuGroup, Inventory
from sweeps.console import format_duration
from sweeps.plan.builder import build_plan
from sweeps.plan.plan import Plan
from sweeps.run.progress import Progress
from sweeps.studies.resolve import load_study
from tests.support.models.configs import small_assignment
from tests.support.sweeps.studies import write_study

MACHINE = Inventory(cpus=2, memory_mib=7680)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    study = load_study(str(write_study(tmp_path_factory.mktemp("study"))), "laptop", [])
    return build_plan(study, MACHINE, None)


def progress(plan: Plan, machine: Inventory = MACHINE, **console: Any) -> tuple[Progress, io.StringIO]:
    text = io.StringIO()
    return Progress(plan, 4, 720.0, Console(file=text, width=120, **console), machine), text


def test_it_tells_how_much_memory_is_packed(plan: Plan, tmp_path: Path) -> None:
    request = plan.request.workers * plan.request.memory_mib
    shown, text = progress(plan, force_terminal=True)
    with shown:
        for seed in (0, 1):
            shown.started(small_assignment(tmp_path, config_id=plan.arms[0].config_id, seed=seed), 0)
    said = " ".join(text.getvalue().split())
    assert f"memory packed {2 * request:,} of 7,680 MiB ({2 * request / 7680:.0%})" in said


def test_what_is_left_is_told_by_what_was_done_once_that_is_enough(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session takes long to start, and does so once: what is left is told by the time since a worker began."""
    shown, _ = progress(plan)
    clock = [shown.started_at + 500]
    monkeypatch.setattr("sweeps.run.progress.time.monotonic", lambda: clock[0])
    steps = plan.arms[0].config.budget.steps
    given = small_assignment(tmp_path, config_id=plan.arms[0].config_id, seed=0)
    assert shown._eta().startswith("; forecast ")
    shown.started(given, 0)
    assert shown._eta().startswith("; forecast ")
    clock[0] += 60
    shown.reported(given, {"outcome": None, "step": steps * 4 // 10 - 1})
    assert shown._eta().startswith("; forecast "), "less than a tenth of four replicates"
    shown.reported(given, {"outcome": None, "step": steps * 5 // 10})
    assert shown._eta() == "; about 7 min 00 s left"


def test_what_a_checkpoint_had_done_is_not_taken_for_speed(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, _ = progress(plan)
    clock = [0.0]
    monkeypatch.setattr("sweeps.run.progress.time.monotonic", lambda: clock[0] + 1.0)
    steps = plan.arms[0].config.budget.steps
    given = small_assignment(tmp_path, config_id=plan.arms[0].config_id, seed=0)
    shown.started(given, steps * 8 // 10)
    clock[0] = 60.0
    shown.reported(given, {"outcome": None, "step": steps * 9 // 10})
    assert shown._eta().startswith("; forecast "), "a fortieth was done here, and a fifth in all"
    shown.started(small_assignment(tmp_path, config_id=plan.arms[1].config_id, seed=0), 0)
    shown.reported(
        small_assignment(tmp_path, config_id=plan.arms[1].config_id, seed=0),
        {"outcome": None, "step": steps * 5 // 10},
    )
    # Of four replicates 1.4 are done, .6 of them in this minute: 2.6 are left.
    assert shown._eta() == "; about 4 min 20 s left"


@pytest.mark.parametrize(("free_mib", "said"), [(4000, "of 8,000 MiB"), (None, "0 MiB")])
def test_on_gpus_it_is_their_memory_that_is_packed(free_mib: int | None, said: str, plan: Plan) -> None:
    """A cluster does not say how much memory a GPU has."""
    on_gpus = replace(plan, device="cuda")
    gpus = GpuGroup(kind="A", memory_mib=free_mib, free_mib=free_mib, count=2)
    shown, _ = progress(on_gpus, Inventory(cpus=2, memory_mib=7680, gpus=(gpus,)))
    assert said in shown._packed()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "less than a second"),
        (0.49, "less than a second"),
        (0.7, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_a_duration_is_never_nothing(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said


def test_it_says_that_it_waits_for_another_driver(plan: Plan) -> None:
    shown, text = progress(plan)
    shown.waiting(3)
    assert "waiting for 3 replicates of another driver" in text.getvalue()


def test_a_candidate_that_its_search_has_stopped_waits_at_a_rung(tmp_path: Path) -> None:
    plan = build_plan(load_study("quickstart_search", "smoke", []), MACHINE, None)
    assert plan.search is not None
    shown, text = progress(plan)
    subset, steps = plan.search.info.subset_metric, plan.search.info.rungs[1].steps
    planned = plan.search.bear("kuramoto", 0, plan.search.spaces["kuramoto"].own or {})
    given = small_assignment(tmp_path, config_id=planned.config_id, seed=0)
    shown.started(given, 0)
    shown.reported(
        given, {"outcome": "pruned", "step": steps, "metrics": {subset: 2.5}, "message": "stopped early"}
    )
    said = text.getvalue()
    assert f"waits at rung 1, {subset} 2.5000" in said and "pruned" not in said
    assert shown._table().columns[1]._cells[0] == "1/about 4 (1 stopped at a rung)"
