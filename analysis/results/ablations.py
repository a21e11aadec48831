"""What an ablation has found: the effect of each component and of each two together, by one linear model.

Every arm of the design takes part in every effect, with the seed as block; where seeds differ in an effect, it is
tested over them instead. An effect is what a metric changes by
when the component is added: averaged over the others in a factorial or a fraction of it, to the whole in
`leave_one_out` and `pairs`, to nothing in `base_plus_one`. An interaction is how much more a component changes when
the other one is there than when it is not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.records.ablation import AblationInfo
from analysis.records.description import ArmInfo, MetricInfo
from analysis.records.journal import JournalState
from analysis.results.arms import find_metric, transform_of
from analysis.results.comparison import SIGNIFICANCE_LEVEL, Conclusion, adjust, side, take_sample
from analysis.statistics.block_model import BlockFit, Effect, fit_blocks
from analysis.statistics.inference import TTest, mean_interval
from analysis.statistics.transforms import LINEAR, LOG, Transform

CONFIDENCE = 0.95
SEEDS_DIFFER = 0.01
"""Level of the F test by which seeds differ in an effect; at .05 it would cost power where they do not."""
MOST_FOR_SHAPLEY = 6
_PLACE_OF_ZERO = {"leave_one_out": 1.0, "pairs": 1.0, "base_plus_one": 0.0}
"""Where effects are those of other components being all there (1), all absent (0); elsewhere half of them."""

Fitted = tuple[tuple[str, ...], Effect | None, Conclusion | None]
"""Components, their effect if it can be estimated, and why nothing can be concluded from it."""

EffectKind = Literal["difference", "relative", "log odds"]


@dataclass(frozen=True, kw_only=True)
class EffectRow:
    """An effect, an interaction of two components, or the whole against a placebo. What does not exist is None."""

    components: tuple[str, ...]
    """One component, two, or the name of a placebo."""
    effect: float | None
    """Change by adding the component; of two, how much more one changes with the other than without."""
    ci_low: float | None
    ci_high: float | None
    p: float | None
    """Two-sided, unadjusted."""
    p_adjusted: float | None
    """Holm-adjusted over all rows of its kind: the effects, the interactions, or the placebos."""
    test: Literal["one model", "over seeds"] | None
    """What interval and p are from: the model of all arms or, where seeds differ in this effect by more than its
    error allows, one estimate a seed."""
    reading: Conclusion
    aliases: tuple[str, ...]
    """What the design cannot tell from it, such as an interaction of three: the sum of all is what is shown."""


@dataclass(frozen=True, kw_only=True)
class ShapleyRow:
    """A component's share of the difference between the whole and nothing."""

    component: str
    value: float
    """Mean of what it adds over all orders in which the components may be added; these sum to the difference."""
    ci_low: float | None
    ci_high: float | None
    share: float
    """Of the difference."""


@dataclass(frozen=True, kw_only=True)
class AblationTable:
    """The analysis of an ablation."""

    study: str
    scale: str
    title: str
    metric: str
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    around: str
    tuning: Literal["declared", "winner", "each"]
    """Whose settings the arms have: those declared, those of the winner of a search, or those that a search of each
    arm has found."""
    design: str
    effect_kind: EffectKind
    """`relative` changes are of perplexities; rates are compared by their log odds."""
    confidence: float
    n_arms: int
    """Arms of the design."""
    n_values: int
    """Replicates behind the model."""
    n_missing: int
    """Planned replicates of the design without a value: those that failed, and those that are still to run."""
    residual_df: int
    """Degrees of freedom of the error; 0 without any value."""
    effects: tuple[EffectRow, ...]
    interactions: tuple[EffectRow, ...]
    """Of two components, as far as the design shows them."""
    placebos: tuple[EffectRow, ...]
    """The whole against each."""
    shapley: tuple[ShapleyRow, ...]
    """Where all combinations of at most six components have run; shares, no tests."""


def ablation_of(state: JournalState, info: AblationInfo, metric: str | None = None) -> AblationTable:
    """Return the analysis of the ablation of the newest sweep.

    Args:
        state: The journal; its newest sweep has an ablation.
        info: That ablation.
        metric: Name of the metric; the study's primary metric if None.

    Raises:
        ValueError: If the study has no such metric.
    """
    assert state.sweep is not None
    sweep = state.sweep
    found = find_metric(sweep, metric or sweep.primary_metric)
    arms = {arm.arm: arm for arm in sweep.arms}
    return _Analysis(state, info, found, arms, is_shared=found not in sweep.metrics).table(
        study=sweep.study, scale=sweep.scale, title=sweep.title
    )


