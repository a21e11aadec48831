"""A tokenizer by its name."""

from __future__ import annotations

from search_spaces.suggestions import nearest
from trainables.data.errors import DataError
from trainables.data.pretrained_files import absolute_source, is_source
from trainables.data.tokenizers.base import Tokenizer
from trainables.data.tokenizers.bpe import BpeTokenizer
from trainables.data.tokenizers.simple import ByteTokenizer, CharTokenizer

EMBEDDED = ("bpe", "byte", "char")


def check_tokenizer_name(spec: str) -> str:
    """Return `spec` if it is a valid name of a tokenizer, which need not exist.

    Raises:
        ValueError: If it is not; the message gives the nearest name.
    """
    if spec in EMBEDDED or is_source(spec):
        return spec
    known = (*EMBEDDED, "hf:PATH_OR_REPOSITORY", "package:NAME")
    raise ValueError(f"unknown tokenizer '{spec}'; {nearest(spec, known)}")


def absolute_tokenizer(spec: str) -> str:
    """Return the name of a tokenizer with the path of a local folder made absolute."""
    return absolute_source(spec) if is_source(spec) else spec


def check_tokenizer(spec: str) -> None:
    """Check that the files of a pretrained tokenizer exist; the others need none.

    Raises:
        DataError: If they do not.
    """
    if is_source(spec):
        from trainables.data.tokenizers.pretrained import find_tokenizer

        find_tokenizer(spec)


def build_tokenizer(
    name: str, *, corpus_text: tuple[str, ...], training_text: str, bpe_vocab_size: int
) -> Tokenizer:
    """Return the tokenizer called `name`.

    Args:
        name: `char`, `byte`, `bpe`, or the source of a pretrained model; see `pretrained_files`.
        corpus_text: All splits; `char` takes its characters from them.
        training_text: `bpe` learns its merges from this text only.
        bpe_vocab_size: Largest vocabulary of `bpe`.

    Raises:
        DataError: If the corpus is empty, or a pretrained tokenizer is unavailable.
    """
    if not training_text:
        raise DataError("the training split is empty; there is nothing to build a tokenizer from")
    if name == "byte":
        return ByteTokenizer()
    if name == "char":
        return CharTokenizer("".join(sorted(set().union(*corpus_text))))
    if name == "bpe":
        return BpeTokenizer(training_text, bpe_vocab_size)
    from trainables.data.tokenizers.pretrained import load_pretrained

    return load_pretrained(name)
