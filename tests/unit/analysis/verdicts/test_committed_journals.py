"""Verdicts on the committed journals against a computation that shares no code with them: json and scipy only."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.claims.claim import Claim
from analysis.records.journal import read_journal
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import Verdict
from sweeps.cli.library import declared_claims
from sweeps.studies.catalogue import StudyHead, library

JOURNALS = sorted(Path("docs/results").glob("*.jsonl"))
ALPHA = 0.025


class Journal:
    """Final metrics by arm and seed, and the curves, read line by line."""

    def __init__(self, path: Path) -> None:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self.sweep = lines[0]
        self.ids = {arm["arm"]: arm["config_id"] for arm in self.sweep["arms"]}
        self.seeds = {arm["arm"]: arm["seeds"] for arm in self.sweep["arms"]}
        self.items = {m["name"]: (m.get("items"), m.get("scored")) for m in self.sweep["metrics"]}
        self.units = {m["name"]: m["unit"] for m in self.sweep["metrics"]}
        self.directions = {m["name"]: m["direction"] for m in self.sweep["metrics"]}
        self.exact = {
            m["name"] for m in (*self.sweep["metrics"], *(self.sweep.get("probes") or ())) if m.get("exact")
        }
        self.curves: dict[tuple[str, int], list[tuple[int, dict[str, float]]]] = {}
        for line in lines:
            if line["event"] == "report":
                points = self.curves.setdefault((line["config_id"], line["seed"]), [])
                points[:] = [point for point in points if point[0] < line["step"]] + [
                    (line["step"], line["metrics"])
                ]
        ended = [line for line in lines if "cpu_seconds" in line]
        self.cpu_seconds = {(line["config_id"], line["seed"]): line["cpu_seconds"] for line in ended}

    def of(self, arm: str, metric: str, statistic: str = "last") -> np.ndarray:
        """Return a value a seed: of `a - b` the difference."""
        names, values = metric.split(" - "), []
        for seed in self.seeds[arm]:
            points = self.curves[self.ids[arm], seed]
            series = [m[names[0]] - (m[names[1]] if len(names) > 1 else 0.0) for _, m in points if names[0] in m]
            values.append(series[-1] / min(series) if statistic == "last_over_best" else series[-1])
        return np.array(values)

    def on_scale(self, values: np.ndarray, metric: str, statistic: str = "last") -> np.ndarray:
        """Return logits of rates, logarithms of perplexities and of ratios, other values as they are."""
        items, scored = self.items.get(metric, (None, None))
        if items is not None:
            total = scored or items
            return np.log((values * total + 0.5) / (total - values * total + 0.5))
        is_ratio = statistic == "last_over_best" or self.units.get(metric) == "perplexity"
        return np.log(values) if is_ratio else values


def holm(p_values: list[float]) -> list[float]:
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def comparative(journal: Journal, claim: Claim) -> str:
    """Superiority without margin: intersection-union for it, Holm against it; items of one seed if none varies."""
    metric = str(claim.metric)
    sign = (
        1
        if (claim.direction or {"maximise": "higher"}.get(journal.directions[metric], "lower")) == "higher"
        else -1
    )
    for_it, against_it = [], []
    for other in (*claim.against, *claim.controls):
        a, b = (journal.on_scale(journal.of(arm, metric), metric) for arm in (str(claim.arm), other))
        if np.ptp(a - b) < 1e-12:
            return "inconclusive" if claim.published_effect is None else "refuted"
        t = stats.ttest_rel(sign * a, sign * b, alternative="greater")
        for_it.append(t.pvalue)
        against_it.append(1 - t.pvalue)
    if max(for_it) < ALPHA:
        return "supported"
    if min(holm(against_it)) < ALPHA:
        return "refuted"
    if claim.published_effect is None:
        return "inconclusive"
    d = journal.of(str(claim.arm), metric) - journal.of(claim.against[0], metric)
    alternative = "greater" if claim.published_effect < 0 else "less"
    excluded = stats.ttest_1samp(d, claim.published_effect, alternative=alternative).pvalue < ALPHA
    return "refuted" if excluded else "inconclusive"


def one_arm(journal: Journal, claim: Claim) -> str:
    """Threshold and interval, by the t-interval of the mean on its scale, and controls that show the same."""
    metric, statistic = str(claim.metric), claim.statistic
    low, high = claim.bounds or (
        (claim.bound, math.inf) if claim.direction == "higher" else (-math.inf, claim.bound)
    )

    def place(arm: str) -> str:
        y = journal.on_scale(journal.of(arm, metric, statistic), metric, statistic)
        edges = [
            value if math.isinf(value) else float(journal.on_scale(np.array([value]), metric, statistic)[0])
            for value in (low, high)
        ]
        if np.ptp(y) < 1e-12:
            return "constant in" if edges[0] < y[0] < edges[1] else "constant out"
        reach = stats.t.ppf(1 - ALPHA, len(y) - 1) * stats.sem(y)
        if edges[0] < y.mean() - reach and y.mean() + reach < edges[1]:
            return "in"
        return "out" if y.mean() + reach < edges[0] or y.mean() - reach > edges[1] else "open"

    own, controls = place(str(claim.arm)), [place(arm) for arm in claim.controls]
    if own != "in":
        return "refuted" if own == "out" else "inconclusive"
    if "in" in controls or "constant in" in controls:
        return "refuted"
    return "inconclusive" if "open" in controls else "supported"


def trend(journal: Journal, claim: Claim) -> str:
    """One slope a seed along steps, Student's t over seeds, the same of each control."""

    def p_of(arm: str) -> tuple[float, float]:
        slopes = []
        for seed in journal.seeds[arm]:
            points = [(s, m[claim.metric]) for s, m in journal.curves[journal.ids[arm], seed] if claim.metric in m]
            slopes.append(stats.linregress([p[0] for p in points], [p[1] for p in points]).slope)
        if np.ptp(slopes) == 0:
            return 1.0, 1.0  # nothing varies, so nothing is shown
        p = stats.ttest_1samp(slopes, 0.0, alternative="greater").pvalue
        return p, 1 - p

    rises, falls = p_of(claim.arms[0])
    if rises >= ALPHA:
        return "refuted" if falls < ALPHA else "inconclusive"
    return "refuted" if any(p_of(arm)[0] < ALPHA for arm in claim.controls) else "supported"


