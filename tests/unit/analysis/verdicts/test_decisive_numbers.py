"""The numbers of every verdict on the committed journals, recomputed by statsmodels from the journals' lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special, stats
from statsmodels.api import OLS, add_constant
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from analysis.claims.claim import Claim
from analysis.verdicts.verdict import Compared, Verdict
from tests.unit.analysis.verdicts.test_committed_journals import JOURNALS, Journal, judged

ALPHA = 0.05
CLOSE = {"rel": 1e-6, "abs": 1e-9}
"""Their p-values are found by bisection."""
FEW = 3
"""Hits or misses of a seed below which an interval is widened to that of one seed's items."""

Bounds = tuple[float, float] | None


def difference(journal: Journal, metric: str, arm: str, other: str) -> tuple[float, Callable[[float], Bounds]]:
    """Return the mean difference over seeds, and its interval at any level."""
    a, b = journal.of(arm, metric), journal.of(other, metric)
    x, y = journal.on_scale(a, metric), journal.on_scale(b, metric)
    items, _ = journal.items.get(metric, (None, None))
    effect = float(a.mean() - b.mean())
    if items is None:
        return effect, lambda alpha: DescrStatsW(a - b).tconfint_mean(alpha)
    if np.ptp(x) < 1e-12 and np.ptp(y) < 1e-12:
        counts = round(a[0] * items), items, round(b[0] * items), items
        return effect, lambda alpha: confint_proportions_2indep(*counts, method="newcomb", alpha=alpha)
    return effect, lambda alpha: _of_rates(x, y, effect, alpha)


def _of_rates(x: np.ndarray, y: np.ndarray, effect: float, alpha: float) -> tuple[float, float]:
    """Return the extremes of the difference of two rates over the joint confidence ellipse of their logits."""
    reach = stats.t.ppf(1 - alpha / 2, x.size - 1)
    root = np.linalg.cholesky(np.cov(x, y) / x.size + 1e-18 * np.eye(2))

    def at(angle: float) -> float:
        logits = np.array([x.mean(), y.mean()]) + reach * root @ [np.cos(angle), np.sin(angle)]
        return float(special.expit(logits[0]) - special.expit(logits[1]))

    grid = np.linspace(-np.pi, np.pi, 721)
    found = []
    for sign in (1, -1):
        start = grid[np.argmin([sign * at(angle) for angle in grid])]
        best = optimize.minimize_scalar(lambda angle, s=sign: s * at(angle), bounds=(start - 0.02, start + 0.02))
        found.append(at(best.x))
    return min(found[0], effect), max(found[1], effect)


def mean(journal: Journal, claim: Claim, arm: str) -> tuple[float, Callable[[float], Bounds]]:
    """Return the mean over seeds, and its interval at any level: of rates widened to the items of a seed."""
    metric = str(claim.metric)
    values = journal.of(arm, metric, claim.statistic)
    y = journal.on_scale(values, metric, claim.statistic)
    items, _ = journal.items.get(metric, (None, None))
    is_ratio = claim.statistic != "last" or journal.units.get(metric) == "perplexity"
    back = special.expit if items else (lambda y: np.exp(min(y, 700.0))) if is_ratio else float
    center = float(values.mean() if items else back(y.mean()))

    def interval(alpha: float) -> Bounds:
        hits = None if items is None else values * items
        few = hits is not None and min(hits.min(), items - hits.max()) < FEW
        exact = proportion_confint(hits.mean(), items, alpha=alpha, method="beta") if few else None
        if np.ptp(y) < 1e-12:
            return exact
        low, high = (float(back(end)) for end in DescrStatsW(y).tconfint_mean(alpha))
        if exact is not None:
            low, high = min(low, exact[0]), max(high, exact[1])
        return (min(low, center), max(high, center)) if items else (low, high)

    return center, interval


def one_sided(interval: Callable[[float], Bounds], bound: float) -> float | None:
    """Return p of lying above a bound: half the level at which the interval begins there."""
    narrowest = interval(0.9998)
    if narrowest is None:
        return None
    if narrowest[0] <= bound <= narrowest[1]:
        return 0.5
    end = 0 if narrowest[0] > bound else 1

    def beyond(logarithm: float) -> float:
        found = interval(2 * np.exp(logarithm))
        assert found is not None
        return found[end] - bound

    low, high = np.log(1e-15), np.log(0.4999)
    p = 1e-15 if beyond(low) * beyond(high) > 0 else float(np.exp(optimize.brentq(beyond, low, high, xtol=1e-12)))
    return p if end == 0 else 1 - p


def check(one: Compared | Verdict, effect: float, interval: Callable[[float], Bounds], what: str) -> None:
    """Compare effect and 95 % interval."""
    bounds = interval(ALPHA)
    assert one.effect == pytest.approx(effect, **CLOSE), what
    if bounds is None:
        assert (one.ci_low, one.ci_high) == (None, None), what
    else:
        # An ellipse's extremes are found on 4,096 points of its edge.
        assert (one.ci_low, one.ci_high) == pytest.approx(bounds, rel=1e-5, abs=1e-8), what


