"""A study that is wrong in one place is refused in words, at once: never a traceback, never silence.

`tests.golden.mutations` knows thousands of such places; the tests take every 37th, always the same.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import pytest

from tests.golden.mistake import Mistake, answer
from tests.golden.mutations import STUDY, mutations

SECONDS = 2
"""Of the processor, for a refusal."""


def written(text: str) -> Mistake:
    def prepare(folder: Path) -> None:
        (folder / "tiny.yaml").write_text(text, encoding="utf-8")

    return Mistake(prepare=prepare)


def test_the_study_itself_is_right(tmp_path: Path) -> None:
    found = answer(written(STUDY), tmp_path)
    assert (found.exit_code, found.err) == (0, "")


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=ascii(name)) for name, text in islice(mutations(), 0, None, 37)]
)
def test_a_study_that_is_wrong_in_one_place(text: str, tmp_path: Path) -> None:
    began = time.process_time()
    found = answer(written(text), tmp_path)
    assert found.exit_code in {0, 2}, found.err
    assert "Traceback" not in found.err
    if found.exit_code == 2:
        assert found.out == ""
        assert found.err.startswith("phasesweep: tiny.yaml:"), found.err
        assert time.process_time() - began < SECONDS
