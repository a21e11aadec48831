"""Scores over several tasks and seeds in one number, with intervals by stratified bootstrap.

Scores are larger for better, and comparable between tasks: 0 at chance, 1 if perfect. A sample is a list with the
scores of each task, one a run. The formulas are those of rliable.

Intervals resample the runs of each task and take percentiles. With 3 runs of one task that is just their range,
which covers the mean in 74 % where 95 % is meant; with more tasks it covers more. The pairing of seeds is not used.

Source:
    Agarwal et al. (2021), arXiv:2108.13264.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.statistics.transforms import Interval

Runs = Sequence[np.ndarray]
"""Of each task, the scores of its runs; along the last axis, so that many resamples can stand before it."""

METHOD = "stratified percentile bootstrap"
_TRIMMED = 0.25


def interquartile_mean(runs: Runs) -> np.ndarray:
    """Return the mean of the middle half of all runs of all tasks; below 4 runs that is the mean."""
    ordered = np.sort(np.concatenate([*runs], axis=-1), axis=-1)
    cut = int(_TRIMMED * ordered.shape[-1])
    mean: np.ndarray = ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)
    return mean


def average(runs: Runs) -> np.ndarray:
    """Return the mean over all runs of all tasks."""
    mean: np.ndarray = np.concatenate([*runs], axis=-1).mean(axis=-1)
    return mean


def optimality_gap(runs: Runs, *, target: float = 1.0) -> np.ndarray:
    """Return how far runs stay below a target on average; what is above the target does not count."""
    gap: np.ndarray = target - np.minimum(np.concatenate([*runs], axis=-1), target).mean(axis=-1)
    return gap


def probability_of_improvement(runs: Runs, others: Runs) -> np.ndarray:
    """Return how often a run of the one exceeds a run of the other on the same task, averaged over tasks.

    Ties count half: of each task it is the statistic of Mann and Whitney over the number of pairs.
    """
    if len(runs) != len(others):
        raise ValueError(f"both need the same tasks, got {len(runs)} and {len(others)}")
    shares = [_share_above(x, y) for x, y in zip(runs, others, strict=True)]
    mean: np.ndarray = np.mean(shares, axis=0)
    return mean


def performance_profile(runs: Runs, thresholds: Sequence[float]) -> np.ndarray:
    """Return the share of runs above each threshold, averaged over tasks."""
    shares = [(task[..., None] > np.asarray(thresholds)).mean(axis=-2) for task in runs]
    mean: np.ndarray = np.mean(shares, axis=0)
    return mean


def bootstrap(
    statistic: Callable[..., np.ndarray],
    *samples: Runs,
    confidence: float = 0.95,
    resamples: int = 2_000,
    rng: np.random.Generator,
) -> Interval | None:
    """Return the interval of a statistic of samples; None if a task has a single run, or nothing varies.

    Args:
        statistic: Maps samples to a number; it must accept resamples along leading axes.
        samples: Each a list of tasks.
        confidence: Between 0 and 1.
        resamples: How often the runs of each task are drawn again, with replacement.
        rng: Source of the draws.
    """
    if any(task.size < 2 for runs in samples for task in runs):
        return None
    drawn = [[_drawn(task, resamples, rng) for task in runs] for runs in samples]
    tail = (1 - confidence) / 2
    low, high = np.quantile(statistic(*drawn), [tail, 1 - tail])
    if low == high:
        return None  # nothing varies: a width of 0 would claim certainty
    return Interval(float(low), float(high), METHOD)


def _drawn(task: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    found: np.ndarray = task[rng.integers(task.size, size=(resamples, task.size))]
    return found


def _share_above(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    above = (x[..., :, None] > y[..., None, :]).mean(axis=(-2, -1))
    ties = (x[..., :, None] == y[..., None, :]).mean(axis=(-2, -1))
    share: np.ndarray = above + ties / 2
    return share