def comparative(journal: Journal, claim: Claim, verdict: Verdict) -> None:
    assert claim.margin is None  # no committed journal has a margin here, so none is recomputed
    metric = str(claim.metric)
    better = claim.direction or {"maximise": "higher"}.get(journal.directions[metric], "lower")
    for_it, against_it = [], []
    for one in verdict.comparisons:
        effect, interval = difference(journal, metric, str(claim.arm), one.arm)
        check(one, effect, interval, f"{claim.id} − {one.arm}")
        above = one_sided(interval, 0.0)
        assert above is not None
        p = above if better == "higher" else 1 - above
        assert one.p == pytest.approx(p, rel=1e-4, abs=1e-9), f"{claim.id} − {one.arm}"
        for_it.append(p)
        against_it.append(1 - p)
    assert [one.arm for one in verdict.comparisons] == [*claim.against, *claim.controls]
    assert verdict.p == pytest.approx(max(for_it), rel=1e-4)
    adjusted = multipletests(against_it, method="holm")[1]
    assert verdict.p_adjusted == pytest.approx(min(adjusted), rel=1e-4)
    assert [one.p_against_adjusted for one in verdict.comparisons] == pytest.approx(list(adjusted), rel=1e-4)
    check(verdict, *difference(journal, metric, str(claim.arm), claim.against[0]), claim.id)
    if claim.published_effect is not None:
        p = one_sided(difference(journal, metric, str(claim.arm), claim.against[0])[1], claim.published_effect)
        assert p is not None
        assert verdict.excludes_published == ((1 - p if claim.published_effect > 0 else p) < 0.025)


def one_arm(journal: Journal, claim: Claim, verdict: Verdict) -> None:
    own, interval = mean(journal, claim, str(claim.arm))
    check(verdict, own, interval, claim.id)
    for one in verdict.comparisons:
        check(one, *mean(journal, claim, one.arm), f"{claim.id}: {one.arm}")
    if claim.bounds is None:
        above = one_sided(interval, float(claim.bound or 0.0))
        p = above if above is None or claim.direction == "higher" else 1 - above
    else:
        low, high = (one_sided(interval, end) for end in claim.bounds)
        p = None if low is None or high is None else max(low, 1 - high)
    assert verdict.p == (None if p is None else pytest.approx(p, rel=1e-4, abs=1e-9)), claim.id


def trend(journal: Journal, claim: Claim, verdict: Verdict) -> None:
    """The change over the steps by a line of each seed, as ordinary least squares has it."""

    def changes(arm: str) -> DescrStatsW:
        found = []
        for seed in journal.seeds[arm]:
            points = [(s, m[claim.metric]) for s, m in journal.curves[journal.ids[arm], seed] if claim.metric in m]
            steps, values = np.array(points).T
            found.append(OLS(values, add_constant(steps)).fit().params[1] * np.ptp(steps))
        return DescrStatsW(found)

    for one in (verdict, *verdict.comparisons):
        found = changes(one.arm if isinstance(one, Compared) else claim.arms[0])
        varies = np.ptp(found.data) > 0
        check(one, float(found.mean), found.tconfint_mean if varies else lambda _: None, claim.id)
        if one is verdict:
            p = found.ttest_mean(0, alternative="larger")[1] if varies else None
            assert one.p == (None if p is None else pytest.approx(p, rel=1e-4))


def failure_rate(journal: Journal, claim: Claim, verdict: Verdict) -> None:
    """Every replicate of the committed journals has finished."""
    n = len(journal.seeds[str(claim.arm)])
    check(verdict, 0.0, lambda alpha: proportion_confint(0, n, alpha=alpha, method="beta"), claim.id)
    p = stats.binomtest(0, n, float(claim.bound or 0), alternative="less").pvalue
    assert verdict.p_adjusted == pytest.approx(p, rel=1e-4)


def exact(journal: Journal, claim: Claim, verdict: Verdict) -> None:
    for one in (*verdict.comparisons, verdict):
        other = one.arm if isinstance(one, Compared) else claim.against[0]
        arm, base = str(claim.arm), other
        if isinstance(one, Compared) and claim.kind == "equivalence" and one.role == "control":
            arm, base = one.arm, claim.against[0]
        away = float(journal.of(arm, str(claim.metric))[0] - journal.of(base, str(claim.metric))[0])
        assert (one.effect, one.ci_low, one.ci_high) == pytest.approx((away, away, away), **CLOSE), claim.id


def core_hours(journal: Journal, claim: Claim) -> float:
    """Return the CPU time of every replicate of the arms that a claim names, each once."""
    names = {*claim.arms, *claim.against, *claim.controls, *filter(None, [claim.arm])}
    keys = {(journal.ids[name], seed) for name in names for seed in journal.seeds[name]}
    return sum(journal.cpu_seconds[key] for key in keys) / 3600


KINDS: dict[str, Callable[[Journal, Claim, Verdict], None]] = {
    "superiority": comparative,
    "pairwise": comparative,
    "threshold": one_arm,
    "interval": one_arm,
    "trend": trend,
    "failure_rate": failure_rate,
}


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_every_decisive_number_is_that_of_statsmodels(path: Path) -> None:
    journal = Journal(path)
    verdicts = [(claim, verdict) for claim, verdict in judged(path) if verdict.verdict != "not run"]
    for claim, verdict in verdicts:
        (exact if claim.metric in journal.exact else KINDS[claim.kind])(journal, claim, verdict)
        assert verdict.core_hours == pytest.approx(core_hours(journal, claim)), claim.id
    assert verdicts or path.stem in {"quickstart", "nanogpt_cpu"}  # which claim nothing
