"""What is refused before a text is read is what its task would refuse, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.data.errors import DataError
from trainables.tasks.text.config import LanguageConfig, LinesConfig


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(alphabet="ab é", min_size=15, max_size=60),
    tokenizer=st.sampled_from(["char", "byte"]),
    val_fraction=st.sampled_from([0.3, 0.5, 0.55]),
    test_fraction=st.sampled_from([0.0, 0.25]),
    max_bytes=st.sampled_from([None, 25, 40]),
)
def test_a_text_that_is_just_long_enough_is_not_refused(tmp_path: Path, text: str, **fields: Any) -> None:
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    given_fields = {"corpus": "file:text.txt", **fields}
    task = LanguageConfig.model_validate({**given_fields, "context_length": 1}).build(tmp_path)
    held_out = min(len(task.tokens[split]) for split in task.splits) - 1
    longest = {"context_length": len(task.tokens["train"]) - 1}
    for lengths in (longest, {"context_length": 1, "evaluation_length": held_out}):
        config = LanguageConfig.model_validate({**given_fields, **lengths})
        config.check_files(tmp_path)
        config.build(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_bytes": 100, "context_length": 90}, r"the train split has at most 90 tokens and needs 91"),
        ({"max_bytes": 100, "context_length": 60, "evaluation_length": 70}, r"the val split has at most 11 tokens"),
        ({"corpus": "file:short.txt", "context_length": 40}, r"the train split has at most 36 tokens and needs 41"),
        (
            {"corpus": "file:short.txt", "tokenizer": "byte", "context_length": 40},
            r"the train split has at most 40",
        ),
        ({"corpus": "hub:./folder", "max_bytes": 30, "context_length": 30}, r"the train split has at most 30"),
    ],
)
def test_a_text_that_cannot_be_long_enough_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_bytes(b"\xff" * 40)  # nobody could read it
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.parquet").touch()
    with pytest.raises(DataError, match=message):
        LanguageConfig.model_validate(fields).check_files(tmp_path)


def test_a_declared_split_is_not_cut(tmp_path: Path) -> None:
    (tmp_path / "enwik8").touch()
    LanguageConfig(corpus="enwik8", max_bytes=100, context_length=99, evaluation_length=None).check_files(tmp_path)


@pytest.mark.parametrize("config_class", [LanguageConfig, LinesConfig])
def test_metrics_are_named_unless_only_the_corpus_knows_its_splits(
    config_class: type[LanguageConfig | LinesConfig],
) -> None:
    named = {spec: config_class(corpus=spec).metric_names for spec in ("stdlib", "wikitext2", "hub:owner/name")}
    assert [sum("test/" in name for name in names or ()) for names in named.values()] == [
        0,
        len(config_class.units),
        0,
    ]
    assert named["hub:owner/name"] is None
