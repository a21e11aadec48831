"""`export`: everything the journal knows, as tidy rows; nothing is dropped and nothing changes on the way."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from analysis.records.searching import SearchInfo
from analysis.results.arms import summarise
from analysis.results.export import to_columns
from sweeps.store.folder import ResultsFolder
from tests.support.sweeps.journals import METRIC, config_id, journal_events, replicate_events
from tests.support.sweeps.search_journal import event as event_of
from tests.support.sweeps.search_journal import path_events, search_events
from tests.support.sweeps.verbs import Call, caller, write_results

ARMS = {"baseline": 2.48, "coupling_2": 2.73}
STATUSES: dict[tuple[str, int], str | None] = {("coupling_2", 0): "diverged", ("coupling_2", 1): None}
RESOLVED = {
    "baseline": {
        "role": "baseline",
        "note": "",
        "architecture": {"name": "a", "layers": [1]},
        "budget": {"steps": 9},
    },
    "coupling_2": {"role": "treatment", "note": "", "architecture": {"name": "b", "coupling": 2.0}, "budget": {}},
}


@pytest.fixture
def results(tmp_path: Path) -> ResultsFolder:
    """Seed 3 of coupling_2 has not started; one replicate is of an arm that the study no longer plans."""
    events = journal_events(ARMS, seeds=range(4), statuses=STATUSES)
    events = [e for e in events if (e.get("config_id"), e.get("seed")) != (config_id("coupling_2"), 3)]
    events += replicate_events("last_week", 0, 2.2)
    return write_results(tmp_path, events, arms=RESOLVED)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(tmp_path, monkeypatch, capsys)


def exported(call: Call, path: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return the rows of an exported Parquet file, checked against what the verb says of it."""
    from pyarrow import parquet

    said = call("export", "tiny.yaml", "--to", str(path), *arguments, "--json").json("export")
    table = parquet.read_table(path)
    assert (said["rows"], said["columns"]) == (table.num_rows, table.column_names)
    assert said["path"] == str(path.resolve())
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_every_replicate_is_a_row_with_parameters_metrics_and_numerics(
    call: Call, results: ResultsFolder, tmp_path: Path
) -> None:
    rows = exported(call, tmp_path / "new" / "r.parquet")
    assert Counter((row["arm"], row["status"], row["planned"]) for row in rows) == {
        ("baseline", "finished", True): 4,
        ("coupling_2", "diverged", True): 1,
        ("coupling_2", "pending", True): 2,
        ("coupling_2", "finished", True): 1,
        (None, "finished", False): 1,
    }
    state = results.state()
    for row in rows:
        replicate = state.replicates.get((row["config_id"], row["seed"]))
        assert row[METRIC] == (replicate.final_metrics.get(METRIC) if replicate else None)
        assert row["seconds"] == (replicate.seconds if replicate else None)
        assert row["peak_memory_mib"] == (replicate.peak_memory_mib if replicate else None)
        assert row["numerics.threads"] == (1 if replicate else None)
    by_arm = {row["arm"]: row for row in rows}
    assert (by_arm["baseline"]["architecture.layers"], by_arm["baseline"]["budget.steps"]) == ("[1]", 9)
    assert (by_arm["coupling_2"]["architecture.coupling"], by_arm["coupling_2"]["budget.steps"]) == (2.0, None)
    assert {(row["study"], row["scale"]) for row in rows} == {("tiny", "laptop")}


def test_csv_says_the_same_as_parquet(call: Call, results: ResultsFolder, tmp_path: Path) -> None:
    rows = exported(call, tmp_path / "r.parquet")
    out = call("export", "tiny.yaml", "--to", "r.csv").out
    assert out == f"9 rows (replicates), {len(rows[0])} columns: {tmp_path / 'r.csv'}\n"
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == list(rows[0])
    for text, row in zip(read, rows, strict=True):
        assert text["arm"] == (row["arm"] or "")
        assert text["architecture.layers"] == (row["architecture.layers"] or "")
        assert (float(text[METRIC]) if text[METRIC] else None) == row[METRIC]  # to the last bit
        assert text["planned"] == str(row["planned"]).lower()


def test_configurations_carry_the_statistics_of_the_table(
    call: Call, results: ResultsFolder, tmp_path: Path
) -> None:
    rows = exported(call, tmp_path / "c.parquet", "--what", "configurations")
    table = summarise(results.state())
    assert [row["arm"] for row in rows] == [row.arm for row in table.rows]
    for found, row in zip(rows, table.rows, strict=True):
        assert (found[METRIC], found[f"{METRIC}.n"]) == (row.mean, row.n)
        for name in ("std", "ci_low", "ci_high", "delta", "delta_ci_low", "p_adjusted", "reading"):
            assert found[f"{METRIC}.{name}"] == getattr(row, name)
        assert (found["n_planned"], found["n_failed"]) == (4, row.n_failed)
    assert rows[0]["architecture.name"] == "a"


