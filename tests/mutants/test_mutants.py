"""The planted defects can still be planted, and only a failure of the named test counts as catching one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import COLLECTED
from tests.mutants.__main__ import main
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, StaleMutantError
from tests.mutants.runner import ROOT, PytestRun, judge

SAMPLE = Mutant(
    name="sample",
    meaning="a sum that is a difference",
    file="sums.py",
    old="a + b",
    new="a - b",
    caught_by="tests/test_sums.py::test_sum",
)


def test_each_can_be_planted_and_its_test_exists() -> None:
    functions = {file: functions_of(file) for file in {mutant.test_file for mutant in MUTANTS}}
    for mutant in MUTANTS:
        ast.parse(mutant.planted(ROOT), filename=mutant.name)
        assert mutant.test_function in functions[mutant.test_file], mutant.name


def functions_of(file: str) -> set[str]:
    """Return the names of the functions at the top of a file of tests."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_make_test_notices_every_mutant_that_does_not_say_otherwise(request: pytest.FixtureRequest) -> None:
    collected = request.config.stash[COLLECTED]
    if not {mutant.test_file for mutant in MUTANTS} <= {node_id.partition("::")[0] for node_id in collected}:
        pytest.skip("needs all tests collected")
    quick = [node_id for node_id, is_quick in collected.items() if is_quick]
    noticed = {mutant.name for mutant in MUTANTS if any(mutant.catches(node_id) for node_id in quick)}
    assert noticed == {mutant.name for mutant in MUTANTS if not mutant.is_slow}


def test_names_and_changes_are_distinct() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
    assert all(mutant.old != mutant.new for mutant in MUTANTS)


@pytest.mark.parametrize("text", ["a - b", "a + b; a + b"])
def test_a_text_that_is_not_there_once_is_stale(text: str, tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(text, encoding="utf-8")
    with pytest.raises(StaleMutantError, match=r"sample: sums\.py holds its text"):
        SAMPLE.planted(tmp_path)


NAMED, CASE, OTHER = SAMPLE.caught_by, f"{SAMPLE.caught_by}[2-3]", "tests/test_sums.py::test_sum_of_none"


@pytest.mark.parametrize(
    ("exit_code", "failures", "num_passed", "remark"),
    [
        (1, {NAMED: "AssertionError"}, 0, NAMED),
        (1, {CASE: "ValueError"}, 2, CASE),
        (0, {}, 3, f"SURVIVED {NAMED}"),
        (0, {}, 0, "pytest ended with 0 and no failure"),
        (1, {OTHER: "AssertionError"}, 0, "pytest ended with 1 and no failure"),
        (1, {NAMED: "SyntaxError"}, 0, "malformed: SyntaxError"),
        (1, {}, 0, "pytest ended with 1 and no failure"),  # such as an error while a fixture was set up
        (4, {}, 0, "pytest ended with 4 and no failure"),
        (None, {}, 0, "no answer"),
    ],
)
def test_only_a_failure_inside_the_named_test_catches(
    exit_code: int | None, failures: dict[str, str], num_passed: int, remark: str
) -> None:
    found = judge(SAMPLE, PytestRun(exit_code, failures, num_passed, 1.0, "said this"))
    assert found.is_caught is (remark in {NAMED, CASE})
    assert found.remark.startswith(remark)


def test_an_unknown_name_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "no_such_mutant"])
    assert ended.value.code == 2
    assert "no mutant no_such_mutant; see --list" in capsys.readouterr().err
