"""What names a configuration; what is refused before a text is read is what its task would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainables.config.training import BudgetConfig
from trainables.config.trial import TrialConfig, config_id
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


def trial(**task: Any) -> TrialConfig:
    return TrialConfig(
        architecture={"name": "transformer"},  # type: ignore[arg-type]
        task={"name": "language", **task},  # type: ignore[arg-type]
        budget=BudgetConfig(steps=1, batch_size=1, report_every=1),
    )


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"bpe_vocab_size": 300}, {}, True),
        ({"bpe_vocab_size": 300, "tokenizer": "bpe"}, {"tokenizer": "bpe"}, False),
        ({"stride": 64}, {}, True),
        ({"stride": 32}, {}, False),
        ({"corpus": "file:/a/text.txt"}, {"corpus": "file:/b/text.txt"}, True),
        ({"corpus": "wikitext2", "val_fraction": 0.2}, {"corpus": "wikitext2"}, True),
        ({"val_fraction": 0.2}, {}, False),
        ({"corpus": "synthetic:1"}, {}, False),
        ({"passage_tokens": 640}, {}, False),
        ({"probe_sequences": 256}, {}, True),
        ({"probe_sequences": 1}, {}, False),
    ],
)
def test_only_fields_with_effect_name_a_configuration(one: Any, other: Any, equal: bool) -> None:
    assert (config_id(trial(**one), "0") == config_id(trial(**other), "0")) is equal


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"corpus": "tiny_shakespear"}, "did you mean 'tiny_shakespeare'"),
        ({"corpus": "file:"}, "unknown corpus 'file:'"),
        ({"corpus": "synthetic:x"}, "synthetic:SEED"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "must add up to less than 1"),
        ({"stride": 65}, "stride=65 must be at most context_length=64"),
        (
            {"tokenizer": "word"},
            "known: bpe, byte, char, hf:PATH_OR_REPOSITORY, package:NAME",
        ),
        ({"tokenizer": "bytes"}, "unknown tokenizer 'bytes'; did you mean 'byte'"),
        ({"tokenizer": "hf:"}, "unknown tokenizer 'hf:'"),
        ({"tokenizer": "package:a/b"}, "unknown tokenizer 'package:a/b'"),
        ({"context": 3}, "Extra inputs"),
        ({"bpe_vocab_size": 100}, "greater than or equal to 256"),
        ({"max_bytes": 1.5}, "valid integer"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LanguageConfig(**fields)


def test_a_relative_file_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers run in other folders than the user: the driver makes the path absolute, the identity stays."""
    (tmp_path / "text.txt").write_text("to be or not to be " * 40, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    given = LanguageConfig(corpus="file:text.txt", context_length=8)
    absolute = given.with_absolute_paths(None)
    monkeypatch.chdir("/")
    assert absolute.build(None).data_hash
    assert absolute.canonical() == given.canonical()


def test_a_passage_holds_the_longest_window() -> None:
    fields = {"context_length": 16, "evaluation_length": 48}
    assert LanguageConfig.model_validate({**fields, "passage_tokens": 48}).passage_tokens == 48
    with pytest.raises(ValidationError, match="passage_tokens=47 must be at least 48, the tokens of the longest"):
        LanguageConfig.model_validate({**fields, "passage_tokens": 47})
