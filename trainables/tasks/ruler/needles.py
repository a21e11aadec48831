"""RULER's needles: a number, word or uuid under a key, in noise or among sentences of the same form."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Literal

from trainables.tasks.ruler.samples import SHORT, BisectedGenerator, Sample
from trainables.tasks.ruler.word_lists import names

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."

Kind = Literal["numbers", "words", "uuids"]

_INPUT = (
    "A special magic {kind} is hidden within the following text. Make sure to memorize it. I will quiz you about "
    "the {kind} afterwards.\n{context}\nWhat is the special magic {kind} for {key} mentioned in the provided text?"
)
_PREFIX = " The special magic {kind} for {key} mentioned in the provided text is"


class Needles(BisectedGenerator):
    """One needle.

    Args:
        length: See `BisectedGenerator`.
        seed: See `BisectedGenerator`.
        count: See `BisectedGenerator`.
        among: `noise`, or `needles` with other keys and values.
        keys: What a key is.
        values: What a value is.
    """

    tokens_to_generate = 128

    def __init__(
        self,
        length: int,
        seed: int,
        count: Callable[[str], int],
        *,
        among: Literal["noise", "needles"],
        keys: Kind,
        values: Kind,
    ) -> None:
        super().__init__(length, seed, count)
        self.among, self.keys, self.values = among, keys, values

    @property
    def step(self) -> int:
        """Five sentences in a short context, else 25."""
        return 5 if self.length < SHORT else 25

    def largest_guess(self) -> int:
        """Return three times as many sentences as should fit."""
        per_sentence = self.count(self.sample(self.step).prompt) / self.step
        return int(self.length / per_sentence * 3)

    def sample(self, size: int) -> Sample:
        """Draw a needle and put it among `size` sentences."""
        key, value = self._name(self.keys), self._name(self.values)
        if self.among == "noise":
            sentences = [NOISE] * size
        else:
            sentences = [self._needle(self._name(self.keys), self._name(self.values)) for _ in range(size)]
        sentences.insert(self.random.sample(range(size), 1)[0], self._needle(key, value))
        self.random.sample(range(1), 1)  # which of the keys is asked for
        kind = self.values[:-1]
        text = _INPUT.format(kind=kind, key=key, context="\n".join(sentences))
        return Sample(text, _PREFIX.format(kind=kind, key=key), (value,))

    def _needle(self, key: str, value: str) -> str:
        return f"One of the special magic {self.values} for {key} is: {value}."

    def _name(self, kind: Kind) -> str:
        if kind == "numbers":
            return str(self.random.randint(10**6, 10**7 - 1))
        if kind == "words":
            return self.random.choice(names())
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))
