"""RULER's tasks by name, and what draws their samples; read without PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from trainables.tasks.ruler.codes import FrequentCodes
from trainables.tasks.ruler.needles import Needles
from trainables.tasks.ruler.samples import Generator
from trainables.tasks.ruler.variables import Variables
from trainables.tasks.ruler.words import CommonWords

TaskName = Literal["niah_single_1", "niah_multikey_2", "niah_multikey_3", "vt", "cwe", "fwe"]

GENERATORS: dict[TaskName, Callable[[int, int, Callable[[str], int]], Generator]] = {
    "niah_single_1": partial(Needles, among="noise", keys="words", values="numbers"),
    "niah_multikey_2": partial(Needles, among="needles", keys="words", values="numbers"),
    "niah_multikey_3": partial(Needles, among="needles", keys="uuids", values="uuids"),
    "vt": Variables,
    "cwe": CommonWords,
    "fwe": FrequentCodes,
}
"""Each is made of a length in tokens, the published seed, and a function that counts a text's tokens."""
