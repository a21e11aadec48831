"""What verdicts mean for gates, and what follows from gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from analysis.report.pages.decisions import Branch, Condition, Decision
from analysis.verdicts.verdict import Outcome, Verdict
from sweeps.campaigns.campaign import Campaign, claims_of
from sweeps.campaigns.schema import ALL_GATES, GateOutcome, Rule
from sweeps.fields import DEFAULT_SCALE

_OUTCOMES: Mapping[Outcome, GateOutcome] = {"supported": "passed", "refuted": "failed"}


def outcome_of(verdict: Verdict | None) -> GateOutcome:
    """Return what the verdict on a gate's claim makes of the gate."""
    return "not judged" if verdict is None else _OUTCOMES.get(verdict.verdict, "not judged")


def holds(asked: Iterable[tuple[GateOutcome, str]]) -> bool | None:
    """Return whether a rule holds, from (outcome, wanted).

    It does not if one claim came out otherwise, whatever the others did; None if one is not judged.
    """
    pairs = list(asked)
    if any(outcome not in (wanted, "not judged") for outcome, wanted in pairs):
        return False
    return None if any(outcome == "not judged" for outcome, _ in pairs) else True


def decision_of(campaign: Campaign, verdicts: Sequence[Verdict]) -> Decision | None:
    """Return a campaign's rules over verdicts of any scale; None if it has none.

    Of several verdicts on a claim, such as of two scales, the one that is settled counts, else the last one that
    was run.
    """
    best: dict[str, Verdict] = {}
    for verdict in verdicts:
        name = f"{verdict.study}:{verdict.id}"
        if name not in best or _weight(verdict) >= _weight(best[name]):
            best[name] = verdict
    rules = [(name, rule) for name, phase in campaign.phases.items() for rule in phase.decision]
    if not rules:
        return None
    branches = tuple(_branch(rule, phase, campaign, best) for phase, rule in rules)
    return Decision(campaign.name, campaign.file.title, branches)


def _weight(verdict: Verdict) -> tuple[bool, bool]:
    return verdict.is_settled, verdict.verdict != "not run"


def _branch(rule: Rule, phase: str, campaign: Campaign, best: Mapping[str, Verdict]) -> Branch:
    conditions = []
    for named, wanted in rule.when.items():
        names = campaign.gates if named == ALL_GATES else [named]
        outcomes = [outcome_of(best.get(name)) for name in names]
        if named == ALL_GATES:
            counts = [f"{outcomes.count(each)} {each}" for each in ("passed", "failed", "not judged")]
            text, told = f"all {len(names)} gates {wanted}", ", ".join(counts)
        else:
            claim, run = named.partition(":")[2], campaign.run_behind(phase, named, DEFAULT_SCALE)
            text, told = f"{claim} {wanted}: {claims_of(run.name)[claim]}", outcomes[0]
        conditions.append(Condition(text, told, holds((outcome, wanted) for outcome in outcomes)))
    asked = [condition.holds for condition in conditions]
    return Branch(tuple(conditions), rule.then, False if False in asked else None if None in asked else True)
