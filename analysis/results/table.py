"""The table of one metric: what each of its rows says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from analysis.results.comparison import Conclusion


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One arm. Values that do not exist are None, never NaN."""

    config_id: str
    arm: str
    role: str
    parameters: dict[str, Any]
    num_parameters: int
    n: int
    """Replicates finished with the metric."""
    n_failed: int
    """Replicates diverged, crashed, out of memory, timed out, or finished without the metric."""
    n_other_code: int
    """Replicates with a result that other code than the present has computed, wholly or in part, as far as their
    journal says; 0 if no code is compared."""
    statuses: dict[str, int]
    """Planned replicates by status, `pending` for those that have not ended."""
    values: dict[int, float]
    """{seed: value} of the n replicates."""
    mean: float | None
    """The average over seeds; geometric if the metric is log-transformed."""
    std: float | None
    """Sample standard deviation over seeds, in the metric's unit."""
    ci_low: float | None
    ci_high: float | None
    ci_method: str | None
    delta: float | None
    """Mean of arm − baseline over shared seeds; the relative change if `delta_kind` is "relative"."""
    delta_ci_low: float | None
    delta_ci_high: float | None
    differences: dict[int, float]
    """{seed: arm − baseline} of the shared seeds, of the same kind as `delta`."""
    n_pairs: int
    p: float | None
    """Two-sided, adjusted for looks at winners, if the study takes some, and for nothing else."""
    p_adjusted: float | None
    """Holm-adjusted over all `family_size` comparisons that the study declares; None if p is None."""
    comparison: str | None
    """The test behind p: "paired t", or "Welch t" where the arms were planned on disjoint seeds."""
    seed_correlation: float | None
    reading: Conclusion
    peak_memory_mib: float | None
    """Largest over the replicates."""
    seconds: float | None
    """Mean wall time of a replicate."""
    note: str
    """Caveats that a reader of the row must know; empty if there are none."""


@dataclass(frozen=True, kw_only=True)
class ContrastRow:
    """A planned comparison of two arms, neither of which needs to be the baseline."""

    arm: str
    against: str
    meaning: str
    """What the difference measures."""
    n_pairs: int
    delta: float | None
    """Mean of `arm` − `against` over shared seeds, of the table's `delta_kind`."""
    ci_low: float | None
    ci_high: float | None
    p: float | None
    """Two-sided, adjusted for looks at winners, if the study takes some, and for nothing else."""
    p_adjusted: float | None
    """Holm-adjusted over the declared contrasts; None if p is None."""
    reading: Conclusion
    note: str
    """Caveats that a reader of the row must know; empty if there are none."""


@dataclass(frozen=True, kw_only=True)
class ExternalRow:
    """Externally measured values of the table's metric, compared with our baseline."""

    name: str
    source: str
    n: int
    mean: float
    std: float | None
    baseline_n: int
    """Our replicates with a value; 0 if there is none yet."""
    baseline_mean: float | None
    difference: float | None
    """Ours − theirs, of the table's `delta_kind`."""
    ci_low: float | None
    ci_high: float | None
    p: float | None
    """Welch's, two-sided: their seeds and ours have nothing in common. A large one is no proof of agreement."""
    equal_within: float | None
    """Smallest margin, of the table's `delta_kind`, within which the two are shown to be equal: by two one-sided
    Welch tests at .05, thus the farther bound of the 90 % interval."""
    note: str
    """Why our mean is not that of all planned seeds; empty if it is."""


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """All arms of a study at one scale, for one metric."""

    study: str
    scale: str
    title: str
    metric: str
    unit: str
    direction: Literal["minimise", "maximise", "none"]
    meaning: str
    chance: float | None
    references: dict[str, float]
    """Scores of simple models on this metric."""
    items: int | None
    """Items per seed if the metric is a rate; otherwise None."""
    scored: int | None
    """What a rate counts in these items, such as tokens, if it is not the items themselves."""
    confidence: float
    delta_kind: Literal["difference", "relative"]
    family_size: int
    """Number of configurations planned besides the baseline's: the comparisons in Holm's adjustment."""
    shared: tuple[str, ...]
    """What was trained once and shared as a starting point: a fixed factor, which no interval covers."""
    stale: int
    """Replicates in the journal that the newest study does not plan; ignored."""
    rows: tuple[ResultRow, ...]
    """The baseline first, then in the study's order."""
    contrasts: tuple[ContrastRow, ...]
    """Planned comparisons of two arms, adjusted among themselves."""
    external: tuple[ExternalRow, ...]
    """Externally measured values of this metric."""

    @property
    def baseline(self) -> ResultRow | None:
        """The arm that the others are compared with; None if the study has none."""
        return next((row for row in self.rows if row.role == "baseline"), None)
