"""Every verdict on the committed journals, and its numbers, recomputed from the journals' lines by statsmodels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import optimize, special, stats
from statsmodels.api import OLS, add_constant
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from analysis.claims.claim import Claim
from analysis.records.journal import read_journal
from analysis.verdicts.judge import judge_all
from analysis.verdicts.verdict import Compared, Verdict
from sweeps.cli.library import declared_claims
from sweeps.studies.catalogue import StudyHead, library

JOURNALS = sorted(Path("docs/results").glob("*.jsonl"))
SHOWN, EQUAL = 0.025, 0.05
"""One-sided levels: of a difference, and of lying within a margin."""
CLOSE = {"rel": 1e-6, "abs": 1e-9}
FEW = 3
"""Hits or misses of a seed below which an interval is widened to that of one seed's items."""

Bounds = tuple[float, float] | None


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


def check(
    one: Compared | Verdict, effect: float, interval: Callable[[float], Bounds], level: float, what: str
) -> None:
    """Compare effect and interval."""
    bounds = interval(2 * level)
    assert one.effect == pytest.approx(effect, **CLOSE), what
    if bounds is None:
        assert (one.ci_low, one.ci_high) == (None, None), what
    else:
        # An ellipse's extremes are found on 4,096 points of its edge.
        assert (one.ci_low, one.ci_high) == pytest.approx(bounds, rel=1e-5, abs=1e-8), what


def close(p: float | None) -> object:
    """Return what equals a p-value: theirs and ours are found by bisection."""
    return None if p is None else pytest.approx(p, rel=1e-4, abs=1e-9)


def holm(p_values: list[float]) -> list[float]:
    return list(multipletests(p_values, method="holm")[1])


