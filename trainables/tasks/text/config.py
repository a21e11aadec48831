"""The fields of the tasks on text; what they mean for the numbers is in the modules of the tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from trainables.data.corpora import (
    DECLARED_SPLITS,
    absolute_corpus,
    canonical_corpus,
    check_corpus,
    check_corpus_name,
    load_corpus,
    most_characters,
)
from trainables.data.errors import DataError
from trainables.data.pretrained_files import is_source
from trainables.data.tokenizers.build import absolute_tokenizer, check_tokenizer, check_tokenizer_name
from trainables.metric import Split
from trainables.registry import register_task
from trainables.schema import Schema
from trainables.tasks.base import TaskConfig
from trainables.tasks.text.metrics import (
    LINE_UNITS,
    SAMPLE_MEASURES,
    STREAM_MEASURES,
    UNITS,
    Measure,
    band_metric,
    drift_metric,
    period_share_metric,
    shows_periods,
)
from trainables.tasks.text.splits import split_points

if TYPE_CHECKING:
    from trainables.tasks.base.task import Task

MAX_NGRAM = 4
MIN_TOKENS = 2
"""Fewest tokens of a line: one to read and one to predict."""
MIN_HELD_OUT_TOKENS = 3
"""Of a scored split: the distribution of the synthetic text is defined after two characters."""
SYNTHETIC_BREAK = "a"


class TextConfig(TaskConfig):
    """The text, its splits and its tokenizer."""

    units: ClassVar[tuple[Measure, ...]] = UNITS
    """The metrics of each split."""

    corpus: str = "synthetic"
    """`synthetic[:SEED]`, `stdlib`, `tiny_shakespeare`, `wikitext2`, `wikitext2_test` (its test split alone, for a
    model that is trained on other text), `enwik8`, `file:PATH` or `hub:REPOSITORY[:CONFIGURATION]`."""
    tokenizer: str = "char"
    """`char`, `byte`, `bpe`, or `hf:PATH_OR_REPOSITORY` or `package:NAME`, that of a pretrained model."""
    bpe_vocab_size: int = Field(1024, ge=256, le=65536)
    """Largest vocabulary of a `bpe` tokenizer, which is trained on the training split."""
    val_fraction: float = Field(0.1, gt=0, lt=1)
    """Fraction of the characters for validation, unless the corpus declares that split."""
    test_fraction: float = Field(0.0, ge=0, lt=1)
    """Fraction of the characters for test, unless the corpus declares that split. 0: no test split."""
    max_bytes: int | None = Field(None, ge=1)
    """Leading bytes of each declared split to use; for `synthetic`, how many to generate. None: all."""

    @field_validator("corpus")
    @classmethod
    def _known_corpus(cls, value: str) -> str:
        return check_corpus_name(value)

    @field_validator("tokenizer")
    @classmethod
    def _known_tokenizer(cls, value: str) -> str:
        return check_tokenizer_name(value)

    @model_validator(mode="after")
    def _fractions_leave_some(self) -> Self:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"val_fraction={self.val_fraction} and test_fraction={self.test_fraction} must add up to "
                "less than 1: the rest is trained on"
            )
        return self

    @property
    def unit(self) -> str:
        """The metric to compare by: bits per character where tokens are characters, else bits per byte."""
        return "bits_per_char" if self.tokenizer == "char" else "bits_per_byte"

    @property
    def held_out_splits(self) -> tuple[Split, ...] | None:
        """The held-out splits; None if only the corpus itself says which there are."""
        if self.corpus.startswith("hub:"):
            return None
        return ("val", "test") if self.corpus in DECLARED_SPLITS or self.test_fraction else ("val",)

    @property
    def metric_names(self) -> tuple[str, ...] | None:
        """The units of each held-out split and its subset."""
        if self.held_out_splits is None:
            return None
        parts = [f"{split}{suffix}" for split in self.held_out_splits for suffix in ("", "_subset")]
        return tuple(f"{part}/{measure.name}" for part in parts for measure in self.units)

    def check_files(self, data_dir: Path | None) -> None:
        """Check that the corpus exists, and the files of a pretrained tokenizer."""
        check_corpus(self.corpus, data_dir)
        check_tokenizer(self.tokenizer)

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result.

        The path of a file does not count, because its content does, as part of the data hash.
        """
        fields: dict[str, Any] = self.model_dump(mode="json")
        if self.tokenizer != "bpe":
            del fields["bpe_vocab_size"]
        if is_source(self.tokenizer):
            fields["tokenizer"] = "hf"  # which one it is, is part of the data hash
        if self.corpus in DECLARED_SPLITS:
            del fields["val_fraction"], fields["test_fraction"]
        fields["corpus"] = canonical_corpus(self.corpus)
        return fields

    def with_absolute_paths(self, data_dir: Path | None) -> Self:
        """Return the configuration with the paths of a local corpus and tokenizer made absolute."""
        changes = {
            "tokenizer": absolute_tokenizer(self.tokenizer),
            "corpus": absolute_corpus(self.corpus, data_dir),
        }
        return self.model_copy(update=changes)

    def build(self, data_dir: Path | None) -> Task:
        """Load the corpus, split it into sequences and tokenize them."""
        corpus = load_corpus(self.corpus, data_dir=data_dir, max_bytes=self.max_bytes)
        task: Task = self.built_class()(self, corpus)
        return task


