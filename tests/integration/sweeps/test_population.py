"""A population on a real Ray, interrupted and shared by two drivers: children go on where their parents were, and a
schedule that is trained anew from its first step gives the same score.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.sweeps.studies import STUDY, journal_events, phasesweep, start

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]

SECTIONS = """\
space: {fields: {optimizer.learning_rate: {log: [1e-3, 3e-2]}}}
search: {method: sobol, arms: [kuramoto], budget: {replicates: 4}}
scheduler: {name: pbt, first: 0.25, eta: 2}
confirm: {seeds: [7]}
scales:
"""
SCORE = "val/bits_per_char"


def last_score(events: list[dict[str, Any]], config_id: str, seed: int) -> float:
    (end,) = (e for e in events if e["event"] == "finished" and (e["config_id"], e["seed"]) == (config_id, seed))
    reports = [e for e in events if e["event"] == "report" and (e["config_id"], e["seed"]) == (config_id, seed)]
    assert reports[-1]["step"] == end["step"] == 40
    return float(reports[-1]["metrics"][SCORE])


def test_children_continue_their_parents_and_their_schedules_can_be_trained_anew(tmp_path: Path) -> None:
    study = STUDY.format(seeds=1, steps=40, report_every=10)
    (tmp_path / "tiny.yaml").write_text(study.replace("scales:\n", SECTIONS), encoding="utf-8")
    first = phasesweep(["run", "tiny.yaml", "--max-trials", "6"], tmp_path)
    assert first.returncode == 130, first.stdout + first.stderr
    drivers = [start(["run", "tiny.yaml"], tmp_path) for _ in range(2)]
    ended = [driver.communicate() for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], ended

    found = sorted(journal_events(tmp_path / "results"), key=lambda event: event["time"])
    proposed = {event["number"]: event for event in found if event["event"] == "proposed"}
    assert sorted(proposed) == list(range(10)), "four members, and two children at each of three rungs"
    children = [event for event in proposed.values() if event["rung"]]
    starts = {e["config_id"]: e["step"] for e in reversed(found) if e["event"] == "started" and e["seed"] == 0}
    begun = [(starts[child["config_id"]], child["rung"] * 10) for child in children]
    assert all(step <= at for step, at in begun), "what is no longer equal is not taken over"
    assert sum(step == at for step, at in begun) >= 3, (
        "with three drivers a parent may be ahead, then it is done anew"
    )

    child = next(one for one in children if one["rung"] == 3)
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "tiny.yaml").write_text(study, encoding="utf-8")
    rate, changes = (json.dumps(child["point"][f"optimizer.{name}"]) for name in ("learning_rate", "changes"))
    of_kuramoto = "arms.kuramoto.optimizer"
    sets = [f"--set={of_kuramoto}.learning_rate={rate}", f"--set={of_kuramoto}.changes={changes}"]
    alone = phasesweep(["run", "tiny.yaml", *sets], tmp_path / "alone")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    again = last_score(journal_events(tmp_path / "alone" / "results"), child["config_id"], 0)
    assert again == last_score(found, child["config_id"], 0)

    (selected,) = (event for event in found if event["event"] == "selected")
    assert selected["reason"] == "the population has trained to the end"
    assert last_score(found, selected["config_id"], 7), "the winner is confirmed from its first step"
    (row,) = (r for r in json.loads(phasesweep(["best", "tiny.yaml", "--json"], tmp_path).stdout)["searches"])
    assert row["spent_replicates"] == 4 + sum(at - step for step, at in begun) / 40
