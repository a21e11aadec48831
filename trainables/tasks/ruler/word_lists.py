"""The English words that RULER draws from: lists of the package wonderwords."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources
from itertools import accumulate
from typing import Literal, overload

from trainables.data.errors import DataError

_FILES = {"nouns": "nounlist.txt", "adjectives": "adjectivelist.txt", "verbs": "verblist.txt"}


def word_list(kind: Literal["nouns", "adjectives", "verbs"]) -> list[str]:
    """Return the words of a kind, in the list's order.

    Raises:
        DataError: If the package is not installed.
    """
    try:
        folder = resources.files("wonderwords.assets")
    except ModuleNotFoundError:
        raise DataError(
            "RULER's words are those of the package wonderwords, which is not installed: pip install "
            "'phasesweep[longcontext]', or choose among the tasks that need none: niah_multikey_3, vt, fwe"
        ) from None
    return [word.rstrip() for word in (folder / _FILES[kind]).read_text(encoding="utf-8").splitlines()]


class Pairs(Sequence[str]):
    """Every first word joined to every second one by a hyphen, in the order of `sorted`, without making them all.

    RULER draws from six million pairs, which take a minute to sort. Pairs with one first word are neighbours in
    that order, unless it begins another one: then all pairs of both are sorted together.

    Args:
        first: First words.
        second: Second words. No two pairs may be equal.
    """

    def __init__(self, first: Iterable[str], second: Iterable[str]) -> None:
        self._second = sorted(set(second))
        self._groups: list[list[str]] = []
        for word in sorted({f"{word}-" for word in first}):
            if self._groups and word.startswith(self._groups[-1][0]):
                self._groups[-1].append(word)
            else:
                self._groups.append([word])
        self._ends = list(accumulate(len(group) * len(self._second) for group in self._groups))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """Return one of the sorted pairs, or several."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        number = bisect_right(self._ends, place)
        group, within = self._groups[number], place - (self._ends[number - 1] if number else 0)
        if len(group) == 1:
            return group[0] + self._second[within]
        return sorted(word + second for word in group for second in self._second)[within]


@lru_cache(maxsize=1)
def names() -> Pairs:
    """Return the names of RULER's keys: an adjective and a noun."""
    return Pairs(word_list("adjectives"), word_list("nouns"))
