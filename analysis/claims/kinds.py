"""The kinds of test a claim can have, and the fields that each kind reads."""

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


@dataclass(frozen=True)
class KindSpec:
    """What one kind of test asks for, and the fields it reads."""

    meaning: str
    needs: tuple[str, ...]
    allows: tuple[str, ...] = ()


_COMPARED = ("controls", "direction", "statistic")

KINDS: dict[Kind, KindSpec] = {
    "superiority": KindSpec(
        "`arm` is better than `against` by more than `margin` (0 unless given)",
        ("metric", "arm", "against"),
        (*_COMPARED, "margin", "margin_unit"),
    ),
    "non_inferiority": KindSpec(
        "`arm` is worse than `against` by less than `margin`",
        ("metric", "arm", "against", "margin", "margin_unit"),
        _COMPARED,
    ),
    "equivalence": KindSpec(
        "`arm` and `against` differ by less than `margin` either way",
        ("metric", "arm", "against", "margin", "margin_unit"),
        ("controls", "statistic"),
    ),
    "threshold": KindSpec(
        "the metric of `arm` lies on the `direction` side of `bound`",
        ("metric", "arm", "bound", "direction"),
        ("controls", "statistic"),
    ),
    "interval": KindSpec(
        "the metric of `arm` lies within `bounds`", ("metric", "arm", "bounds"), ("controls", "statistic")
    ),
    "pairwise": KindSpec(
        "`arm` is better than each of `against`, Holm-adjusted",
        ("metric", "arm", "against"),
        (*_COMPARED, "margin", "margin_unit"),
    ),
    "trend": KindSpec(
        "the metric rises (`direction: higher`) or falls along `over`",
        ("metric", "arms", "over", "direction"),
        ("statistic",),
    ),
    "flatness": KindSpec(
        "the slope of the metric along `over`, log against log, lies within ± `margin`",
        ("metric", "arms", "over", "margin"),
        ("statistic",),
    ),
    "response_curve": KindSpec(
        "the metric along `over`; its best value lies where `over` is within `bounds`, if given",
        ("metric", "arms", "over"),
        ("bounds", "statistic"),
    ),
    "association": KindSpec(
        "over configurations the metric rises with `over` (`direction: higher`) or falls, by rank correlation",
        ("metric", "arms", "over", "direction"),
        ("statistic",),
    ),
    "factorial": KindSpec(
        "the main effect of one field, or the interaction of two, named by `effect`",
        ("metric", "arms", "effect"),
        ("direction", "margin", "margin_unit", "statistic"),
    ),
    "failure_rate": KindSpec(
        "the share of replicates of `arm` that fail lies on the `direction` side of `bound`",
        ("arm", "bound", "direction"),
        ("controls",),
    ),
    "receipt": KindSpec(
        "a quantity of the memory receipt lies on the `direction` side of `bound`",
        ("metric", "bound", "direction"),
    ),
}
