"""Tokenizers: nothing is lost, and every byte and character is counted once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.errors import DataError
from trainables.data.tokenizers.base import Tokenizer
from trainables.data.tokenizers.bpe import BpeTokenizer
from trainables.data.tokenizers.build import build_tokenizer
from trainables.data.tokenizers.simple import ByteTokenizer, CharTokenizer

TRAINING_TEXT = "the phase of the oscillator locks to the mean field, " * 40
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)  # surrogates are not text


def bpe() -> BpeTokenizer:
    return BpeTokenizer(TRAINING_TEXT, 300)


def check_exact(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int32
    assert tokenizer.decode(tokens) == text
    assert tokenizer.bytes_per_token_V[tokens].sum() == len(text.encode("utf-8"))
    assert tokenizer.chars_per_token_V[tokens].sum() == len(text)
    assert not tokens.size or 0 <= tokens.min() <= tokens.max() < tokenizer.vocab_size


@settings(max_examples=150)
@given(ANY_TEXT)
def test_bpe_and_bytes_represent_any_text(text: str) -> None:
    check_exact(ByteTokenizer(), text)
    check_exact(bpe(), text)


@settings(max_examples=100)
@given(ANY_TEXT.filter(bool))
def test_char_represents_its_corpus(text: str) -> None:
    check_exact(CharTokenizer("".join(sorted(set(text)))), text)


@settings(max_examples=50)
@given(ANY_TEXT, st.data())
def test_any_cut_of_the_tokens_keeps_the_counts(text: str, data: st.DataObject) -> None:
    """Counts of two stretches add up to those of the whole, even where the cut falls inside a character."""
    for tokenizer in (ByteTokenizer(), bpe()):
        tokens = tokenizer.encode(text)
        cut = data.draw(st.integers(0, len(tokens)))
        for per_token, whole in (
            (tokenizer.bytes_per_token_V, len(text.encode("utf-8"))),
            (tokenizer.chars_per_token_V, len(text)),
        ):
            assert per_token[tokens[:cut]].sum() + per_token[tokens[cut:]].sum() == whole


def test_char_numbers_symbols_by_code_point() -> None:
    tokenizer = CharTokenizer("\n ab€")
    assert tokenizer.encode("ab €\n").tolist() == [2, 3, 1, 4, 0]
    assert tokenizer.bytes_per_token_V.tolist() == [1, 1, 1, 1, 3]


@pytest.mark.parametrize("text", ["abz", "A", "a😀"])
def test_char_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(ValueError, match="not in the vocabulary of 3"):
        CharTokenizer("abc").encode(text)


@pytest.mark.parametrize("symbols", ["", "ba", "aab"])
def test_char_refuses_symbols_out_of_order(symbols: str) -> None:
    with pytest.raises(ValueError, match="ascending"):
        CharTokenizer(symbols)


def test_bpe_compresses_and_is_deterministic() -> None:
    one, other = BpeTokenizer(TRAINING_TEXT + "a", 320), BpeTokenizer(TRAINING_TEXT + "a" * 1, 320)
    tokens = one.encode(TRAINING_TEXT)
    assert len(tokens) < len(TRAINING_TEXT) / 3
    assert np.array_equal(tokens, other.encode(TRAINING_TEXT))


def test_bpe_training_repeats_without_the_memory() -> None:
    from trainables.data.tokenizers import bpe as module

    first = BpeTokenizer(TRAINING_TEXT, 310)._backend.to_str()
    module._train_bpe.cache_clear()
    assert BpeTokenizer(TRAINING_TEXT, 310)._backend.to_str() == first


def test_bpe_learns_from_the_training_split_only() -> None:
    texts = (TRAINING_TEXT, "zyzzyva " * 500)
    tokenizer = build_tokenizer("bpe", corpus_text=texts, training_text=texts[0], bpe_vocab_size=300)
    assert len(tokenizer.encode(" zyzzyva")) == 8  # no merge of held-out text was learnt


def test_bpe_of_a_short_text_may_be_smaller_than_asked() -> None:
    assert BpeTokenizer("ab", 1000).vocab_size == 257
    with pytest.raises(ValueError, match="at least 256"):
        BpeTokenizer("ab", 255)


def test_empty_training_split_is_refused() -> None:
    with pytest.raises(DataError, match="training split is empty"):
        build_tokenizer("byte", corpus_text=("",), training_text="", bpe_vocab_size=256)
