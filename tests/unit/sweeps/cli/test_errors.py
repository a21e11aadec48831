"""What a user who mistypes a name is offered."""

from __future__ import annotations

import pytest

from sweeps.errors import first_few, nearest

STUDIES = ["kuramoto_corrected", "kuramoto_phase_a", "kuramoto_phase_a_corrected", "kuramoto_phase_b", "quickstart"]


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("quickstrt", STUDIES, "did you mean 'quickstart'?"),
        ("kuramoto_phas", STUDIES, "did you mean 'kuramoto_phase_a' or 'kuramoto_phase_b'?"),
        ("kuramoto_phase_a", STUDIES[2:], "did you mean 'kuramoto_phase_b'?"),
        ("arm_", ["arm_d", "arm_b", "arm_a", "arm_c", "armada"], "did you mean 'arm_a', 'arm_b' or 'arm_c'?"),
        ("xyz", ["transformer", "kuramoto"], "known: kuramoto, transformer"),
        ("xyz", [], "known: "),
    ],
)
def test_all_names_that_are_equally_near_are_suggested(name: str, known: list[str], says: str) -> None:
    assert nearest(name, known) == says


def test_a_long_list_of_names_is_counted_from_the_fifth_on() -> None:
    assert first_few(list("abcd")) == "a, b, c, d"
    assert first_few(list("abcdef")) == "a, b, c, d, 2 more"
    assert first_few("ab", most=1) == "a, 1 more"
