"""RULER's variable tracking: assignments in noise, as in `VAR B = VAR A`; which variables have a value?"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from trainables.tasks.ruler.needles import NOISE
from trainables.tasks.ruler.samples import SHORT, BisectedGenerator, Sample

HOPS = 4
"""Assignments of a variable to another; one more variable has the value."""
_EXAMPLE_LENGTH = 500
_EXAMPLE_VALUE = "12345"

_INPUT = (
    "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n{context}\nQuestion: "
    "Find all variables that are assigned the value {value} in the text above."
)
_PREFIX = (
    " Answer: According to the chain(s) of variable assignment in the text above, {count} variables are assigned "
    "the value {value}, they are: "
)


class _Chains(BisectedGenerator):
    """A chain of assignments, as in the worked example: short names, and always the same value."""

    tokens_to_generate = 0
    letters: ClassVar[int] = 3
    """Of a variable's name."""

    @property
    def step(self) -> int:
        """Sentences of noise."""
        return 5

    def largest_guess(self) -> int:
        """Return three times as many sentences as should fit."""
        per_sentence = self.count(_Chains.sample(self, self.step).prompt) / self.step
        return int(self.length / per_sentence * 3)

    def sample(self, size: int) -> Sample:
        """Draw a chain and put it, in order, into `size` sentences of noise."""
        names = [self._name() for _ in range(HOPS + 1)]
        while len(set(names)) < HOPS + 1:
            names.append(self._name())
        names = names[: HOPS + 1]
        value = self._value()
        pairs = zip(names[1:], names[:-1], strict=True)
        chain = [f"VAR {names[0]} = {value}", *(f"VAR {name} = VAR {before} " for name, before in pairs)]
        sentences = [NOISE] * size
        for place, (position, link) in enumerate(zip(self._positions(size), chain, strict=True)):
            sentences.insert(position + place, link)
        text = _INPUT.format(context="\n".join(sentences), value=value)
        return Sample(text, _PREFIX.format(count=HOPS + 1, value=value), tuple(names))

    def _positions(self, size: int) -> list[int]:
        return sorted(self.random.sample(range(size), HOPS + 1))

    def _name(self) -> str:
        return "".join(self.random.choices(string.ascii_uppercase, k=self.letters))

    def _value(self) -> str:
        return _EXAMPLE_VALUE


class Variables(_Chains):
    """A chain of assignments, after the worked example, whose names and value change from sample to sample."""

    tokens_to_generate = 30
    letters = 5

    def __init__(self, length: int, seed: int, count: Callable[[str], int]) -> None:
        super().__init__(length, seed, count)
        self._values = np.random.RandomState(seed)
        example = _Chains(_EXAMPLE_LENGTH, seed, count)
        example.random = self.random
        solved = example.draw(example.size())
        self._names = solved.outputs
        self._example = f"{solved.prompt} {' '.join(solved.outputs)}\n"

    def reseed(self, seed: int) -> None:
        """Continue as if drawing began now, with this seed."""
        super().reseed(seed)
        self._values = np.random.RandomState(seed)

    @property
    def step(self) -> int:
        """Sentences of noise."""
        return 5 if self.length < SHORT else 10

    def tokens_of_size(self, size: int) -> int:
        """Draw a sample without the example, and return its tokens and the example's."""
        return self.tokens(super().sample(size)) + self.count(self._example)

    def sample(self, size: int) -> Sample:
        """Draw a chain, and put the example before it."""
        asked, example = super().sample(size), self._example
        for name in self._names:
            example = example.replace(name, "".join(self.random.choices(string.ascii_uppercase, k=len(name))))
        example = example.replace(_EXAMPLE_VALUE, self._value())
        return asked._replace(text=f"{example}\n{asked.text}")

    def answer(self, sample: Sample) -> str:
        """Return the variables' names; the prompt ends with a space."""
        return " ".join(sample.outputs)

    def _value(self) -> str:
        return str(self._values.randint(10000, 99999))
