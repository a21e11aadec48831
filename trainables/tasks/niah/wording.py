"""The words of a prompt with a needle in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ANSWER = "{answer}"
"""Stands for the digits in the text of a needle."""

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Wording:
    """The texts around and in a haystack; `before` and `after` are those of a chat template."""

    instruction: str
    needle: str
    question: str
    answer_prefix: str
    before: str = ""
    after: str = ""

    def check(self) -> None:
        """Refuse texts with which nothing can be found.

        Raises:
            ValueError: If the needle does not hold the answer, or the question does.
        """
        if ANSWER not in self.needle:
            raise ValueError(f"needle={self.needle!r} must contain {ANSWER}, in whose place the digits come")
        for field in ("instruction", "question", "answer_prefix"):
            if ANSWER in getattr(self, field):
                raise ValueError(f"{field} must not contain {ANSWER}: it would give the answer away")
        if not (self.question + self.answer_prefix).strip():
            raise ValueError("question and answer_prefix are both empty, so nothing is asked; set one of them")

    def prompt(self, answer: str, sentences: Sequence[str], place: int) -> str:
        """Return the prompt with the needle after the first `place` of the haystack's sentences."""
        needle = self.needle.replace(ANSWER, answer)
        haystack = " ".join((*sentences[:place], needle, *sentences[place:]))
        return f"{self.head}{haystack}{self.tail}"

    @property
    def head(self) -> str:
        """What stands before the haystack."""
        return self.before + self.instruction

    @property
    def tail(self) -> str:
        """What stands after the haystack."""
        return f"{self.question}{self.after}{self.answer_prefix.lstrip() if self.after else self.answer_prefix}"

    def smallest(self, digits: int, noise: str) -> str:
        """Return the shortest prompt, with its answer."""
        answer = "0" * digits
        shortest = min(sentences_of(noise), key=len, default="")
        return self.prompt(answer, [shortest], 0) + answer_text(answer)


def answer_text(answer: str) -> str:
    """Return an answer as it follows the prompt."""
    return f" {answer}"


def sentences_of(text: str) -> list[str]:
    """Return the sentences of a text, with single spaces in place of white space."""
    return [" ".join(sentence.split()) for sentence in _SENTENCE_END.split(text) if sentence.strip()]