def test_curves_have_a_row_for_each_report(call: Call, results: ResultsFolder, tmp_path: Path) -> None:
    rows = exported(call, tmp_path / "v.parquet", "--what", "curves")
    reports = {key: r.reports for key, r in results.state().replicates.items()}
    assert len(rows) == sum(map(len, reports.values()))
    for row in rows:
        point = next(p for p in reports[row["config_id"], row["seed"]] if p.step == row["step"])
        assert {name: row[name] for name in point.metrics} == point.metrics
        assert row["time"] == point.time


def test_an_existing_file_is_replaced_only_by_force_and_never_half(
    call: Call, results: ResultsFolder, tmp_path: Path
) -> None:
    (tmp_path / "r.csv").write_text("mine", encoding="utf-8")
    called = call("export", "tiny.yaml", "--to", "r.csv")
    assert called.code == 2 and "r.csv: already exists; give another name, or --force" in called.err
    assert (tmp_path / "r.csv").read_text(encoding="utf-8") == "mine"
    assert call("export", "tiny.yaml", "--to", "r.csv", "--force").code == 0
    assert "study" in (tmp_path / "r.csv").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "results", "tiny.yaml"]


def test_curves_of_a_sweep_without_reports_are_not_written(call: Call, tmp_path: Path) -> None:
    write_results(tmp_path, journal_events(ARMS, seeds=range(1))[:1])
    called = call("export", "tiny.yaml", "--to", "v.csv", "--what", "curves")
    assert called.code == 2 and "tiny@laptop has no curves to export yet; nothing was written" in called.err
    assert not (tmp_path / "v.csv").exists()


def test_columns_have_one_type_each_and_an_order() -> None:
    rows: list[dict[str, Any]] = [
        {
            "seed": 0,
            "numerics.threads": 1,
            "val/x": 1.0,
            "a.flag": True,
            "a.mixed": 1,
            "a.number": 1,
            "a.list": [1],
        },
        {"seed": 1, "val/x": None, "a.mixed": "one", "a.number": 0.5, "a.list": None, "a.late": {"k": 2}},
    ]
    columns = to_columns(rows)
    assert list(columns) == [
        "seed",
        "a.flag",
        "a.mixed",
        "a.number",
        "a.list",
        "a.late",
        "val/x",
        "numerics.threads",
    ]
    assert columns["a.mixed"] == ["1", "one"]
    assert columns["a.number"] == [1.0, 0.5] and all(type(v) is float for v in columns["a.number"])
    assert columns["a.list"] == ["[1]", None]
    assert columns["a.late"] == [None, '{"k": 2}']
    assert columns["a.flag"] == [True, None]


def test_curves_are_a_table_by_step_json_and_a_figure(call: Call, results: ResultsFolder, tmp_path: Path) -> None:
    out = call("curves", "tiny.yaml", "--at", "0,500", "--to", "c.svg").out
    assert out.splitlines()[0].split() == ["arm", "step", "0", "step", "500"]
    assert "4 more steps: --at 0,100,500" in out
    assert (tmp_path / "c.svg").is_file() and (tmp_path / "c.csv").is_file()
    said = call("curves", "tiny.yaml", "--metric", "val_subset/perplexity", "--json").json("curves")
    assert [(arm["arm"], arm["n"]) for arm in said["arms"]] == [("baseline", 4), ("coupling_2", 1)]
    assert [point["step"] for point in said["arms"][0]["points"]] == [0, 100, 200, 300, 400, 500]
    last = summarise(results.state(), "val_subset/perplexity").rows[0]
    point = said["arms"][0]["points"][-1]
    assert (point["mean"], point["ci_low"], point["ci_high"], point["null"]) == pytest.approx(
        (last.mean, last.ci_low, last.ci_high, None)
    )


