"""n-gram references against numbers computed by hand and published for tiny Shakespeare."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from trainables.data.markov import MarkovSource
from trainables.data.tokenizers.base import Tokens
from trainables.data.tokenizers.simple import CharTokenizer
from trainables.tasks.text.config import LanguageConfig
from trainables.tasks.text.ngrams import SOURCE_ENTROPY, Bits, witten_bell_bits

DATA_DIR = Path(os.environ.get("PHASESWEEP_DATA", "/nonexistent"))
needs_tiny_shakespeare = pytest.mark.skipif(
    not (DATA_DIR / "tinyshakespeare.txt").is_file(), reason="PHASESWEEP_DATA has no tinyshakespeare.txt"
)


def tokens(text: str) -> Tokens:
    return CharTokenizer("abc").encode(text)


def unigram_bits(train: Tokens, held_out: Tokens, vocab_size: int) -> Bits:
    """Score tokens by their share of the training text; a token that it lacks costs infinitely many bits."""
    counts = np.bincount(train, minlength=vocab_size)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log2(counts / counts.sum())[held_out])


def bigram_bits(train: Tokens, held_out: Tokens, vocab_size: int) -> Bits:
    """Score each token but the first by the one before it, with one imagined count for every pair."""
    counts = np.ones((vocab_size, vocab_size))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    # A training text's last token begins no pair, so the row sums are those of the contexts.
    return np.asarray(-np.log2(shares[held_out[:-1], held_out[1:]]))


def test_unigram_by_hand() -> None:
    # counts a 3, b 1 of 4
    assert unigram_bits(tokens("aaba"), tokens("ab"), 3) == pytest.approx([-math.log2(3 / 4), 2.0])
    assert unigram_bits(tokens("aaba"), tokens("c"), 3)[0] == math.inf


def test_bigram_add_one_by_hand() -> None:
    # "abab": ab twice, ba once; a begins 2 pairs, b one. p(b|a) = 3/5, p(b|b) = 1/4, p(c|b) = 1/4
    bits = bigram_bits(tokens("abab"), tokens("abbc"), 3)
    assert 2.0**-bits == pytest.approx([3 / 5, 1 / 4, 1 / 4])


def test_witten_bell_by_hand() -> None:
    # train "abac": c(a)=2 c(b)=1 c(c)=1, T=3 below the uniform 1/3:
    #   p1(a) = (2 + 3/3) / 7 = 3/7, p1(b) = p1(c) = 2/7
    # after a: ab, ac once each, T=2:  p2(b|a) = (1 + 2 * 2/7) / 4 = 11/28,  p2(a|a) = (0 + 2 * 3/7) / 4 = 3/14
    # after b: ba once, T=1:           p2(a|b) = (1 + 3/7) / 2 = 5/7
    # after c: never a context:        p2(a|c) = p1(a) = 3/7
    # after ab: aba once, T=1:         p3(a|ab) = (1 + 5/7) / 2 = 6/7
    # after ca: unseen:                p3(a|ca) = p2(a|a) = 3/14
    scores = witten_bell_bits(tokens("abac"), tokens("abacaa"), 3, max_order=3)
    assert 2.0 ** -scores[1] == pytest.approx([3 / 7, 2 / 7, 3 / 7, 2 / 7, 3 / 7, 3 / 7])
    assert 2.0 ** -scores[2] == pytest.approx([3 / 7, 11 / 28, 5 / 7, 11 / 28, 3 / 7, 3 / 14])
    # ba -> c once, T=1: p3(c|ba) = (1 + 11/28) / 2 = 39/56; ac was never followed, so p3(a|ac) = p2(a|c)
    assert 2.0 ** -scores[3] == pytest.approx([3 / 7, 11 / 28, 6 / 7, 39 / 56, 3 / 7, 3 / 14])


def test_witten_bell_survives_a_text_shorter_than_its_order() -> None:
    scores = witten_bell_bits(tokens("ab"), tokens("abab"), 3, max_order=5)
    assert all(np.isfinite(bits).all() for bits in scores.values())
    assert scores[5] == pytest.approx(scores[2])


def test_witten_bell_is_a_distribution() -> None:
    """After any context the probabilities of all tokens add up to 1."""
    rng = np.random.default_rng(0)
    train = rng.integers(4, size=300).astype(np.int32)
    for context in ([], [0], [1, 2], [3, 3, 3], [0, 1, 2, 3]):
        for order in range(1, 6):
            total = sum(
                2.0 ** -witten_bell_bits(train, np.array([*context, token], dtype=np.int32), 4, order)[order][-1]
                for token in range(4)
            )
            assert total == pytest.approx(1.0)


def test_ngrams_come_near_the_entropy_rate_and_never_below() -> None:
    task = LanguageConfig(corpus="synthetic:1", test_fraction=0.1).build(None)
    references = task.references()
    entropy = MarkovSource(1).entropy_bits_per_char
    for split in task.splits:
        bits = {name: row[f"{split}/bits_per_char"] for name, row in references.items()}
        assert bits[SOURCE_ENTROPY] == pytest.approx(entropy, abs=4 * 1.0 / math.sqrt(26_000))
        # The trigram has the source's own order: the rest is estimation error.
        assert bits[SOURCE_ENTROPY] < bits["3-gram (Witten-Bell)"] < 1.005 * bits[SOURCE_ENTROPY]
        assert bits[SOURCE_ENTROPY] < bits["5-gram (Witten-Bell)"] < 1.04 * bits[SOURCE_ENTROPY]
        assert bits["3-gram (Witten-Bell)"] < bits["1-gram (Witten-Bell)"] < bits["uniform"] == 3.0


def test_references_are_in_the_unit_of_the_task() -> None:
    chars = LanguageConfig(max_bytes=20_000).build(None).references()
    bpe = LanguageConfig(max_bytes=20_000, tokenizer="bpe").build(None).references()
    row = chars["1-gram (Witten-Bell)"]
    assert row["val/nats_per_token"] == pytest.approx(row["val/bits_per_char"] * math.log(2))
    assert row["val/perplexity"] == pytest.approx(2 ** row["val/bits_per_char"])
    assert bpe["1-gram (Witten-Bell)"].keys() == {"val/bits_per_char", "val/bits_per_byte"}
    assert "uniform" not in bpe  # a uniform byte is not this task's chance


@needs_tiny_shakespeare
def test_tiny_shakespeare_matches_the_known_numbers() -> None:
    task = LanguageConfig(corpus="tiny_shakespeare").build(DATA_DIR)
    train, val = task.tokens["train"].numpy(), task.tokens["val"].numpy()
    assert (len(train), len(val), task.vocab_size) == (1_003_854, 111_540, 65)
    assert math.log2(65) == pytest.approx(6.0224, abs=5e-5)
    assert unigram_bits(train, val, 65).mean() == pytest.approx(4.8292, abs=5e-5)
    assert bigram_bits(train, val, 65).mean() == pytest.approx(3.5806, abs=5e-5)
    # The published numbers score every character of val, the first ones in the context of train's last.
    ladder = witten_bell_bits(train, np.concatenate([train[-6:], val]), 65, max_order=7)
    for order, bits in {2: 3.5862, 3: 2.9564, 4: 2.5590, 5: 2.4076, 6: 2.4498, 7: 2.5668}.items():
        assert ladder[order][6:].mean() == pytest.approx(bits, abs=5e-5)
    assert task.references()["5-gram (Witten-Bell)"]["val/bits_per_char"] == pytest.approx(2.4076, abs=1e-4)
