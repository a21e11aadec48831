"""The importances on a study's page: from the journal and the study's own space, or why there are none."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from sweeps.store.folder import ResultsFolder
from tests.support.sweeps.search_journal import SEARCH, born, search_events, trained
from tests.support.sweeps.studies import STUDY
from tests.support.sweeps.verbs import Call, write_results
from tests.unit.analysis.report.pages.html_checks import check_page
from tests.unit.sweeps.cli.search.test_enqueue import SECTION, searching

FIELDS = ["architecture.coupling", "optimizer.learning_rate"]


def many(count: int, most: float) -> list[dict[str, Any]]:
    """Return a search of so many candidates, whose score is their coupling, between 0 and `most`."""
    arms = [{"arm": "kuramoto", "search": "abc", "fields": FIELDS}]
    draw = random.Random(0)
    events = [{**search_events()[0], "search": {**SEARCH, "arms": arms}}]
    for number in range(count):
        coupling = draw.uniform(0, most)
        point = dict(zip(FIELDS, (coupling, 10 ** draw.uniform(-4, -2)), strict=True))
        events.append({**born(number, f"{number:012d}"), "point": point})
        events += trained(f"{number:012d}", 0, 1000 + 10 * number, {10: coupling}, "pruned")
    return events


def page(call: Call, folder: Path, events: list[dict[str, Any]]) -> str:
    results = write_results(folder, events)
    study = STUDY.format(seeds=2, steps=20, report_every=10).replace("scales:\n", SECTION)
    (folder / "tiny.yaml").write_text(study, encoding="utf-8")
    return reported(call, results)


def reported(call: Call, results: ResultsFolder) -> str:
    done = call("report", "tiny.yaml")
    assert done.code == 0, done.err
    text = (results.path / "report" / "report.html").read_text(encoding="utf-8")
    check_page(text, 1_000_000)
    return text


def test_enough_candidates_have_a_figure(call: Call, tmp_path: Path) -> None:
    text = page(call, tmp_path, many(24, 4.0))
    assert 'aria-label="importance of the fields, kuramoto"' in text
    assert "24 candidates of kuramoto; fanova" in text


def test_too_few_have_a_sentence(call: Call, tmp_path: Path) -> None:
    searching(tmp_path, is_over=True)
    done = call("report", "tiny.yaml")
    assert done.code == 0, done.err
    (path,) = (tmp_path / "results").rglob("report.html")
    assert "which fields matter: arm &#39;kuramoto&#39; has 2 candidates with a score" in path.read_text()


def test_a_space_that_has_changed_since_is_told_and_not_used(call: Call, tmp_path: Path) -> None:
    text = page(call, tmp_path, many(24, 5.0))
    assert "importance of the fields" not in text and "the space has changed since" in text


def test_a_study_that_is_gone_still_has_its_page(call: Call, tmp_path: Path) -> None:
    from sweeps.cli.evidence.importances import importances_of
    from sweeps.cli.evidence.judged import judged_folder

    results = write_results(tmp_path, many(24, 4.0))
    judged = judged_folder(results, "nowhere.yaml")
    assert judged is not None
    said = importances_of(judged)
    assert isinstance(said, str) and said.startswith("the study cannot be read any more")
