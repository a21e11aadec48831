"""The published scorers of InfiniteBench: what of a model's answer counts as right.

Source:
    Zhang et al. (2024), "∞Bench", arXiv:2402.13718; what github.com/OpenBMB/InfiniteBench, src/compute_scores.py,
    does (MIT). Written anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from trainables.tasks.retrieval.records import f1

_MARKS = re.compile(r"[\n:\"'.,?!{}]")
_CODE_MARKS = re.compile(r"[\n.`'\":]")
_DEBUG_MARKS = re.compile(r"[\n`'\"\-*]|[Oo]ption")
_CHOICE_MARKS = re.compile(r"[\n\"'.,?!{}]")
_CHOICES = "ABCD"

Scorer = Callable[[str, Sequence[str]], float]
"""The score of a text, given the answers."""


def first_number(text: str, answers: Sequence[str]) -> float:
    """Return whether the first digits of a text, up to the next other character, are the answer."""
    found = re.search("[0-9]+", text)
    return float(found is not None and found[0] == answers[0])


def is_a_word(text: str, answers: Sequence[str]) -> float:
    """Return whether the answer is a word of a text, punctuation left out."""
    return float(answers[0] in _MARKS.sub(" ", text).split())


def is_a_word_in_capitals(text: str, answers: Sequence[str]) -> float:
    """Return the same with the text in capitals."""
    return is_a_word(text.upper(), answers)


def first_value(text: str, answers: Sequence[str]) -> float:
    """Return whether the first number of a text, decimals included, has the answer's value; of an integer, its
    integer part."""
    found = re.search(r"\d+\.\d+|\d+", text)
    if found is None:
        return 0.0
    if "." in answers[0]:
        return float(float(found[0]) == float(answers[0]))
    return float("." not in found[0] and int(found[0]) == int(answers[0]))


def last_word_is_number(text: str, answers: Sequence[str]) -> float:
    """Return whether the last word of a text is the integer that is the answer."""
    words = _CODE_MARKS.sub(" ", text.strip()).split()
    is_number = bool(words) and re.fullmatch(r"[+-]?\d+", words[-1]) is not None
    return float(is_number and int(words[-1]) == int(answers[0]))


def best_f1(text: str, answers: Sequence[str]) -> float:
    """Return the F1 of the words of a text and the answer that it matches best."""
    return max(f1(text, answer) for answer in answers)


def choice(text: str, answers: Sequence[str]) -> float:
    """Return whether a text begins with the right letter, or names it after the usual words, or first of all.

    Args:
        text: What is generated.
        answers: The right option and its letter.
    """
    if text[:1] and text[0] in _CHOICES:
        return float(text[0] in answers)
    cleaned = " ".join(_CHOICE_MARKS.sub(" ", text).split(" "))
    cleaned = re.sub(" {2,}", " ", cleaned)
    for words in ("answer is:", "answer:", "answer is", "option is"):
        _, found, after = cleaned.partition(words)
        if found:
            return float(any(after[1:].startswith(answer) for answer in answers))
    letters = [word for word in cleaned.split() if word in _CHOICES]
    return float(bool(letters) and letters[0] in answers)


def debugged(text: str, answers: Sequence[str]) -> float:
    """Return whether a text begins with the right letter, or names it or the function after the usual words.

    Args:
        text: What is generated.
        answers: The function and its letter.
    """
    function, letter = answers
    if text[:2] in (f"{letter}.", f"{letter}:"):
        return 1.0
    cleaned = re.sub(" {2,}", " ", _DEBUG_MARKS.sub(" ", text.strip()))
    for words in ("answer is:", "is:", "answer:"):
        _, found, after = cleaned.partition(words)
        if found:
            return float(after[1:].startswith((letter, function)))
    return 0.0