class _Analysis:
    def __init__(
        self,
        state: JournalState,
        info: AblationInfo,
        metric: MetricInfo,
        arms: Mapping[str, ArmInfo],
        *,
        is_shared: bool,
    ) -> None:
        self._info, self._metric, self._scale = info, metric, transform_of(metric)
        names = dict.fromkeys((*info.arms, info.around, *info.placebos))
        self._samples = {name: take_sample(state, arms[name], metric.name, is_optional=is_shared) for name in names}

    def table(self, **named: str) -> AblationTable:
        info = self._info
        terms, aliases = _terms(info)
        points = {name: _point(info, present) for name, present in info.arms.items()}
        regressors = {name: [math.prod(point[c] for c in term) for term in terms] for name, point in points.items()}
        fit = self._fit(regressors)
        shortfall = self._shortfall(list(info.arms))
        fitted = {
            size: [
                (term, effect, shortfall)
                for term, effect in zip(terms, fit.effects, strict=True)
                if len(term) == size
            ]
            for size in (1, 2)
        }
        placebos = [self._placebo(name) for name in info.placebos]
        samples = [self._samples[name] for name in info.arms]
        n_values = sum(len(sample.values) for sample in samples)
        return AblationTable(
            **named,
            metric=self._metric.name,
            unit=self._metric.unit,
            direction=self._metric.direction,
            around=info.around,
            tuning=info.tuning,
            design=info.design if info.resolution is None else f"{info.design}, resolution {info.resolution}",
            effect_kind=_kind(self._scale),
            confidence=CONFIDENCE,
            n_arms=len(info.arms),
            n_values=n_values,
            n_missing=sum(len(sample.arm.seeds) for sample in samples) - n_values,
            residual_df=fit.df,
            effects=self._rows(fitted[1], aliases),
            interactions=self._rows(fitted[2], aliases),
            placebos=self._rows(placebos, {}),
            shapley=tuple(self._shapley()),
        )

    def _placebo(self, name: str) -> Fitted:
        """Return the whole against a placebo: of two arms the model is the paired t-test."""
        (effect,) = self._fit({self._info.around: [1.0], name: [0.0]}).effects
        return (name,), effect, self._shortfall([self._info.around, name])

    def _fit(self, regressors: Mapping[str, Sequence[float]]) -> BlockFit:
        """Fit all values of some arms, given their regressors."""
        rows = [(name, seed, value) for name in regressors for seed, value in self._samples[name].values.items()]
        if not rows:
            return BlockFit((None,) * len(next(iter(regressors.values()))), 0)
        values_N = self._scale.forward([value for _, _, value in rows])
        return fit_blocks(
            np.array([regressors[name] for name, _, _ in rows]), values_N, [seed for _, seed, _ in rows]
        )

    def _shortfall(self, arms: Sequence[str]) -> Conclusion | None:
        """Return why the values of arms are not those of all planned replicates: a mean over survivors misleads."""
        samples = [self._samples[name] for name in arms]
        reasons: dict[Conclusion, bool] = {
            "failures": any(sample.num_failed for sample in samples),
            "pruned": any(sample.num_pruned for sample in samples),
            "incomplete": any(sample.num_open for sample in samples),
            "not measured": not all(sample.is_measured for sample in samples),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _rows(
        self, fitted: Sequence[Fitted], aliases: Mapping[tuple[str, ...], tuple[str, ...]]
    ) -> tuple[EffectRow, ...]:
        """Return the rows of one kind, a family of Holm's."""
        tests = [deciding_test(effect) for _, effect, _ in fitted]
        adjusted = adjust([None if test is None else test.p for test in tests])
        return tuple(self._row(one, p, aliases.get(one[0], ())) for one, p in zip(fitted, adjusted, strict=True))

    def _row(self, fitted: Fitted, p_adjusted: float | None, aliases: tuple[str, ...]) -> EffectRow:
        term, effect, shortfall = fitted
        test = deciding_test(effect)
        low, high = test.bounds(CONFIDENCE) if test else (None, None)
        reading: Conclusion = "not attainable"
        if shortfall is not None:
            reading = shortfall
        elif effect is not None and p_adjusted is not None:
            is_shown = p_adjusted < SIGNIFICANCE_LEVEL
            reading = side(effect.value > 0, self._metric.direction) if is_shown else "not separable at this n"
        return EffectRow(
            components=term,
            effect=self._shown(effect.value if effect else None),
            ci_low=self._shown(low),
            ci_high=self._shown(high),
            p=test.p if test else None,
            p_adjusted=p_adjusted,
            test=None if test is None or effect is None else "one model" if test is effect.test else "over seeds",
            reading=reading,
            aliases=aliases,
        )

    def _shown(self, value: float | None) -> float | None:
        return math.expm1(value) if value is not None and self._scale == LOG else value

    def _shapley(self) -> list[ShapleyRow]:
        """Return every component's share, by one number a seed, where every combination has run."""
        info = self._info
        k = len(info.components)
        arm_of = {frozenset(present): name for name, present in info.arms.items()}
        if len(arm_of) < 2**k or k > MOST_FOR_SHAPLEY or self._scale != LINEAR:
            return []
        seeds = sorted(set.intersection(*(set(self._samples[name].values) for name in info.arms)))
        if not seeds:
            return []
        value_of = {
            present: np.array([self._samples[name].values[seed] for seed in seeds])
            for present, name in arm_of.items()
        }
        total = float((value_of[frozenset(info.components)] - value_of[frozenset()]).mean())
        rows = []
        for component in info.components:
            added = _shapley_of(component, value_of, k).tolist()
            interval = mean_interval(added, confidence=CONFIDENCE)
            value = math.fsum(added) / len(added)
            rows.append(
                ShapleyRow(
                    component=component,
                    value=value,
                    ci_low=interval.low if interval else None,
                    ci_high=interval.high if interval else None,
                    share=value / total if total else math.nan,
                )
            )
        return rows


def deciding_test(effect: Effect | None) -> TTest | None:
    """Return the test of an effect: that over seeds if they differ by more than the model's error allows."""
    if effect is None:
        return None
    differs = effect.p_of_blocks is not None and effect.p_of_blocks < SEEDS_DIFFER
    return effect.over_blocks if differs and effect.over_blocks is not None else effect.test


def _shapley_of(component: str, value_of: Mapping[frozenset[str], np.ndarray], k: int) -> np.ndarray:
    """Return what a component adds on average over all orders of the `k` components, one number a seed.

    Source:
        Shapley (1953), "A value for n-person games".
    """
    without = [present for present in value_of if component not in present]
    weights = [1 / (k * math.comb(k - 1, len(present))) for present in without]
    added = [value_of[present | {component}] - value_of[present] for present in without]
    found: np.ndarray = np.average(added, axis=0, weights=weights)
    return found


def _point(info: AblationInfo, present: Sequence[str]) -> dict[str, float]:
    """Return where an arm lies: 1 between with and without a component, 0 where the design's effects are taken."""
    zero = _PLACE_OF_ZERO.get(info.design, 0.5)
    return {name: float(name in present) - zero for name in info.components}


def _terms(info: AblationInfo) -> tuple[list[tuple[str, ...]], dict[tuple[str, ...], tuple[str, ...]]]:
    """Return the components and pairs that the model estimates, and what each cannot be told from."""
    singles: list[tuple[str, ...]] = [(name,) for name in info.components]
    if info.design in {"leave_one_out", "base_plus_one"}:
        return singles, {}
    pairs = list(itertools.combinations(info.components, 2))
    if info.design != "fractional":
        return [*singles, *pairs], {}
    points = [_point(info, present) for present in info.arms.values()]
    terms: list[tuple[str, ...]] = []
    aliases: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    owner: dict[tuple[bool, ...], tuple[str, ...]] = {}
    for size in (1, 2, 3):
        for term in itertools.combinations(info.components, size):
            # Equal columns have equal signs: a fraction holds the whole, where every product is positive.
            column = tuple(math.prod(point[name] for name in term) > 0 for point in points)
            first = owner.setdefault(column, term)
            if first is not term:
                aliases.setdefault(first, []).append(term)
            elif size < 3:
                terms.append(term)
    return terms, {term: tuple(map(" × ".join, others)) for term, others in aliases.items()}


def _kind(scale: Transform) -> EffectKind:
    if scale == LOG:
        return "relative"
    return "difference" if scale == LINEAR else "log odds"
