"""An unknown name has one answer, whichever package is asked."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from analysis.suggestions import did_you_mean
from search_spaces.suggestions import nearest

NAMES = st.text("abc_", max_size=6)


@given(NAMES, st.lists(NAMES, max_size=6))
@example("ab", ["ax", "ay", "az", "aw"])
@example("xyz", ["b", "a"])
@example("ab", [])
def test_both_packages_answer_equally(name: str, known: list[str]) -> None:
    assert did_you_mean(name, known) == nearest(name, known)


def test_equally_near_names_are_all_named() -> None:
    assert did_you_mean("ab", ["ay", "ax"]) == "did you mean 'ax' or 'ay'?"
    assert did_you_mean("seds", ["seeds", "scales"]) == "did you mean 'seeds'?"
    assert did_you_mean("xyz", ["b", "a"]) == "known: a, b"
