"""The task infinitebench: its construction is the published one, and so are its scorers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from trainables.data.errors import DataError
from trainables.tasks.infinitebench import InfiniteBenchConfig, scorers
from trainables.tasks.infinitebench.config import DrawnName
from trainables.tasks.infinitebench.prompts import (
    FILE_TASKS,
    NOISE,
    draw_key,
    drawn_prompt,
    file_answers,
    file_prompt,
)
from trainables.tasks.infinitebench.task import InfiniteBenchTask
from trainables.tasks.retrieval.items import decoded

SMALL: dict[str, Any] = {"lengths": [700], "context_length": 512, "num_positions": 3}


def bench(**fields: Any) -> InfiniteBenchTask:
    return InfiniteBenchConfig.model_validate({**SMALL, **fields}).build(None)


def test_a_prompt_is_the_published_one() -> None:
    """data/construct_synthetic_dataset.py and the template for models that continue a text."""
    assert drawn_prompt("passkey", "01234", 2, 1) == (
        "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will quiz "
        "you about the important information there.\n\n"
        "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n"
        "The pass key is 01234. Remember it. 01234 is the pass key.\n"
        "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n"
        "\n\nWhat is the pass key?\n\nThe pass key is"
    )
    assert "Find it. I will" in drawn_prompt("number_string", "0", 1, 0)


def test_needles_are_evenly_spaced_as_published() -> None:
    """With 5,220 lines and 59 places these are every 90 lines."""
    assert [round(5220 * place / 58) for place in range(59)] == list(range(0, 5221, 90))
    task = bench(tasks=["passkey"], num_positions=4, lengths=[1200])
    lines = [decoded(task.tokenizer, item.prompt_T).count(NOISE) for item in task.items["val"]]
    before = [
        decoded(task.tokenizer, item.prompt_T).partition("The pass key is")[0].count(NOISE)
        for item in task.items["val"]
    ]
    assert before == [round(lines[0] * place / 3) for place in range(4)]
    assert [item.labels["realised_depth"] for item in task.items["val"]] == [n / lines[0] for n in before]


def test_lengths_are_filled() -> None:
    task = bench(lengths=[700, 900])
    for item in task.items["val"]:
        total = len(item.prompt_T) + item.num_generated
        assert item.labels["length"] - len(NOISE) < total <= item.labels["length"]


@pytest.mark.parametrize(("task", "digits"), [("passkey", 5), ("number_string", 10)])
def test_keys_are_random_digits_and_strings_have_doubled_ones(task: DrawnName, digits: int) -> None:
    generator = torch.Generator().manual_seed(0)
    keys = [draw_key(task, generator) for _ in range(200)]
    assert len(set(keys)) > 190 and {len(key) for key in keys} == {digits}
    doubled = [len(re.findall(r"(?=(\d)\1)", key)) for key in keys]
    assert min(doubled) >= digits - 5


@pytest.mark.parametrize(
    ("scorer", "text", "answers", "expected"),
    [
        (scorers.first_number, " 12345. And 6", ("12345",), 1),
        (scorers.first_number, "no 123456", ("12345",), 0),
        (scorers.first_number, "1 12345", ("12345",), 0),
        (scorers.first_number, "none", ("12345",), 0),
        (scorers.is_a_word, 'it is "ab-cd".', ("ab-cd",), 1),
        (scorers.is_a_word, "it is ab-cde", ("ab-cd",), 0),
        (scorers.is_a_word_in_capitals, "ron, I think", ("RON",), 1),
        (scorers.first_value, "about 17 or 18", ("17",), 1),
        (scorers.first_value, "17.5", ("17",), 0),
        (scorers.first_value, "17.50", ("17.5",), 1),
        (scorers.first_value, "none", ("17",), 0),
        (scorers.last_word_is_number, "It returns -3.", ("-3",), 1),
        (scorers.last_word_is_number, "-3 it is", ("-3",), 0),
        (scorers.last_word_is_number, "", ("-3",), 0),
        (scorers.best_f1, "The cat sat", ("a dog", "cat sat"), 1),
        (scorers.choice, "B. it", ("it", "B"), 1),
        (scorers.choice, "A", ("it", "B"), 0),
        (scorers.choice, "I say the answer is B", ("it", "B"), 1),
        (scorers.choice, "well B or C", ("it", "C"), 0),
        (scorers.choice, "", ("it", "C"), 0),
        (scorers.debugged, "C: because", ("f", "C"), 1),
        (scorers.debugged, "The answer is: C", ("f", "C"), 1),
        (scorers.debugged, "The error is: f", ("f", "C"), 1),
        (scorers.debugged, "f", ("f", "C"), 0),
    ],
)
def test_scorers_say_what_the_published_ones_say(
    scorer: scorers.Scorer, text: str, answers: tuple[str, ...], expected: float
) -> None:
    assert scorer(text, answers) == expected


def test_files_become_prompts() -> None:
    line = {
        "context": "{some} text",
        "input": "The largest number? call func_1(-3)",
        "answer": "two",
        "options": ["one", "two", "three", "four"],
    }
    assert file_prompt("kv_retrieval", line).endswith(
        "below.\n\n{some} text\n\nThe largest number? call func_1(-3)"
    )
    assert file_prompt("math_find", line).startswith("What is the largest number in the following list?")
    assert "value of func_1(-3) is" in file_prompt("code_run", line)
    assert "B. two\n" in file_prompt("code_debug", line)
    assert file_answers("longbook_choice_eng", line) == ("two", "B")
    assert file_answers("longbook_qa_eng", {**line, "answer": ["a", 2]}) == ("a", "2")
    assert all("{context}" in form.template for form in FILE_TASKS.values())


def write(path: Path, *lines: Any) -> str:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return str(path)


def test_a_file_is_read_and_long_prompts_lose_their_middle(tmp_path: Path) -> None:
    lines = [{"context": "x" * size, "input": "Key? ", "answer": "ab-cd"} for size in (50, 2000, 10)]
    task = bench(tasks=[], files={"kv_retrieval": write(tmp_path / "kv.jsonl", *lines)}, file_items=2)
    short, long = task.items["val"]
    assert decoded(task.tokenizer, short.prompt_T).endswith("x\n\nKey? ")
    text = decoded(task.tokenizer, long.prompt_T)
    assert len(long.prompt_T) + long.num_generated == 700 and long.labels["cut"]
    assert text.startswith("Extract the value") and text.endswith("x\n\nKey? ")
    assert task.config.canonical()["files"] == ["kv_retrieval"]
    other = bench(tasks=[], files={"kv_retrieval": write(tmp_path / "b.jsonl", *lines[:1])})
    assert other.data_hash != task.data_hash


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{half", "line 1: no JSON"),
        ("3\n", "line 1: not an object"),
        ("", "is empty"),
        ('{"context": "a", "input": "b"}\n', "needs the field 'answer'; it has context, input"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "kv.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        bench(files={"kv_retrieval": str(path)})
    with pytest.raises(DataError, match="there is no file"):
        bench(files={"kv_retrieval": str(tmp_path / "none.jsonl")})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tasks": []}, "tasks and files are both empty"),
        ({"tasks": ["passkey", "passkey"]}, "must differ"),
        ({"files": {"longbook_sum_eng": "x"}}, "Input should be"),
        ({"lengths": [900, 800]}, "must ascend"),
    ],
)
def test_mistakes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        InfiniteBenchConfig.model_validate({**SMALL, **fields})


def test_too_short_a_length_is_refused() -> None:
    with pytest.raises(DataError, match="the needle does not fit: lengths=300"):
        bench(lengths=[300])
