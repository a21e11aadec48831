"""n-gram language models: scores by counting alone, with which a network's score can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trainables.data.markov import MarkovSource
from trainables.data.tokenizers.base import Tokenizer, Tokens

Bits = NDArray[np.float64]
"""Negative log2-probability of each token."""

REFERENCE_ORDERS = (3, 5)
SOURCE_ENTROPY = "entropy of the source"
"""Name of the score of the exact distribution that a text was drawn from."""
MAX_TRAINING_TOKENS = 5_000_000
"""More tokens are not counted; a reference trained on less than the whole split says so in its name."""


def witten_bell_bits(train: Tokens, held_out: Tokens, vocab_size: int, max_order: int) -> dict[int, Bits]:
    """Score tokens by interpolated Witten-Bell n-gram models of every order up to `max_order`.

    After context h, p(w|h) = (c(hw) + T(h) p(w|h')) / (c(h) + T(h)), with c the training counts, T(h) the
    number of different tokens seen after h, and h' the context without its oldest token; an unseen context
    leaves p(w|h'). Below order 1 lies the uniform distribution, so every token has a probability.

    Args:
        train: Tokens to count.
        held_out: Tokens to score; the first ones have less context.
        vocab_size: Number of different tokens.
        max_order: Order n of the largest model: n - 1 tokens of context; at least 1.

    Returns:
        For each order from 1 on, the bits of each held-out token.

    Source:
        Witten & Bell (1991), IEEE Trans. Inf. Theory 37(4), method C; interpolated form of Chen & Goodman
        (1999), Computer Speech & Language 13, section 2.4.
    """
    probability = np.full(len(held_out), 1 / vocab_size)
    # Contexts are numbered by rank among those seen, so numbers stay small at any order; -1: none or unseen.
    train_context = np.zeros(len(train), dtype=np.int64)
    held_context = np.zeros(len(held_out), dtype=np.int64)
    num_contexts, scores = 1, {}
    for order in range(1, max_order + 1):
        known = train_context >= 0
        keys = train_context * vocab_size + train
        grams, ranks, counts = np.unique(keys[known], return_inverse=True, return_counts=True)
        contexts = grams // vocab_size
        total = np.bincount(contexts, weights=counts, minlength=num_contexts)
        distinct = np.bincount(contexts, minlength=num_contexts)

        # The n-gram that ends the training text was seen, but maybe never as a context.
        seen = (held_context >= 0) & (total[held_context] > 0)
        held_keys = np.where(seen, held_context * vocab_size + held_out, -1)
        context = held_context[seen]
        numerator = _lookup(grams, counts, held_keys[seen]) + distinct[context] * probability[seen]
        probability[seen] = numerator / (total[context] + distinct[context])
        scores[order] = -np.log2(probability)

        # The n-gram that ends at t is the context of t + 1 at the next order.
        num_contexts = max(len(grams), 1)
        gram_at = np.full(len(train), -1, dtype=np.int64)
        gram_at[known] = ranks
        train_context = np.append(-1, gram_at[:-1])
        held_context = np.append(-1, _lookup(grams, np.arange(len(grams)), held_keys, missing=-1)[:-1])
    return scores


def _lookup(
    keys: NDArray[np.int64], values: NDArray[np.int64], wanted: NDArray[np.int64], missing: int = 0
) -> NDArray[np.int64]:
    """Return the value of each wanted key in the sorted `keys`, or `missing`."""
    if not len(keys):
        return np.full(len(wanted), missing, dtype=np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(np.where(keys[place] == wanted, values[place], missing))


def _is_scored(tokens: Tokens, tokenizer: Tokenizer, line_break: str | None) -> NDArray[np.bool_]:
    """Return which tokens a task scores: all but the first, or of each line all but the first and the line
    break."""
    if line_break is None:
        return np.arange(len(tokens)) > 0
    is_break = tokens == tokenizer.encode(line_break)[0]
    return np.asarray(~is_break & ~np.append(True, is_break[:-1]))


def reference_scores(
    texts: Mapping[str, str],
    *,
    tokenizer: Tokenizer,
    per_token: bool,
    source: MarkovSource | None,
    line_break: str | None = None,
) -> dict[str, dict[str, float]]:
    """Return the scores of simple models on the held-out splits, as {model: {metric: value}}.

    Args:
        texts: Text of `train`, `val` and perhaps `test`.
        tokenizer: Of characters or bytes; the unit of the n-grams.
        per_token: Whether that unit is also the task's token, so that scores per token are comparable.
        source: The exact distribution of the text, if it is known.
        line_break: The character that ends each line, if the task scores lines separately: then neither it nor
            a line's first token is scored. The models see it, and the end of the line before, as context.
    """
    tokens = {split: tokenizer.encode(text) for split, text in texts.items()}
    train = tokens["train"][:MAX_TRAINING_TOKENS]
    cut = f", first {MAX_TRAINING_TOKENS:,} tokens" if len(train) < len(tokens["train"]) else ""
    vocab_size = tokenizer.vocab_size
    scores: dict[str, dict[str, float]] = {}

    def add(name: str, split: str, bits: float, scored: Tokens) -> None:
        row = scores.setdefault(name, {})
        row[f"{split}/bits_per_char"] = bits / int(tokenizer.chars_per_token_V[scored].sum())
        row[f"{split}/bits_per_byte"] = bits / int(tokenizer.bytes_per_token_V[scored].sum())
        if per_token:
            nats = bits * math.log(2) / len(scored)
            row[f"{split}/nats_per_token"] = nats
            row[f"{split}/perplexity"] = math.exp(nats)

    for split in (name for name in texts if name != "train"):
        held_out, is_scored = tokens[split], _is_scored(tokens[split], tokenizer, line_break)
        scored = held_out[is_scored]
        if per_token:  # otherwise the task's chance differs: uniform over its larger tokens
            add("uniform", split, len(scored) * math.log2(vocab_size), scored)
        ladder = witten_bell_bits(train, held_out, vocab_size, max(REFERENCE_ORDERS))
        for order in (1, *REFERENCE_ORDERS):
            add(f"{order}-gram (Witten-Bell){cut}", split, float(ladder[order][is_scored].sum()), scored)
        if source is not None:
            text = texts[split]
            per_char = source.bits_per_char(text) if line_break is None else source.line_bits(text, line_break)
            add(SOURCE_ENTROPY, split, per_char * len(scored), scored)
    return scores
