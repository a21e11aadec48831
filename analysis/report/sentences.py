"""Verdicts in sentences: what was found, and how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from analysis.claims.kinds import Kind
from analysis.report.verdicts import MEANINGS, effect_of, word_of
from analysis.verdicts.verdict import Compared, Outcome, Verdict

OUTCOMES: tuple[Outcome, ...] = ("supported", "refuted", "inconclusive", "not run")


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return how many claims there are, of which outcome, and how many of them are settled."""
    if not verdicts:
        return "No claim is declared."
    counts = Counter(word_of(verdict) for verdict in verdicts)
    listed = [f"{counts[outcome]} {outcome}" for outcome in (*OUTCOMES, "not judged") if counts[outcome]]
    claims = "1 claim" if len(verdicts) == 1 else f"{len(verdicts)} claims"
    judged = [verdict for verdict in verdicts if verdict.verdict in {"supported", "refuted"}]
    settled = sum(verdict.is_settled for verdict in judged)
    how = ""
    if judged and not settled:
        how = "; none of it is settled, this scale only indicates"
    elif judged:
        how = "; settled at this scale"
        how += "" if settled == len(judged) else f": {settled} of {len(judged)}, the rest only indicates"
    return f"{claims}: {', '.join(listed)}{how}."


def found(verdict: Verdict) -> str:
    """Return what a journal says of a claim, in a sentence."""
    return _CONCLUSIONS[verdict.verdict](verdict)


def measured(verdict: Verdict) -> str:
    """Return what was measured, with its interval and sample; empty if nothing was.

    Where another comparison decides than the claim's first, both are told.
    """
    if verdict.effect is None:
        return ""
    subject = ", ".join(verdict.arms) or "the sweep"
    if compares(verdict):
        subject = f"{subject} − {verdict.against[0]}"
    elif verdict.effect_kind not in {"value", "share"}:
        subject = f"{verdict.effect_kind} of {subject}"
    parts = [f"{subject} {_size(verdict, verdict.effect, verdict.ci_low, verdict.ci_high)}"]
    other = decisive(verdict)
    if other is not None and other.effect is not None:
        name = f"− {other.arm}" if compares(verdict) else other.arm
        parts.append(f"{name} {_size(verdict, other.effect, other.ci_low, other.ci_high)}")
    if verdict.n > 1:
        parts[-1] += f"; {verdict.n} {'pairs of seeds' if compares(verdict) else 'seeds'}"
    return ", ".join(parts)


def compares(verdict: Verdict) -> bool:
    """Return whether the effect is a difference of two arms."""
    return bool(verdict.against) and verdict.effect_kind in {"difference", "relative change"}


def says(one: Compared, verdict: Verdict) -> str:
    """Return what a comparison says of the claim, in a word or two."""
    is_by_itself = one.role == "control" and (not compares(verdict) or verdict.kind == "equivalence")
    if one.fails:
        return "shows the same" if is_by_itself else "speaks against it"
    if one.holds:
        return "does not show it" if is_by_itself else "holds"
    return "open"


def decisive(verdict: Verdict) -> Compared | None:
    """Return the comparison that decides, if it is not the claim's first one."""
    rest = [one for one in verdict.comparisons if one.arm not in verdict.against[:1]]
    if verdict.control is not None:
        return next((one for one in rest if one.arm == verdict.control), None)
    failing = [one for one in verdict.comparisons if one.fails]
    return failing[0] if failing and failing[0] in rest else None


def _size(verdict: Verdict, value: float, low: float | None, high: float | None) -> str:
    unit = f" {verdict.unit}" if verdict.unit and verdict.unit != "1" else ""
    if low is not None and low == high:
        return f"{effect_of(value, None, None, verdict.effect_kind)}{unit}, without an error"
    return f"{effect_of(value, low, high, verdict.effect_kind)}{unit}"


def certainty(verdict: Verdict) -> str:
    """Return what a verdict is worth: whether its scale settles it, and when it was declared."""
    if verdict.verdict == "not run":
        return f"To be settled at scale {verdict.settled_at}."
    if "scale" in verdict.because:
        worth = f"Indicates only, to be settled at scale {verdict.settled_at}"
    elif verdict.is_settled:
        worth = "Settled at this scale"
    else:
        worth = "Could be settled at this scale"
    is_known = verdict.declared != "unknown"
    return f"{worth}; {f'declared {verdict.declared}' if is_known else 'when it was declared is not known'}."


def cost(verdict: Verdict) -> str:
    """Return what the replicates behind a verdict took; empty if that is not known."""
    if verdict.core_hours is None:
        return ""
    return f"{verdict.core_hours:.2g} core-hours" if verdict.core_hours >= 0.01 else "less than .01 core-hours"


def _supported(verdict: Verdict) -> str:
    controls = [one.arm for one in verdict.comparisons if one.role == "control"]
    return f"It holds, also against {_all_of(controls)}." if controls else "It holds."


def _refuted(verdict: Verdict) -> str:
    if "control" in verdict.because:
        shown = _SHOWN_BY_A_CONTROL.get(verdict.kind, "shows the same")
        return f"{verdict.control}, without the mechanism, {shown}."
    failing = [one.arm for one in verdict.comparisons if one.fails and one.role == "against"]
    if verdict.excludes_published and not failing:
        unit = f" {verdict.unit}" if verdict.unit else ""
        size = f"{verdict.published_effect:+g}".replace("-", "−")
        return f"An effect as large as published, {size}{unit}, is excluded; a smaller one is not shown."
    if "margin" in verdict.because:
        return f"The margin of {verdict.margin:g}{_relative(verdict)} is not kept."
    if failing:
        return f"It is {'not so much better' if verdict.margin else 'worse'} than {_all_of(failing)}."
    return _CONTRADICTED.get(verdict.kind, "The opposite is shown.")


def _inconclusive(verdict: Verdict) -> str:
    first = verdict.because[0]
    if first == "control":
        return f"It is not shown to be better than {verdict.control}, a control without the mechanism."
    if first == "power":
        needed = ""
        if verdict.seeds_needed is not None and verdict.seeds_needed > verdict.n:
            needed = f"; {verdict.seeds_needed} pairs would find its effect with power .8"
        return f"{verdict.n} seeds do not separate it{needed}."
    said = MEANINGS[first]
    note = f": {verdict.note}" if verdict.note else ""
    return f"{said[0].upper()}{said[1:]}{note}."


def _not_run(verdict: Verdict) -> str:
    word = word_of(verdict)
    return f"{word[0].upper()}{word[1:]}: {verdict.note}."


def _relative(verdict: Verdict) -> str:
    return " of the other arm's value" if verdict.margin_unit == "relative" else ""


def _all_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_CONCLUSIONS: Mapping[Outcome, Callable[[Verdict], str]] = {
    "supported": _supported,
    "refuted": _refuted,
    "inconclusive": _inconclusive,
    "not run": _not_run,
}

_SHOWN_BY_A_CONTROL: Mapping[Kind, str] = {
    "superiority": "does at least as well",
    "pairwise": "does at least as well",
    "non_inferiority": "does better by more than the margin",
    "equivalence": "is as near",
}

_CONTRADICTED: Mapping[Kind, str] = {
    "threshold": "It lies on the other side of the bound.",
    "interval": "It lies outside the claimed interval.",
    "failure_rate": "The share lies on the other side of the bound.",
    "receipt": "The count lies on the other side of the bound.",
    "trend": "It moves the other way.",
    "flatness": "The slope exceeds the margin.",
    "response_curve": "The best lies outside the claimed bounds.",
    "association": "The correlation has the other sign.",
    "factorial": "The contrast has the other sign.",
}
