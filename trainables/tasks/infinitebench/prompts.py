"""The published prompts of InfiniteBench, in the form for models that continue a text.

Source:
    github.com/OpenBMB/InfiniteBench, data/construct_synthetic_dataset.py and src/prompt.py (MIT).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from trainables.tasks.infinitebench.config import DrawnName, FileName
from trainables.tasks.infinitebench.scorers import (
    Scorer,
    best_f1,
    choice,
    debugged,
    first_value,
    is_a_word,
    is_a_word_in_capitals,
    last_word_is_number,
)

NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n"
_HIDDEN = (
    "There is an important info hidden inside a lot of irrelevant text. Find it{memorize}. I will quiz you about "
)
_HIDDEN += "the important information there.\n\n"


class Drawn(NamedTuple):
    """A task whose items are drawn."""

    prompt: str
    needle: str
    question: str
    num_generated: int
    digits: int


DRAWN_TASKS: Mapping[DrawnName, Drawn] = {
    "passkey": Drawn(
        _HIDDEN.format(memorize=" and memorize them"),
        "The pass key is {key}. Remember it. {key} is the pass key.\n",
        "\n\nWhat is the pass key?\n\nThe pass key is",
        6,
        5,
    ),
    "number_string": Drawn(
        _HIDDEN.format(memorize=""),
        "The sequence of digits is {key}. Remember it. {key} is the sequence of digits.\n",
        "\n\nWhat is the sequence of digits?\n\nThe sequence of digits is",
        12,
        10,
    ),
}


def draw_key(task: DrawnName, generator: torch.Generator) -> str:
    """Draw five random digits; in a number string, five of what is there are then doubled, one after another."""
    digits = torch.randint(10, (5,), generator=generator).tolist()
    for _ in range(DRAWN_TASKS[task].digits - len(digits)):
        place = int(torch.randint(len(digits), (), generator=generator))
        digits.insert(place, digits[place])
    return "".join(map(str, digits))


def drawn_prompt(task: DrawnName, key: str, num_lines: int, before: int) -> str:
    """Return a prompt with the needle after the first `before` of `num_lines` lines of noise."""
    form = DRAWN_TASKS[task]
    needle = form.needle.replace("{key}", key)
    context = NOISE * before + needle + NOISE * (num_lines - before)
    return form.prompt + context + form.question


class FromFile(NamedTuple):
    """A task whose items are read."""

    template: str
    num_generated: int
    score: Scorer
    has_options: bool = False


_OPTIONS = "A. {A}\nB. {B}\nC. {C}\nD. {D}"
FILE_TASKS: Mapping[FileName, FromFile] = {
    "kv_retrieval": FromFile(
        "Extract the value corresponding to the specified key in the JSON object below.\n\n{context}\n\n{input}",
        50,
        is_a_word,
    ),
    "math_find": FromFile("{prefix}\n\n{context}\n\n{input}", 3, first_value),
    "code_run": FromFile(
        "There is a function called {func} in the following Python code.\n\n{context}\n\nPlease compute the exact "
        "value of {func_call}. The value of {func_call} is",
        5,
        last_word_is_number,
    ),
    "code_debug": FromFile(
        "Following is a Python code where exactly one of the functions/methods has a deliberate error that makes "
        f"it crash.\n\n{{context}}\n\nOptions:\n{_OPTIONS}\n\nThe correct option is:",
        5,
        debugged,
        has_options=True,
    ),
    "longdialogue_qa_eng": FromFile(
        'Below is a dialogue script where one random occurrence of a character name is replaced with "$$MASK$$", '
        "and you should try to guess who that character is.\n\n{context}\n\nThe name that has been replaced with "
        "$$MASK$$ is likely",
        40,
        is_a_word_in_capitals,
    ),
    "longbook_choice_eng": FromFile(
        f"Read the book and answer the question.\n\n{{context}}\n\nQuestion: {{input}}\n{_OPTIONS}\n\nThe letter "
        "of the correct answer is",
        40,
        choice,
        has_options=True,
    ),
    "longbook_qa_eng": FromFile(
        "Read the book and answer the question. Be very concise in your answer.\n\n{context}\n\nQuestion: {input}\n"
        "Answer:",
        40,
        best_f1,
    ),
}


def file_prompt(task: FileName, line: Mapping[str, Any]) -> str:
    """Return the prompt of an item of a file.

    Raises:
        KeyError: If the item lacks a field.
        ValueError: If a field does not hold what the prompt needs.
    """
    form = FILE_TASKS[task]
    fields = {"context": line["context"], "input": line["input"]}
    if form.has_options:
        fields |= dict(zip("ABCD", line["options"], strict=True))
    if task == "code_run":
        call = _found(r"func_[0-9]+\(-?[0-9]+\)", line["input"])
        fields |= {"func_call": call, "func": call.partition("(")[0]}
    if task == "math_find":
        wanted = _found(r"The \w+ number", line["input"]).lower()
        fields["prefix"] = f"What is {wanted} in the following list?"
    return form.template.format(**fields)


def file_answers(task: FileName, line: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the right answers of an item of a file; of a choice, the option and its letter.

    Raises:
        KeyError: If the item lacks a field.
        ValueError: If the answer is not one of the options.
    """
    given = line["answer"]
    answers = tuple(map(str, given)) if isinstance(given, list) else (str(given),)
    if FILE_TASKS[task].has_options and len(answers) == 1:
        return answers[0], "ABCD"[list(line["options"]).index(answers[0])]
    return answers


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"input={text!r} holds nothing of the form {pattern}")
    return match[0]
