"""RULER's words are drawn as from a sorted list of six million, which is never made."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.errors import DataError
from trainables.tasks.ruler import word_lists
from trainables.tasks.ruler.word_lists import Pairs


@given(
    first=st.sets(st.text("ab-", min_size=1, max_size=3), min_size=1, max_size=6),
    second=st.sets(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=5),
)
def test_pairs_are_in_the_order_of_sorting_them(first: set[str], second: set[str]) -> None:
    made = sorted(f"{one}-{other}" for one in first for other in second)
    pairs = Pairs(first, second)
    if len(set(made)) == len(made):
        assert list(pairs) == made
        assert pairs[1:3] == made[1:3]
    with pytest.raises(IndexError):
        pairs[len(made)]


def test_a_choice_of_pairs_is_that_of_the_sorted_list() -> None:
    first, second = {"old", "old-fashioned", "new"}, {"cat", "dog", "emu"}
    made = sorted(f"{one}-{other}" for one in first for other in second)
    assert [Random(7).choice(Pairs(first, second))] == [Random(7).choice(made)]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(word_lists.resources, "files", missing)
    with pytest.raises(DataError, match=r"pip install 'phasesweep\[longcontext\]'"):
        word_lists.word_list("nouns")
