"""The page of a study: one file, from the journal alone, with what a reader asks first on top."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from analysis.records.journal import JournalState, merge, read_journal
from analysis.report.pages.study import StudySource, study_page
from analysis.report.provenance import provenance_line
from analysis.report.tables import render_text, rows_for_display
from analysis.results.arms import summarise
from analysis.verdicts.judge import judge_all
from tests.support.sweeps.journals import METRIC, config_id, journal_events
from tests.support.sweeps.search_journal import path_events, search_events, several_objectives
from tests.unit.analysis.report.pages.html_checks import check_page

MEGABYTE = 1_000_000
CLAIM = {
    "id": "K1", "statement": "phases help <much>", "source": "a paper", "kind": "superiority", "settled_at": "gpu",
    "metric": METRIC, "arm": "kuramoto", "against": ["baseline"], "controls": ["K0"], "published_effect": -0.5,
}  # fmt: skip


def page_of(state: JournalState, journal: bytes = b"") -> str:
    assert state.sweep is not None
    return study_page(
        StudySource(
            state=state,
            sweep=state.sweep,
            verdicts=judge_all(state),
            journal=journal,
            fields=lambda arm: arm.parameters,
            given=state.sweep.study,
        )
    )


def events(**changes: Any) -> list[dict[str, Any]]:
    return journal_events({"baseline": 2.5, "kuramoto": 2.4, "K0": 2.41}, claims=[CLAIM], seeds=range(3), **changes)


def test_the_first_screen_says_what_was_claimed_what_was_found_and_how_sure_that_is() -> None:
    text = page_of(merge(events()))
    page = check_page(text, MEGABYTE)
    first = text[: text.index('<nav class="contents">')]
    assert "phases help &lt;much&gt;" in first
    assert "Indicates only, to be settled at scale gpu; declared before the data." in first
    assert first.count('class="zone"') == 1
    assert {"claims", "arms", "controls", "curves", "failures", "methods", "provenance"} <= page.ids.keys()


def test_the_numbers_are_those_of_the_table() -> None:
    state = merge(events())
    text = page_of(state)
    _, rows = rows_for_display(summarise(state))
    for cells in rows:
        for cell in cells:
            assert f">{cell}<" in text


def test_a_study_whose_arms_are_all_the_baseline_has_a_page_and_tests_nothing() -> None:
    state = merge(journal_events({"baseline": 2.5, "alias": 2.5}, config_ids={"alias": config_id("baseline")}))
    check_page(text := page_of(state), MEGABYTE)
    assert "no two configurations with two pairs of seeds: no test" in text
    assert "SD of their difference" not in provenance_line(state)
    assert "Holm" not in render_text(summarise(state))


def test_what_ended_without_having_begun_has_a_page() -> None:
    """The workers of a trial may die, or time out, before the first of them says that it has started."""
    lost = {(arm, seed): "crashed" for arm in ("baseline", "kuramoto", "K0") for seed in range(3)}
    check_page(page_of(merge([e for e in events(statuses=lost) if e["event"] in {"sweep", "crashed"}])), MEGABYTE)


def test_a_margin_of_a_slope_has_no_unit() -> None:
    flat = {
        "id": "K2", "statement": "it is flat", "source": "a paper", "kind": "flatness", "settled_at": "gpu",
        "metric": METRIC, "arms": ["baseline", "kuramoto", "K0"], "over": "architecture.n", "margin": 0.1,
    }  # fmt: skip
    described = events()
    described[0]["claims"] = [flat]
    text = page_of(merge(described))
    check_page(text, MEGABYTE)
    assert "<dt>margin</dt><dd>0.1 </dd>" in text


def test_at_scale_smoke_claims_are_not_judged_though_the_study_has_run() -> None:
    described = events()
    described[0]["scale"] = "smoke"
    text = page_of(merge(described))
    assert "</svg>not judged</span>" in text and "not run" not in re.sub(r'="[^"]*"', "", text)


def test_equal_journals_give_equal_bytes() -> None:
    first, second = (page_of(merge(events()), b"journal") for _ in range(2))
    assert first == second


def test_failures_are_listed_with_what_they_said() -> None:
    text = page_of(merge(events(statuses={("kuramoto", 1): "diverged", ("K0", 2): None})))
    check_page(text, MEGABYTE)
    assert "diverged at step 200" in text
    assert re.search(r"<code>K0</code></td><td class=\"number\">2</td><td>not ended", text)
    assert "replicates failed" in text.lower()


def test_what_it_carries_can_be_read_again() -> None:
    text = page_of(merge(events()), b"a journal\n")
    found = dict(re.findall(r'download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', text))
    journal, table, results, verdicts = (base64.b64decode(content) for content in found.values())
    assert gzip.decompress(journal) == b"a journal\n"
    assert gzip.decompress(table).decode().splitlines()[0].startswith('"study","scale","arm",')
    assert json.loads(results)["study"] == "kuramoto_phase_a"
    assert [verdict["id"] for verdict in json.loads(verdicts)] == ["K1"]


def test_without_claims_it_says_what_the_table_says() -> None:
    text = page_of(merge(journal_events({"baseline": 2.5, "other": 2.2}, seeds=range(3))))
    check_page(text, MEGABYTE)
    assert "No claim is declared. 1 arm is compared with baseline: 1 better." in text


def test_of_scale_smoke_it_says_first_that_this_settles_nothing() -> None:
    text = page_of(merge(journal_events({"baseline": 2.5}, seeds=range(3), scale="smoke")))
    assert "No claim is declared. Scale smoke shows that a study runs, nothing else.</p>" in text


def test_before_anything_has_finished_there_is_still_a_page() -> None:
    started = [event for event in events() if event["event"] in {"sweep", "started"}]
    text = page_of(merge(started))
    check_page(text, MEGABYTE)
    assert "No result to draw yet." in text


def test_a_study_that_searches_has_one_too() -> None:
    text = page_of(merge(search_events()))
    check_page(text, MEGABYTE)
    assert "--only" not in text and "settings of some arms were searched for" in text


def test_candidates_have_what_selected_them_and_fresh_seeds_in_columns_of_their_own() -> None:
    text = page_of(merge(search_events()))
    section = text[text.index('id="search"') : text.index('id="controls"')]
    headers = re.findall(r"<th[^>]*>([^<]*)</th>", section)
    rows = {row[0]: row for row in _rows(section) if row[0].startswith("kuramoto#")}
    columns = headers[headers.index("candidate") :]
    winner = dict(zip(columns, rows["kuramoto#1"], strict=True))
    assert winner["coupling"] == "1" and winner["proposed by"] == "sobol"
    assert [winner[f"rung {rung}"] for rung in range(3)] == ["1.900", "1.500", "1.600"]
    assert winner["fresh seeds (3)"].startswith("2.100 [") and winner["stands"] == "confirmed"
    others = [dict(zip(columns, rows[f"kuramoto#{number}"], strict=True)) for number in (0, 2)]
    assert [(row["stands"], row["fresh seeds (3)"]) for row in others] == [
        ("dropped at rung 0", "–"),
        ("failed", "–"),
    ]


def test_of_several_objectives_the_page_shows_each() -> None:
    text = page_of(merge(several_objectives()))
    check_page(text, MEGABYTE)
    for shown in ("objectives of every candidate", "each field by num_parameters", "candidate by num_parameters"):
        assert shown in text
    assert "score of the leader by budget spent" not in text and "they are not drawn for several" in text
    assert '<th class="number">num_parameters</th>' in text


def test_a_path_to_a_winner_stands_where_ablations_do() -> None:
    text = page_of(merge(path_events()))
    check_page(text, MEGABYTE)
    section = text[text.index('id="ablation"') : text.index('id="search"')]
    assert "selected on 0, 1" in section and "the path to the winner" in section


def _rows(text: str) -> list[list[str]]:
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in re.findall(r"<tr><td.*?</tr>", text)
    ]


@pytest.mark.parametrize("name", ["nanogpt_cpu", "resonant_language", "pi_spiral_diagnostics"])
def test_committed_journals(name: str) -> None:
    path = Path("docs/results") / f"{name}.jsonl"
    check_page(page_of(read_journal(path), path.read_bytes()), MEGABYTE)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(Path("docs/results").glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_committed_journal(path: Path) -> None:
    check_page(page_of(read_journal(path), path.read_bytes()), MEGABYTE)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["diverged", "crashed", "pruned", None])
def test_whatever_became_of_all_replicates_there_is_a_page(status: str | None) -> None:
    statuses = {(arm, seed): status for arm in ("baseline", "kuramoto", "K0") for seed in range(3)}
    check_page(page_of(merge(events(statuses=statuses))), MEGABYTE)


@pytest.mark.slow
def test_a_study_of_many_arms_is_no_larger_than_a_megabyte() -> None:
    arms = {f"arm_{number}": 2.5 + 0.01 * number for number in range(62)}
    text = page_of(merge(journal_events(arms, seeds=range(5))), b"x" * 300_000)
    check_page(text, MEGABYTE)