def failure_rate(journal: Journal, claim: Claim) -> str:
    """Every replicate of the committed journals has finished."""
    n = len(journal.seeds[str(claim.arm)])
    high = stats.beta.ppf(1 - ALPHA, 1, n)
    return "refuted" if high < float(claim.bound or 0) else "inconclusive"


def exact(journal: Journal, claim: Claim) -> str:
    """Plain numbers: what follows from the configuration alone has no error, and equal is no advantage."""
    metric, arm = str(claim.metric), str(claim.arm)
    own = float(journal.of(arm, metric)[0])
    away = [own - float(journal.of(other, metric)[0]) for other in (*claim.against, *claim.controls)]
    if claim.kind == "equivalence":
        return "supported" if abs(away[0]) < float(claim.margin or 0) else "refuted"
    assert claim.kind == "superiority"
    assert not claim.margin
    return "supported" if all(d > 0 if claim.direction == "higher" else d < 0 for d in away) else "refuted"


JUDGES: dict[str, Any] = {
    "superiority": comparative,
    "pairwise": comparative,
    "threshold": one_arm,
    "interval": one_arm,
    "trend": trend,
    "failure_rate": failure_rate,
}


def judged(path: Path) -> list[tuple[Claim, Verdict]]:
    """Return the claims that the study of a journal declares today, with their verdicts."""
    heads = library()
    claims = declared_claims(StudyHead.read(heads[path.stem])) if path.stem in heads else []
    return list(zip(claims, judge_all(read_journal(path), claims), strict=True))


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_every_verdict_is_that_of_an_independent_computation(path: Path) -> None:
    journal = Journal(path)
    for claim, verdict in judged(path):
        if verdict.verdict == "not run":
            assert verdict.note, claim.id
            continue
        judge = exact if claim.metric in journal.exact else JUDGES[claim.kind]
        assert verdict.verdict == judge(journal, claim), claim.id


def test_the_journals_hold_verdicts_of_every_outcome_but_none_of_smoke() -> None:
    verdicts = [verdict for path in JOURNALS for _, verdict in judged(path)]
    assert {verdict.verdict for verdict in verdicts} >= {"supported", "refuted", "inconclusive"}
    assert all(verdict.because or verdict.verdict == "supported" for verdict in verdicts)
    assert all(
        verdict.declared != "before the data" or not verdict.because.count("declared after") for verdict in verdicts
    )
