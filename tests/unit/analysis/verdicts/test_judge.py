"""Which verdicts there are, what every kind needs, and when a claim was declared."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.claims.claim import Claim
from analysis.claims.kinds import KINDS
from analysis.records.journal import merge
from analysis.verdicts.judge import JUDGES, judge_all, not_run
from analysis.verdicts.verdict import Verdict
from tests.support.sweeps.journals import EPOCH, METRIC, config_id, replicate_events, sweep_event
from tests.support.sweeps.verdicts import Arms, around, claim, journal, verdict

BETTER = claim("superiority", arm="a", against="b", controls="c")


def test_every_kind_has_a_judge() -> None:
    assert set(JUDGES) == set(KINDS)


def exact(arms: Arms, one: Claim) -> Verdict:
    """Return the verdict where the metric follows from the configuration alone."""
    metric = {"name": METRIC, "unit": "1", "direction": "minimise", "meaning": "a closed form", "exact": True}
    return verdict(arms, one, metrics=[metric], primary_metric=METRIC)


@pytest.mark.parametrize(
    ("kind", "fields", "a", "expected"),
    [
        ("superiority", {"against": "b"}, 0.1, "supported"),
        ("superiority", {"against": "b"}, 0.3, "refuted"),
        ("superiority", {"against": "b", "controls": "c"}, 0.1, "supported"),
        ("superiority", {"against": "b", "controls": "c"}, 0.16, "refuted"),
        ("equivalence", {"against": "b", "margin": 0.05, "margin_unit": "absolute"}, 0.22, "supported"),
        ("equivalence", {"against": "b", "margin": 0.05, "margin_unit": "absolute"}, 0.26, "refuted"),
        ("non_inferiority", {"against": "b", "margin": 0.05, "margin_unit": "absolute"}, 0.24, "supported"),
        ("threshold", {"bound": 0.3, "direction": "lower"}, 0.29, "supported"),
        ("threshold", {"bound": 0.3, "direction": "lower"}, 0.31, "refuted"),
        ("interval", {"bounds": [0.0, 0.3]}, 0.31, "refuted"),
    ],
)
def test_what_follows_from_the_configuration_needs_no_spread(
    kind: str, fields: dict[str, Any], a: float, expected: str
) -> None:
    arms = {"a": [a, a], "b": [0.2, 0.2], "c": [0.15, 0.15]}
    found = exact(arms, claim(kind, arm="a", **fields))
    assert found.verdict == expected
    assert found.ci_low == found.ci_high == found.effect
    assert verdict(arms, claim(kind, arm="a", **fields)).because == ("no variance",)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({("a", 1): "diverged"}, ("inconclusive", ("failures",))),
        ({("c", 1): "crashed"}, ("inconclusive", ("failures",))),
        ({("a", 1): None}, ("inconclusive", ("incomplete",))),
        ({("a", 1): "pruned"}, ("inconclusive", ("incomplete",))),
        ({("a", seed): None for seed in range(5)}, ("not run", ("not run",))),
    ],
)
def test_what_is_missing_settles_nothing(statuses: Any, expected: tuple[str, tuple[str, ...]]) -> None:
    """Even where every survivor is better by far."""
    arms = {"b": around(2.5), "a": around(1.0, turn=1), "c": around(2.4, turn=2)}
    found = verdict(arms, BETTER, statuses=statuses)
    assert (found.verdict, found.because, found.effect) == (*expected, None)


def test_arms_and_metrics_that_a_journal_lacks_are_not_run() -> None:
    found = verdict({"b": around(2.5), "a": around(2.4)}, BETTER)
    assert (found.verdict, found.note) == ("not run", "not in this journal: c")
    other = claim("threshold", arm="a", metric="probe/luck", bound=0.5, direction="higher")
    found = verdict({"a": around(2.4)}, other)
    assert (found.verdict, found.because) == ("not run", ("not measured",))


def test_a_scale_that_cannot_settle_a_claim_only_indicates() -> None:
    arms = {"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.45, turn=2)}
    (found,) = judge_all(journal(arms, BETTER), [claim("superiority", arm="a", against="b", settled_at="gpu")])
    assert (found.verdict, found.because, found.is_settled) == ("supported", ("scale", "declared after"), False)


def test_when_a_claim_was_declared_is_read_from_the_journal() -> None:
    arms = {"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.45, turn=2)}
    state = journal(arms, BETTER)
    assert judge_all(state)[0].declared == "before the data"
    changed = claim("superiority", arm="a", against="b", controls="c", published_effect=-0.1)
    assert judge_all(state, [changed])[0].declared == "after the data"
    late = [sweep_event(list(arms), seeds=range(5), claims=[BETTER.to_json()], time=EPOCH + 9_000, sweep_id="z")]
    early = [sweep_event(list(arms), seeds=range(5), sweep_id="y")]
    events = [
        event
        for arm in arms
        for seed in range(5)
        for event in replicate_events(arm, seed, 2.0 + 0.1 * seed, sweep_id="y")
    ]
    assert judge_all(merge([*early, *events, *late]), [BETTER])[0].declared == "after the data"
    compact = {"compact": {"drivers": 2}}
    late[0]["provenance"] = compact
    assert judge_all(merge([*events, *late]), [BETTER])[0].declared == "unknown"
    late[0]["provenance"] = {"compact": {"drivers": 2, "declared_at": {BETTER.hash: EPOCH}}}
    assert judge_all(merge([*events, *late]), [BETTER])[0].declared == "before the data"


def test_smoke_settles_nothing_and_no_results_are_not_run() -> None:
    events = sweep_event(["b", "a", "c"], claims=[BETTER.to_json()])
    events["scale"] = "smoke"
    assert judge_all(merge([events]))[0].because == ("scale",)
    found = not_run(BETTER, "study", "gpu")
    assert (found.verdict, found.because, found.study, found.scale) == ("not run", ("not run",), "study", "gpu")


def test_other_configurations_of_an_arm_are_never_read() -> None:
    """Replicates of a configuration that the newest sweep does not plan are no evidence for the arm's name."""
    arms = {"b": around(2.5), "a": around(2.4, turn=1), "c": around(2.45, turn=2)}
    state = journal(arms, BETTER, config_ids={"a": "another"})
    assert (config_id("a"), 0) in state.replicates
    assert judge_all(state)[0].verdict == "not run"
