"""Settings that change while a candidate trains."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.records.schedules import CHANGES, schedule_of

POINT: dict[str, Any] = {
    "optimizer.learning_rate": 0.1,
    "optimizer.weight_decay": 0.01,
    "architecture.coupling": 2.0,
    CHANGES: ({"from_step": 5, "learning_rate": 0.2}, {"from_step": 9, "learning_rate": 0.3, "weight_decay": 0.02}),
}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("optimizer.learning_rate", [(0, 0.1), (5, 0.2), (9, 0.3)]),
        ("optimizer.weight_decay", [(0, 0.01), (9, 0.02)]),
        ("architecture.coupling", [(0, 2.0)]),
        ("architecture.sign", []),
    ],
)
def test_each_value_has_the_step_from_which_it_holds(field: str, values: list[tuple[int, Any]]) -> None:
    assert schedule_of(POINT, field) == values