def better_than(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """Superiority: intersection-union for it, Holm against it, and the published size."""
    metric, arm = str(claim.metric), str(claim.arm)
    better = claim.direction or {"maximise": "higher"}.get(journal.directions[metric], "lower")
    bound = (claim.margin or 0.0) * (1 if better == "higher" else -1)
    assert not claim.margin or claim.margin_unit == "absolute"
    for_it, against_it = [], []
    for one in verdict.comparisons:
        effect, interval = difference(journal, metric, arm, one.arm)
        check(one, effect, interval, SHOWN, f"{claim.id} − {one.arm}")
        above = one_sided(interval, bound)
        assert above is not None
        p = above if better == "higher" else 1 - above
        assert one.p == close(p), f"{claim.id} − {one.arm}"
        for_it.append(p)
        against_it.append(1 - p)
    assert [one.arm for one in verdict.comparisons] == [*claim.against, *claim.controls]
    assert verdict.p == close(max(for_it))
    adjusted = holm(against_it)
    assert verdict.p_adjusted == close(min(adjusted))
    assert [one.p_against_adjusted for one in verdict.comparisons] == pytest.approx(adjusted, rel=1e-4, abs=1e-9)
    check(verdict, *difference(journal, metric, arm, claim.against[0]), SHOWN, claim.id)
    excluded = None
    if claim.published_effect is not None:
        p = one_sided(difference(journal, metric, arm, claim.against[0])[1], claim.published_effect)
        assert p is not None
        excluded = (1 - p if claim.published_effect > 0 else p) < SHOWN
    assert verdict.excludes_published == excluded
    if max(for_it) < SHOWN:
        return "supported"
    return "refuted" if min(adjusted) < SHOWN or (excluded and for_it[0] >= SHOWN) else "inconclusive"


def beyond(journal: Journal, claim: Claim, arm: str, other: str, margin: float) -> float:
    """Return p of the arm's lying above the other by more than a signed margin, whatever its unit.

    A relative margin is one of the other's own mean: the t test of a − (1 + margin) b, seed by seed.
    """
    metric = str(claim.metric)
    if claim.margin_unit != "relative":
        found = one_sided(difference(journal, metric, arm, other)[1], margin)
    else:
        assert journal.items[metric] == (None, None) and journal.units[metric] != "perplexity"
        rest = journal.of(arm, metric) - (1 + margin) * journal.of(other, metric)
        found = one_sided(lambda alpha: DescrStatsW(rest).tconfint_mean(alpha), 0.0)
    assert found is not None
    return found


def no_worse_than(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """Non-inferiority: worse than each by less than the margin; no control is asked, for it is no mechanism."""
    metric, arm, margin = str(claim.metric), str(claim.arm), float(claim.margin or 0)
    is_higher_better = (claim.direction or {"maximise": "higher"}.get(journal.directions[metric])) == "higher"
    assert not claim.controls
    for_it, against_it = [], []
    for one in verdict.comparisons:
        check(one, *difference(journal, metric, arm, one.arm), EQUAL, f"{claim.id} − {one.arm}")
        p = beyond(journal, claim, arm, one.arm, -margin if is_higher_better else margin)
        for_it.append(p if is_higher_better else 1 - p)
        against_it.append(1 - for_it[-1])
        assert one.p == close(for_it[-1])
    assert [one.arm for one in verdict.comparisons] == list(claim.against)
    if max(for_it) < EQUAL:
        return "supported"
    return "refuted" if min(holm(against_it)) < EQUAL else "inconclusive"


def equal_to(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """Equivalence by two one-sided tests, which no control may pass."""
    metric, arm, margin = str(claim.metric), str(claim.arm), float(claim.margin or 0)

    def tests(one: Compared, a: str, b: str) -> tuple[float, float]:
        effect, interval = difference(journal, metric, a, b)
        check(one, effect, interval, EQUAL, f"{claim.id}: {a} − {b}")
        high, low = (beyond(journal, claim, a, b, bound) for bound in (margin, -margin))
        assert one.p == close(max(1 - high, low))
        return max(1 - high, low), min(high, 1 - low)

    own = [tests(one, arm, one.arm) for one in verdict.comparisons if one.role == "against"]
    controls = [tests(one, one.arm, claim.against[0]) for one in verdict.comparisons if one.role == "control"]
    assert [one.arm for one in verdict.comparisons] == [*claim.against, *claim.controls]
    check(verdict, *difference(journal, metric, arm, claim.against[0]), EQUAL, claim.id)
    if min(holm([outside for _, outside in own])) < EQUAL or any(inside < EQUAL for inside, _ in controls):
        return "refuted"
    return "supported" if all(inside < EQUAL for inside, _ in own) else "inconclusive"


def one_arm(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """Threshold and interval: the arm's interval lies there wholly, and that of no control does."""
    low, high = claim.bounds or ((claim.bound, np.inf) if claim.direction == "higher" else (-np.inf, claim.bound))
    assert low is not None
    assert high is not None

    def place(one: Compared | Verdict, arm: str) -> str:
        value, interval = mean(journal, claim, arm)
        check(one, value, interval, SHOWN, f"{claim.id}: {arm}")
        bounds = interval(2 * SHOWN)
        if bounds is None:
            return "constant in" if low < value < high else "constant out"
        if low < bounds[0] and bounds[1] < high:
            return "in"
        return "out" if bounds[1] < low or bounds[0] > high else "open"

    own, controls = place(verdict, str(claim.arm)), [place(one, one.arm) for one in verdict.comparisons]
    assert verdict.p == close(_within(mean(journal, claim, str(claim.arm))[1], low, high)), claim.id
    if own != "in":
        return "refuted" if own == "out" else "inconclusive"
    if "in" in controls or "constant in" in controls:
        return "refuted"
    return "inconclusive" if "open" in controls else "supported"


def _within(interval: Callable[[float], Bounds], low: float, high: float) -> float | None:
    """Return the largest p of lying above the lower end and below the upper one."""
    found = [] if np.isinf(low) else [one_sided(interval, low)]
    if not np.isinf(high):
        below = one_sided(interval, high)
        found.append(None if below is None else 1 - below)
    return None if None in found else max(p for p in found if p is not None)


def trend(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """The change over the steps by a line of each seed, as ordinary least squares has it."""

    def changes(arm: str) -> DescrStatsW:
        found = []
        for seed in journal.seeds[arm]:
            points = [(s, m[claim.metric]) for s, m in journal.curves[journal.ids[arm], seed] if claim.metric in m]
            steps, values = np.array(points).T
            found.append(OLS(values, add_constant(steps)).fit().params[1] * np.ptp(steps))
        return DescrStatsW(found)

    def test(one: Compared | Verdict, arm: str) -> tuple[float, float]:
        found = changes(arm)
        varies = np.ptp(found.data) > 0
        check(one, float(found.mean), found.tconfint_mean if varies else lambda _: None, SHOWN, claim.id)
        p = found.ttest_mean(0, alternative="larger")[1] if varies else None
        assert one.p == close(p)
        return (1.0, 1.0) if p is None else (p, 1 - p)  # what does not vary shows nothing

    rises, falls = test(verdict, claim.arms[0])
    controls = [test(one, one.arm)[0] for one in verdict.comparisons]
    if rises >= SHOWN:
        return "refuted" if falls < SHOWN else "inconclusive"
    return "refuted" if any(p < SHOWN for p in controls) else "supported"


def field(journal: Journal, claim: Claim, arm: str) -> float:
    """Return the field along which a claim runs: the arm's own, else that of its architecture in the study."""
    (parameters,) = (one["parameters"] for one in journal.sweep["arms"] if one["arm"] == arm)
    if claim.over in parameters:
        return float(parameters[claim.over])
    study = yaml.safe_load(library()[journal.sweep["study"]].read_text(encoding="utf-8"))
    architecture = {"architecture": study.get("architectures", {}).get(parameters["architecture.name"])}
    section, *keys = str(claim.over).split(".")
    for layer in (architecture, study["scales"][journal.sweep["scale"]].get("base"), study["base"]):
        value = (layer or {}).get(section)
        for key in keys:
            value = (value or {}).get(key)
        if value is not None:
            return float(value)
    raise AssertionError(f"{claim.id}: no {claim.over} of {arm}")


def best_at(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """Response curve: where the arms lie that are not worse than the best by paired t and Holm."""
    metric = str(claim.metric)
    sign = -1 if journal.directions[metric] == "minimise" else 1
    on_scale = {arm: sign * journal.on_scale(journal.of(arm, metric), metric) for arm in claim.arms}
    best, *others = sorted(claim.arms, key=lambda arm: -on_scale[arm].mean())
    p_values = holm([stats.ttest_rel(on_scale[best], on_scale[other]).pvalue for other in others])
    kept = [best, *(other for other, p in zip(others, p_values, strict=True) if p >= 2 * SHOWN)]
    assert verdict.effect == pytest.approx(field(journal, claim, best))
    assert claim.bounds is not None
    assert not claim.controls
    inside = {claim.bounds[0] <= field(journal, claim, arm) <= claim.bounds[1] for arm in kept}
    return "inconclusive" if len(inside) == 2 else "supported" if True in inside else "refuted"


def failure_rate(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """Every replicate of the committed journals has finished."""
    n, bound = len(journal.seeds[str(claim.arm)]), float(claim.bound or 0)
    check(verdict, 0.0, lambda alpha: proportion_confint(0, n, alpha=alpha, method="beta"), SHOWN, claim.id)
    p = stats.binomtest(0, n, bound, alternative="less").pvalue
    assert verdict.p_adjusted == close(p)
    return "refuted" if p < SHOWN else "inconclusive"


def exact(journal: Journal, claim: Claim, verdict: Verdict) -> str:
    """Plain numbers: what follows from the configuration alone has no error, and equal is no advantage."""
    if claim.kind == "flatness":
        points = [(field(journal, claim, arm), journal.of(arm, str(claim.metric))[0]) for arm in claim.arms]
        slope = stats.linregress(*np.log(points).T).slope
        assert verdict.effect == pytest.approx(slope, abs=1e-9)
        return "supported" if abs(slope) < float(claim.margin or 0) else "refuted"
    away = []
    for one in (*verdict.comparisons, verdict):
        arm, base = str(claim.arm), one.arm if isinstance(one, Compared) else claim.against[0]
        if isinstance(one, Compared) and claim.kind == "equivalence" and one.role == "control":
            arm, base = one.arm, claim.against[0]
        away.append(float(journal.of(arm, str(claim.metric))[0] - journal.of(base, str(claim.metric))[0]))
        assert (one.effect, one.ci_low, one.ci_high) == pytest.approx((away[-1],) * 3, **CLOSE), claim.id
    if claim.kind == "equivalence":
        return "supported" if abs(away[0]) < float(claim.margin or 0) else "refuted"
    assert claim.kind == "superiority"
    assert not claim.margin
    return "supported" if all(d > 0 if claim.direction == "higher" else d < 0 for d in away) else "refuted"


def core_hours(journal: Journal, claim: Claim) -> float:
    """Return the CPU time of every replicate of the arms that a claim names, each once."""
    names = {*claim.arms, *claim.against, *claim.controls, *filter(None, [claim.arm])}
    keys = {(journal.ids[name], seed) for name in names for seed in journal.seeds[name]}
    return sum(journal.cpu_seconds[key] for key in keys) / 3600


KINDS: dict[str, Callable[[Journal, Claim, Verdict], str]] = {
    "superiority": better_than,
    "pairwise": better_than,
    "equivalence": equal_to,
    "non_inferiority": no_worse_than,
    "threshold": one_arm,
    "interval": one_arm,
    "trend": trend,
    "response_curve": best_at,
    "failure_rate": failure_rate,
}


def judged(path: Path) -> list[tuple[Claim, Verdict]]:
    """Return the claims that the study of a journal declares today, with their verdicts."""
    heads = library()
    claims = declared_claims(StudyHead.read(heads[path.stem])) if path.stem in heads else []
    return list(zip(claims, judge_all(read_journal(path), claims), strict=True))


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_every_verdict_and_its_numbers_are_those_of_an_independent_computation(path: Path) -> None:
    journal = Journal(path)
    for claim, verdict in judged(path):
        assert verdict.verdict != "not run", f"{claim.id}: {verdict.note}"
        compute = exact if claim.metric in journal.exact else KINDS[claim.kind]
        assert verdict.verdict == compute(journal, claim, verdict), claim.id
        assert verdict.core_hours == pytest.approx(core_hours(journal, claim)), claim.id


def test_the_journals_hold_verdicts_of_every_outcome_but_none_of_smoke() -> None:
    verdicts = [verdict for path in JOURNALS for _, verdict in judged(path)]
    assert {verdict.verdict for verdict in verdicts} >= {"supported", "refuted", "inconclusive"}
    assert all(verdict.because or verdict.verdict == "supported" for verdict in verdicts)
    assert all(
        verdict.declared != "before the data" or not verdict.because.count("declared after") for verdict in verdicts
    )
