"""Records of documents: the four published ones have every error that is known of them, and no other."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from analysis.reported.record import RULES, RecordError, library, read_record

KNOWN = {
    ("phasegpt_quick_reference.txt", 81, "selected", "the best of 7"),
    ("phasegpt_quick_reference.txt", 88, "beyond_chance", "R = 0.88"),
    ("phasegpt_quick_reference.txt", 88, "beyond_chance", "R = 0.30"),
    ("pi_spiral_experiments.txt", 40, "total", "34 to 56"),
    ("pi_spiral_experiments.txt", 450, "flat_spectrum", "a pure tone"),
    ("pi_spiral_experiments.txt", 799, "cosine_of_rotation", "-0.835"),
    ("pi_spiral_experiments.txt", 800, "cosine_of_rotation", "0.973"),
    ("resonant_usage.txt", 282, "convex", "1.15; a constant is multiplied by 2"),
    ("resonant_usage.txt", 966, "parts", "0.105 is also 1.68/16"),
    ("resonant_usage.txt", 967, "count", "37/200 is 0.185"),
    ("resonant_usage.txt", 978, "relative_change", "35.41 %"),
    ("resonant_usage.txt", 1028, "sample_deviation", "0.816"),
    ("resonant_usage.txt", 1036, "mean_in_range", "at least 1662.83"),
    ("resonant_usage.txt", 1037, "deviation_in_range", "not 120"),
    ("tpi_decoupling_notes.txt", 15, "named_corpus", "not named"),
    ("tpi_decoupling_notes.txt", 102, "superlative", "beside 2.13, 2.09"),
}
"""Document, line, rule, and what is said, as found by hand."""

RECORD = """
document: paper.pdf
numbers:
  rate: {value: "0.186", line: 7}
  before: {value: "2488", line: 3}
  hours: {value: "8-12"}
checks:
"""


def test_the_four_documents_have_exactly_the_known_errors() -> None:
    found = {finding for one in library() for finding in one.findings}
    assert len(found) == len(KNOWN)
    for document, line, rule, said in KNOWN:
        (one,) = (f for f in found if (f.document, f.line, f.rule) == (document, line, rule) and said in f.text)
        assert one.text


def test_the_documents_say_more_than_is_wrong_with_them() -> None:
    """So that silence about the rest is a result: 4 · 36 = 144 > 94.5, 4.97 to 4.85 is 2.4 %, and others."""
    assert [one.num_checks - len(one.findings) for one in library()] == [4, 0, 3, 2]
    assert {one.family for one in library()} == {"kuramoto", "pi_spiral", "resonant", "tpi"}


def test_every_rule_has_a_meaning_and_keys() -> None:
    for rule in RULES.values():
        assert inspect.getdoc(rule)
        assert inspect.signature(rule).parameters


def written(folder: Path, checks: str) -> Path:
    path = folder / "paper.yaml"
    path.write_text(RECORD + checks, encoding="utf-8")
    return path


def test_a_record_of_ones_own_is_checked(tmp_path: Path) -> None:
    found = read_record(written(tmp_path, "- {rule: count, rate: rate, items: 200, hits: 37}\n"))
    assert (found.document, found.num_checks, found.family) == ("paper.pdf", 1, None)
    assert [(one.line, one.rule) for one in found.findings] == [(7, "count")]
    assert not read_record(written(tmp_path, "- {rule: count, rate: rate, items: 43, hits: 8}\n")).findings


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ("- {rule: cuont, rate: rate, items: 200}\n", "check 1: rule: unknown 'cuont'; did you mean 'count'?"),
        ("- {rule: count, rate: rat, items: 200}\n", "rate: no number 'rat' in the record; did you mean 'rate'?"),
        ("- {rule: count, rate: rate}\n", "check 1 (count): items: missing"),
        ("- {rule: count, rate: rate, items: 200, hit: 3}\n", "hit: unknown key; did you mean 'hits'?"),
        ("- {rule: count, rate: rate, items: many}\n", "items: must be int, got 'many'"),
        ("- {rule: count, rate: hours, items: 200}\n", "'hours' is a range, 8-12; one number is needed"),
        (
            "- {rule: superlative, best: rate, others: [before], better: more}\n",
            "must be lower, higher, got 'more'",
        ),
        ("- {rule: flat_spectrum, constant: tau, positions: 8}\n", "unknown 'tau'; known: pi"),
        ("- count\n", "check 1: rule: unknown None"),
    ],
)
def test_a_mistake_names_file_key_value_and_cure(tmp_path: Path, checks: str, message: str) -> None:
    path = written(tmp_path, checks)
    with pytest.raises(RecordError) as told:
        read_record(path)
    assert str(told.value).startswith(str(path))
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must be a mapping with keys document"),
        ("numbrs: {}", "numbrs: unknown key; did you mean 'numbers'?"),
        ("numbers: {rate: {value: 0.186}}", 'must be text, so that its digits count: write "0.186"'),
        ('numbers: {rate: {value: "x"}}', "numbers: rate: value: 'x' is no number or range"),
        ("numbers: [1]", "numbers: must map names to numbers"),
        ("a: [", "no YAML"),
        ("checks: {}", "checks: must be a list"),
    ],
)
def test_a_file_that_is_no_record_says_why(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError) as told:
        read_record(path)
    assert message in str(told.value)
