"""Rules over verdicts: gates, branches, and which of several verdicts on a claim counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.verdicts.judge import not_run
from analysis.verdicts.verdict import Outcome, Verdict
from sweeps.campaigns.campaign import read_campaign
from sweeps.campaigns.catalogue import campaign_library
from sweeps.campaigns.rules import decision_of, holds, outcome_of
from tests.support.sweeps.campaigns import write_campaign
from tests.support.sweeps.verdicts import claim

ONE = claim("threshold", arm="a", bound=1.0, direction="lower")


def verdict(study: str, claim_id: str, outcome: Outcome, **fields: object) -> Verdict:
    return replace(not_run(ONE, study, "laptop"), id=claim_id, verdict=outcome, **fields)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([("passed", "passed")], True),
        ([("passed", "failed")], False),
        ([("not judged", "passed")], None),
        ([("not judged", "passed"), ("failed", "passed")], False),
        ([("passed", "passed"), ("not judged", "failed")], None),
    ],
)
def test_a_rule_holds_only_if_all_that_it_asks_for_came_out_so(
    asked: list[tuple[str, str]], expected: bool | None
) -> None:
    assert holds(asked) is expected  # type: ignore[arg-type]


def test_only_what_is_shown_passes_or_fails() -> None:
    outcomes = ("supported", "refuted", "inconclusive", "not run")
    found = [outcome_of(verdict("first", "low", outcome)) for outcome in outcomes]
    assert found == ["passed", "failed", "not judged", "not judged"]
    assert outcome_of(None) == "not judged"


def test_branches_follow_from_verdicts(tmp_path: Path) -> None:
    campaign = read_campaign(write_campaign(tmp_path))
    verdicts = [verdict("first", "low", "supported"), verdict("first", "better", "refuted")]
    found = decision_of(campaign, verdicts)
    assert found is not None
    every, drop, *_ = found.branches
    assert (every.holds, drop.holds) == (False, True)
    assert every.conditions[0].text == "all 3 gates passed"
    assert every.conditions[0].told == "1 passed, 1 failed, 1 not judged"
    assert (drop.conditions[0].text, drop.conditions[0].told) == (
        "better failed: oscillators are better",
        "failed",
    )
    assert drop.then == "drop the oscillators"


def test_of_two_scales_the_settled_verdict_counts(tmp_path: Path) -> None:
    campaign = read_campaign(write_campaign(tmp_path))
    settled = verdict("first", "better", "supported", is_settled=True)
    others = [verdict("first", "better", "refuted"), verdict("first", "better", "not run")]
    for order in ([settled, *others], [*others, settled]):
        found = decision_of(campaign, order)
        assert found is not None
        assert found.branches[1].holds is False  # it asks that `better` failed
    found = decision_of(campaign, [others[1], others[0]])
    assert found is not None
    assert found.branches[1].holds is True


def test_the_library_has_the_documents_tree() -> None:
    found = decision_of(read_campaign(campaign_library()["pi_spiral"], "pi_spiral"), [])
    assert found is not None
    assert [branch.holds for branch in found.branches] == [None] * 6
    assert "release" in found.branches[0].then
    assert any("non-periodic" in branch.then for branch in found.branches)


def test_a_campaign_without_rules_has_no_tree(tmp_path: Path) -> None:
    path = write_campaign(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").partition("  four:")[0], encoding="utf-8")
    assert decision_of(read_campaign(path), []) is None