class SamplesConfig(Schema):
    """What is generated at the end of training. The random draws are the same for every replicate."""

    num_samples: int = Field(8, ge=1, le=64)
    """Number of samples, at most as many as are scored at once, for which memory was estimated."""
    prompt_tokens: int = Field(32, ge=1)
    """Tokens of held-out text that each sample continues."""
    num_tokens: int = Field(256, ge=MAX_NGRAM)
    """Tokens generated for each sample."""
    top_k: int | None = Field(40, ge=1)
    """Draw from the `top_k` likeliest tokens. None: from all."""
    temperature: float = Field(1.0, ge=0)
    """Divides the logits; 0: always the likeliest token."""

    @property
    def length(self) -> int:
        """Tokens of a prompt and its continuation."""
        return self.prompt_tokens + self.num_tokens


class StreamConfig(Schema):
    """One long text that is read once, at the end, to measure what that costs; it is not scored."""

    length: int = Field(ge=2)
    """Tokens; the validation split is read again where it ends."""
    chunk: int = Field(1024, ge=1)
    """Tokens of one pass."""


@register_task("language", version=1)
class LanguageConfig(TextConfig):
    """A corpus, split and tokenized."""

    builds = "trainables.tasks.text.language:LanguageTask"
    added = {"probe_sequences": 256}
    name: Literal["language"] = "language"
    context_length: int = Field(64, ge=1)
    """Tokens in a training sequence and in an evaluation window."""
    stride: int | None = Field(None, ge=1)
    """Tokens from one evaluation window to the next. None: `context_length`, disjoint windows."""
    evaluation_length: int | None = Field(None, ge=2)
    """Tokens of longer windows that are scored by position, and for which the model is built. None: no such
    windows."""
    passage_tokens: int | None = Field(None, ge=2)
    """Tokens of the passage of each held-out split on which a seed is scored, another one for each seed: replicates
    of a model that is not trained would be equal otherwise. None: the whole splits."""
    probe_sequences: int = Field(256, ge=1)
    """Most held-out windows that the probes see, several times each, and that are scored in one pass. Fewer take
    less time and memory."""
    samples: SamplesConfig | None = None
    """Text generated at the end of training. None: nothing."""
    stream: StreamConfig | None = None
    """A long text that a model reads in chunks, carrying its state on: what it costs. None: none."""

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> LanguageConfig:
        if self.stride is not None and self.stride > self.context_length:
            raise ValueError(
                f"stride={self.stride} must be at most context_length={self.context_length}: "
                "a larger one would skip tokens"
            )
        return self

    @model_validator(mode="after")
    def _longer_windows_are_longer(self) -> LanguageConfig:
        if self.evaluation_length is not None and self.evaluation_length <= self.context_length:
            raise ValueError(
                f"evaluation_length={self.evaluation_length} must be more than "
                f"context_length={self.context_length}, which is always scored"
            )
        return self

    @model_validator(mode="after")
    def _passages_hold_a_window(self) -> LanguageConfig:
        longest = self.evaluation_length or self.context_length
        if self.passage_tokens is not None and self.passage_tokens < longest:
            raise ValueError(
                f"passage_tokens={self.passage_tokens} must be at least {longest}, the tokens of the longest window"
            )
        return self

    @property
    def microbatch_invariant(self) -> bool:
        """Every position of a training sequence is scored."""
        return True

    @property
    def metric_names(self) -> tuple[str, ...] | None:
        """Those of every text; with longer windows also by position, and those of samples and of a stream."""
        units = super().metric_names
        if units is None or self.held_out_splits is None:
            return None
        bands = 0 if self.evaluation_length is None else math.ceil(self.evaluation_length / self.context_length)
        longer = [*(band_metric(self.unit, number + 1) for number in range(bands)), drift_metric(self.unit)]
        if shows_periods(self.context_length, self.evaluation_length or 0):
            longer.append(period_share_metric(self.unit))
        return (
            *units,
            *(f"{split}/{name}" for split in self.held_out_splits for name in longer if bands),
            *(f"val/{measure.name}" for measure in SAMPLE_MEASURES if self.samples),
            *(f"val/{measure.name}" for measure in STREAM_MEASURES if self.stream),
        )

    def check_files(self, data_dir: Path | None) -> None:
        """Check also that the text can be long enough."""
        super().check_files(data_dir)
        most = most_characters(self.corpus, data_dir, self.max_bytes)
        if most is None:
            return
        splits = {"train": most, "val": most}
        if self.tokenizer == "char" and self.held_out_splits is not None and self.corpus not in DECLARED_SPLITS:
            train_end, test_start = split_points(
                most, val_fraction=self.val_fraction, test_fraction=self.test_fraction
            )
            # Rounding can give the validation split of a shorter text one character more.
            splits = {"train": train_end, "val": test_start - train_end + 1}
        self.check_lengths(splits, known="has at most")

    def check_lengths(self, tokens: Mapping[str, int], *, known: str = "has") -> None:
        """Check that every split is long enough.

        Args:
            tokens: Of each split.
            known: `has`, or `has at most` if that is all that is known.

        Raises:
            DataError: If one is too short.
        """
        for split, number in tokens.items():
            held_out = "evaluation_length" if self.passage_tokens is None else "passage_tokens"
            name = "context_length" if split == "train" else held_out
            length = getattr(self, name)
            needed = MIN_HELD_OUT_TOKENS if length is None else length + 1
            reason = "" if length is None else f" ({name}={length}, and one to predict)"
            if number < needed:
                raise DataError(
                    f"corpus '{self.corpus}': the {split} split {known} {number} tokens and needs "
                    f"{needed}{reason}; use a longer text or change val_fraction, test_fraction or max_bytes"
                )

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result, with an explicit stride."""
        fields = {**super().canonical(), "stride": self.stride or self.context_length}
        for name in ("evaluation_length", "passage_tokens", "samples", "stream"):
            if fields[name] is None:
                del fields[name]
        return fields


@register_task("lines", version=1)
class LinesConfig(TextConfig):
    """The lines of a corpus, each padded to the same length."""

    units = LINE_UNITS
    builds = "trainables.tasks.text.lines:LinesTask"
    name: Literal["lines"] = "lines"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    """`as_published`: padding is trained on, and the primary metric is the published, unshifted perplexity."""
    context_length: int = Field(64, ge=MIN_TOKENS)
    """Tokens of a line; a longer one is cut, a shorter one padded."""
    line_break: str | None = None
    """The ASCII character that ends a line. None: a line feed; for `synthetic`, which has none, the letter
    a."""
    max_train_lines: int | None = Field(5000, ge=1)
    """Leading lines of the training split to use. None: all."""
    max_held_out_lines: int | None = Field(500, ge=1)
    """Leading lines of the validation split to use, and of the test split. None: all."""

    @field_validator("line_break")
    @classmethod
    def _one_byte(cls, value: str | None) -> str | None:
        if value is not None and len(value.encode("utf-8")) != 1:
            raise ValueError(f"line_break={value!r} must be one character in ASCII")
        return value

    @property
    def break_character(self) -> str:
        """The character that ends a line."""
        if self.line_break is not None:
            return self.line_break
        return SYNTHETIC_BREAK if self.corpus.partition(":")[0] == "synthetic" else "\n"

    @property
    def violates(self) -> frozenset[str]:
        """The published score rewards an echo."""
        return frozenset({"echo"} if self.fidelity == "as_published" else ())

    @property
    def microbatch_invariant(self) -> bool:
        """As published every position but the last is scored; otherwise the number depends on a line's length."""
        return self.fidelity == "as_published"

    @classmethod
    def contract_configs(cls) -> list[Self]:
        """Return a small task of each fidelity."""
        small = {"max_bytes": 5_000, "context_length": 12, "test_fraction": 0.1, "max_held_out_lines": 40}
        return [cls.model_validate({**small, "fidelity": name}) for name in ("corrected", "as_published")]

    def canonical(self) -> dict[str, Any]:
        """Return the fields that change the result, with an explicit line break."""
        return {**super().canonical(), "line_break": self.break_character}
