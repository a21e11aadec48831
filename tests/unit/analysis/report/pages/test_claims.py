"""The page of all claims: every published claim stands on it, tested or not."""

from __future__ import annotations

from dataclasses import replace

from analysis.claims.published import DOCUMENTS
from analysis.records.journal import merge
from analysis.report.pages.claims import answer, claims_page
from analysis.report.pages.decisions import Branch, Condition, Decision
from analysis.verdicts.judge import judge_all, not_run
from analysis.verdicts.verdict import Verdict
from tests.unit.analysis.report.pages.html_checks import check_page
from tests.unit.analysis.report.pages.test_study import events

IDS = [claim.id for document in DOCUMENTS for claim in document.claims]


def verdicts() -> list[Verdict]:
    state = merge(events())
    (found,) = judge_all(state)
    assert state.sweep is not None
    (claim,) = state.sweep.claims
    absent = [replace(claim, id=f"{claim_id}_x") for claim_id in IDS if claim_id != "K1"]
    return [found, *(not_run(one, "another", "gpu") for one in absent)]


def test_all_47_stand_on_it_with_every_test() -> None:
    page = check_page(claims_page(verdicts()), 2_000_000)
    assert set(IDS) <= page.ids.keys()
    text = "".join(page.text)
    assert all(f"{claim_id}_x in another" in text for claim_id in IDS if claim_id != "K1")
    assert "47 published claims, 47 declared tests of them. 1 tests of 1 claims have been run" in text
    assert "46 claims are not tested yet." in text
    assert "phasesweep run another --scale gpu" in text


def test_claims_of_studies_of_ones_own_stand_last() -> None:
    (found, *_) = verdicts()
    page = check_page(claims_page([replace(found, id="mine")]), 2_000_000)
    assert page.ids["others"] == 1


def test_a_study_with_a_page_is_linked() -> None:
    (found, *_) = verdicts()
    links = {f"{found.study}@{found.scale}": "a/report/report.html"}
    assert "a/report/report.html" in check_page(claims_page([found], links), 2_000_000).addresses


def test_without_results_it_says_so() -> None:
    (_, *absent) = verdicts()
    assert answer(absent) == "46 published claims, 46 declared tests of them. No test has been run yet."


def test_the_decision_tree_says_which_branch_is_taken() -> None:
    asked = Condition("P4 passed: π is as good", "passed", True)
    refused = Condition("all 2 gates passed", "1 passed, 1 failed", False)
    branches = (
        Branch((asked,), "reframe", True),
        Branch((refused, asked), "release", False),
        Branch((), "wait", None),
    )
    page = check_page(claims_page(verdicts(), decisions=[Decision("trip", "A trip", branches)]), 2_000_000)
    assert page.ids["decision-trip"] == 1
    text = " ".join("".join(page.text).split())
    assert "if P4 passed: π is as goodpassed" in text
    assert "takenReframe." in text
    assert "1 passed, 1 failed" in text
    assert "not takenRelease." in text
    assert "openWait." in text


def test_what_is_wrong_with_a_documents_own_numbers_stands_with_its_claims() -> None:
    text = "".join(check_page(claims_page(verdicts()), 2_000_000).text)
    assert "line 967: 37/200 is 0.185, not 0.186" in text
    assert text.count("of the document's own numbers cannot be as they are printed") == 4


def test_what_a_verdict_took_is_said_where_it_is_known() -> None:
    (found, *_) = verdicts()
    for hours, said in ((2.5, "It took 2.5 core-hours."), (0.001, "It took less than .01 core-hours.")):
        assert said in claims_page([replace(found, core_hours=hours)])
    assert "core-hours" not in claims_page([replace(found, core_hours=None)])
