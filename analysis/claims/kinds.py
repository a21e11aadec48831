"""The kinds of test a claim can have, the fields that each kind reads, and the level of each: the only place of it.

A claim has one family of tests. It is supported if all of its comparisons hold, each at the kind's level: that is
an intersection-union test, which needs no correction. It is refuted if one comparator is shown to win, by Holm over
all of them: that is a union. Its effect, the margin or the published size, is one test more, at the same level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "superiority",
    "non_inferiority",
    "equivalence",
    "threshold",
    "interval",
    "pairwise",
    "trend",
    "flatness",
    "response_curve",
    "association",
    "factorial",
    "failure_rate",
    "receipt",
]
Fidelity = Literal["as_published", "corrected", "any"]
Statistic = Literal["last", "best", "last_over_best"]
Direction = Literal["lower", "higher"]
MarginUnit = Literal["absolute", "relative"]


ONE_SIDED = 0.025
"""Level of one-sided tests that show a difference: that of the 95 % interval's one side."""

EQUAL = 0.05
"""Level of each one-sided test against a margin, in non-inferiority and equivalence: that of the 90 % interval."""


@dataclass(frozen=True)
class KindSpec:
    """What one kind of test asks for, the fields it reads, and its level."""

    meaning: str
    needs: tuple[str, ...]
    allows: tuple[str, ...] = ()
    level: float = ONE_SIDED
    """One-sided. The interval that is shown has coverage 1 − 2 · level."""

    @property
    def confidence(self) -> float:
        """Coverage of the interval that the kind is judged by."""
        return 1 - 2 * self.level


_COMPARED = ("controls", "direction", "statistic")
_MARGIN = ("margin", "margin_unit")

KINDS: dict[Kind, KindSpec] = {
    "superiority": KindSpec(
        "`arm` is better than `against`, and than each control, by more than `margin` (0 unless given)",
        ("metric", "arm", "against"),
        (*_COMPARED, *_MARGIN, "published_effect"),
    ),
    "non_inferiority": KindSpec(
        "`arm` is worse than `against`, and than each control, by less than `margin`",
        ("metric", "arm", "against", *_MARGIN),
        _COMPARED,
        EQUAL,
    ),
    "equivalence": KindSpec(
        "`arm` and `against` differ by less than `margin` either way; no control does",
        ("metric", "arm", "against", *_MARGIN),
        ("controls", "statistic"),
        EQUAL,
    ),
    "threshold": KindSpec(
        "the metric of `arm` lies on the `direction` side of `bound`; that of no control does",
        ("metric", "arm", "bound", "direction"),
        ("controls", "statistic"),
    ),
    "interval": KindSpec(
        "the metric of `arm` lies within `bounds`; that of no control does",
        ("metric", "arm", "bounds"),
        ("controls", "statistic"),
    ),
    "pairwise": KindSpec(
        "`arm` is better than each of `against` and of the controls by more than `margin` (0 unless given)",
        ("metric", "arm", "against"),
        (*_COMPARED, *_MARGIN, "published_effect"),
    ),
    "trend": KindSpec(
        "the metric rises (`direction: higher`) or falls along `over`, by one slope a seed; along no control",
        ("metric", "arms", "over", "direction"),
        ("controls", "statistic"),
    ),
    "flatness": KindSpec(
        "the slope of the metric along `over`, log against log, lies within ± `margin`; no control does",
        ("metric", "arms", "over", "margin"),
        ("controls", "statistic"),
        EQUAL,
    ),
    "response_curve": KindSpec(
        "every arm that is not worse than the best has `over` within `bounds`; not so of the controls",
        ("metric", "arms", "over"),
        ("controls", "bounds", "direction", "statistic"),
    ),
    "association": KindSpec(
        "over configurations the metric rises with `over` (`direction: higher`) or falls, by one rank correlation "
        "a seed; not over the controls",
        ("metric", "arms", "over", "direction"),
        ("controls", "statistic"),
    ),
    "factorial": KindSpec(
        "the main effect of one field, or the interaction of two, named by `effect`; not among the controls",
        ("metric", "arms", "effect"),
        ("controls", "direction", "margin", "margin_unit", "statistic"),
    ),
    "failure_rate": KindSpec(
        "the share of replicates of `arm` that diverge lies on the `direction` side of `bound`; for no control",
        ("arm", "bound", "direction"),
        ("controls",),
    ),
    "receipt": KindSpec(
        "a quantity of the memory receipt lies on the `direction` side of `bound`",
        ("metric", "bound", "direction"),
    ),
}