def test_published_logs_are_written_to_a_folder(call: Call, results: ResultsFolder, tmp_path: Path) -> None:
    replicate = results.replicate(config_id("baseline"), 2)
    replicate.mkdir(parents=True)
    row = {"task": "niah", "length": 64, "depth": 0.5, "accuracy": 1, "em": 1, "f1": 1, "runtime": 2, "items": 3}
    (replicate / "niah_val_metrics.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    arguments = ("export", "tiny.yaml", "--what", "published", "--to", "logs")
    said = call(*arguments, "--json").json("export")
    written = {str(path.relative_to(tmp_path)) for path in (tmp_path / "logs").rglob("*.*")}
    assert {str(Path(path).relative_to(tmp_path)) for path in said["files"]} == written
    assert written == {
        "logs/metrics.jsonl",
        "logs/positional_diag.csv",
        *(f"logs/system/baseline/seed={seed}.csv" for seed in range(4)),
        "logs/system/coupling_2/seed=2.csv",
    }
    (line,) = (tmp_path / "logs" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {**{k: v for k, v in row.items() if k != "items"}, "mode": "baseline", "seed": 2}
    again = call(*arguments)
    assert again.code == 2
    assert "is not empty" in again.err
    assert call(*arguments, "--force").code == 0


def test_best_shows_rungs_candidates_and_what_selected_apart_from_what_confirms(call: Call, tmp_path: Path) -> None:
    write_results(tmp_path, search_events())
    found = call("best", "tiny.yaml", "--json").json("best")
    assert [row["status"] for row in found["rows"]] == ["winner", "stopped", "failed"]
    assert found["searches"][0]["confirmed"]["values"] == {"2": 2.0, "3": 2.1, "4": 2.2}
    said = call("best", "tiny.yaml", "--top", "1").out
    assert "search of kuramoto, tpe: 3 candidates, 2.25 of 4 replicates spent; over, the budget is spent" in said
    assert "kuramoto#1" in said and "kuramoto#0" not in said and "and 2 more" in said
    assert "1.6000" in said and "the winner on fresh seeds 2, 3, 4: 2.1000" in said
    status = call("status", "tiny.yaml", "--json").json("status")
    assert status["searches"] == [{"arm": "kuramoto", "num_candidates": 3, "is_over": True}]


def test_best_shows_finalists_looks_and_the_front(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    events = search_events()
    searching = events[0]["search"]
    objectives = [{"name": searching["metric"], "direction": "minimise"}]
    objectives += [{"name": "num_parameters", "direction": "minimise"}]
    of_arm = {**searching["arms"][0], "finalists": 2}
    events[0]["search"] = {
        **searching,
        "arms": [of_arm],
        "objectives": objectives,
        "looks": [2, 3],
        "alphas": [0.02, 0.03],
    }
    info = SearchInfo.from_mapping(events[0]["search"])
    selected = next(one for one in events if one["event"] == "selected")
    selected["runners_up"] = ["a" * 12]
    look = {"search": info.confirmation, "seeds": 2, "is_settled": False, "p": {"kuramoto": 0.2}}
    events.append(event_of("looked", 90, **look))
    write_results(tmp_path, events)
    found = call("best", "tiny.yaml", "--json").json("best")
    assert [(row["status"], row["is_on_front"]) for row in found["rows"]] == [
        ("winner", True),
        ("finalist", False),
        ("failed", False),
    ]
    assert found["rows"][0]["objectives"] == {searching["metric"]: pytest.approx(1.6), "num_parameters": 100.0}
    assert [row["arm"] for row in found["searches"][0]["finalists"]] == ["kuramoto#0"]
    assert [row["is_settled"] for row in found["looks"]] == [False, None]
    said = call("best", "tiny.yaml").out
    assert "winner, on the front" in said and "num_parameters" in said
    assert "looks after 2 seeds at 0.02: not settled, kuramoto p = 0.2; 3 seeds at 0.03: not taken" in said
    assert "looks at fresh seeds: 1 of 2, next after 3 seeds" in call("status", "tiny.yaml").out


def test_best_of_a_study_without_a_search_says_what_to_use(call: Call, results: ResultsFolder) -> None:
    refused = call("best", "tiny.yaml")
    assert refused.code == 2 and "does not search" in refused.err and "`results`" in refused.err


def test_ablate_shows_effects_interactions_and_draws_them(call: Call, tmp_path: Path) -> None:
    arms = {"baseline": 2.5, "whole": 2.0, "without_a": 2.4, "without_b": 2.1, "neither": 2.5}
    info = {
        "around": "whole",
        "design": "full_factorial",
        "resolution": None,
        "components": ["a", "b"],
        "arms": {"whole": ["a", "b"], "without_a": ["b"], "without_b": ["a"], "neither": []},
        "placebos": [],
    }
    write_results(tmp_path, journal_events(arms, seeds=range(3), ablation=info))
    found = call("ablate", "tiny.yaml", "--json").json("ablate")
    assert [row["reading"] for row in found["effects"]] == ["better", "better"]
    said = call("ablate", "tiny.yaml", "--to", "effects.png")
    assert "a × b" in said.out and "with the seed as block: 4 arms, 12 values, 6 degrees" in said.out
    assert (tmp_path / "effects.png").is_file() and (tmp_path / "effects.csv").is_file()
    refused = call("ablate", "tiny.yaml", "--to", "effects.gif")
    assert refused.code == 2 and ".svg, .png or .pdf" in refused.err


def test_ablate_shows_the_path_to_a_winner_and_draws_it(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write_results(tmp_path, path_events())
    found = call("ablate", "tiny.yaml", "--json").json("ablate")
    assert [row["arm"] for row in found["rows"]] == ["kuramoto+nothing", "kuramoto+coupling", "kuramoto"]
    said = call("ablate", "tiny.yaml", "--to", "path.svg")
    assert "selected on 0, 1" in said.out and "fresh seeds 2, 3, 4" in said.out
    assert (tmp_path / "path.svg").is_file() and (tmp_path / "path.csv").is_file()
    assert "kuramoto+coupling" in call("results", "tiny.yaml").out


def test_results_of_other_code_are_named_by_the_verb(call: Call, tmp_path: Path) -> None:
    events = journal_events(ARMS, seeds=range(2))
    for event in events:
        if event["event"] == "started":
            event["numerics"] = {**event["numerics"], "code": "0123456789ab"}
    write_results(tmp_path, events)
    assert "of other code than is installed here: all arms (4 replicates)" in call("results", "tiny.yaml").out
    rows = call("results", "tiny.yaml", "--json").json("results")["rows"]
    assert [row["n_other_code"] for row in rows] == [2, 2]
