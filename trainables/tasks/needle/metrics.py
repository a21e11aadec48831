"""Names and meanings of the needle task's metrics, and the scores of models that retrieve nothing."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from trainables.metric import Split
from trainables.tasks.needle.layout import NUM_DEPTHS, Layout
from trainables.tasks.needle.names import FIRST_ECHO, FIRST_EXAMPLES, depth_metric
from trainables.tasks.scoring import at_least, half_of
from trainables.tasks.synthetic.task import MetricSpec


def _echo_kinds(layout: Layout, vocab_size: int, top_k: int) -> list[MetricSpec]:
    """Return the published metrics."""
    length = layout.needle_length
    guesses_NL = torch.full((1, length), 1 / vocab_size, dtype=torch.float64)
    half = float(at_least(guesses_NL, half_of(length)))
    echo = "tokens of the needle in the context that are predicted at the place where they are read"
    return [
        MetricSpec("echo_rate", f"{echo}: the published hit rate, an echo", 1 / vocab_size, per_example=length),
        MetricSpec(
            f"echo_rate_top{top_k}", f"{echo}, among the {top_k} likeliest", top_k / vocab_size, per_example=length
        ),
        MetricSpec(
            "partial_success", f"needles with at least half of their {length} tokens echoed, as published", half
        ),
        MetricSpec(
            "echo_margin", "logit of the echoed token minus the largest other, mean over the needle", 0.0, "nats"
        ),
        MetricSpec(
            "unshifted_perplexity",
            "exp of the mean nats of the token just read, in the answer or, without one, everywhere; as published",
            vocab_size,
            "perplexity",
            "minimise",
        ),
    ]


def _retrieval_kinds(layout: Layout, vocab_size: int, top_k: int) -> list[MetricSpec]:
    """Return the metrics of what is generated after the query."""
    length = layout.needle_length
    return [
        MetricSpec(
            "needle_exact_match", f"needles generated with all of {length} tokens right", vocab_size**-length
        ),
        MetricSpec(
            "needle_token_accuracy",
            "generated tokens that are the needle's in their place",
            1 / vocab_size,
            per_example=length,
        ),
        MetricSpec(
            f"needle_top{top_k}_accuracy",
            f"tokens of the needle among the {top_k} likeliest when theirs is generated",
            top_k / vocab_size,
            per_example=length,
        ),
        MetricSpec(
            "needle_nats_per_token",
            "mean negative log-likelihood of the answer's tokens, those before each given",
            math.log(vocab_size),
            "nats/token",
            "minimise",
        ),
    ]


def _whole_kinds(layout: Layout, vocab_size: int, needle_start_N: Tensor) -> list[MetricSpec]:
    """Return the metrics for which a subset is too small."""
    first = min(FIRST_EXAMPLES, len(needle_start_N))
    meaning = f"echo_rate of the first {FIRST_EXAMPLES} examples, as published"
    length = layout.needle_length
    found = [MetricSpec(FIRST_ECHO, meaning, 1 / vocab_size, examples=first, per_example=length, in_subset=False)]
    if layout.query:
        counts = torch.bincount(layout.depth_bins(needle_start_N, NUM_DEPTHS), minlength=NUM_DEPTHS).tolist()
        part = f"of {NUM_DEPTHS} of the context, 1 the earliest"
        chance = vocab_size**-length
        found += [
            MetricSpec(
                depth_metric(depth),
                f"needle_exact_match of needles in part {depth + 1} {part}",
                chance,
                examples=count,
                in_subset=False,
            )
            for depth, count in enumerate(counts)
        ]
    return found


def kinds(layout: Layout, needle_start_N: Tensor, *, vocab_size: int, top_k: int) -> list[MetricSpec]:
    """Return the metrics of held-out examples; chance is a uniform guess over the vocabulary.

    Args:
        layout: Of the examples.
        needle_start_N: Where their needles are.
        vocab_size: Number of different tokens.
        top_k: Likeliest tokens that count as a hit of the `top` metrics.
    """
    retrieval = _retrieval_kinds(layout, vocab_size, top_k) if layout.query else []
    return [
        *_echo_kinds(layout, vocab_size, top_k),
        *retrieval,
        *_whole_kinds(layout, vocab_size, needle_start_N),
    ]


def reference_scores(layout: Layout, splits: tuple[Split, ...], *, top_k: int) -> dict[str, dict[str, float]]:
    """Return the expected scores of models that retrieve nothing, as {model: {metric: value}}.

    `guess among symbols` knows which tokens occur. `guess a place` copies the part of the context that starts at
    a random one of the needle's possible positions: without a marker no model generates the needle better.
    `echo` repeats its input; after the query it keeps repeating the query's last token.
    """
    symbol, place = 1 / layout.num_symbols, 1 / layout.num_positions
    whole = symbol**layout.needle_length
    names = {
        "guess among symbols": {
            "echo_rate": symbol,
            FIRST_ECHO: symbol,
            f"echo_rate_top{top_k}": min(1.0, top_k * symbol),
            "unshifted_perplexity": float(layout.num_symbols),
        },
        "echo": {
            "echo_rate": 1.0,
            FIRST_ECHO: 1.0,
            f"echo_rate_top{top_k}": 1.0,
            "partial_success": 1.0,
            "unshifted_perplexity": 1.0,
        },
    }
    if layout.query:
        names["guess among symbols"] |= {
            "needle_exact_match": whole,
            "needle_token_accuracy": symbol,
            f"needle_top{top_k}_accuracy": min(1.0, top_k * symbol),
            "needle_nats_per_token": math.log(layout.num_symbols),
        }
        names["guess a place"] = {
            "needle_exact_match": place + (1 - place) * whole,
            "needle_token_accuracy": place + (1 - place) * symbol,
        }
        names["echo"] |= {
            "needle_exact_match": 0.0 if layout.marker else whole,
            "needle_token_accuracy": 0.0 if layout.marker else symbol,
        }
    return {
        model: {f"{split}/{metric}": value for split in splits for metric, value in scores.items()}
        for model, scores in names.items()
    }
