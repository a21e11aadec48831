"""Names, units and meanings of the metrics of tasks on text; read without PyTorch."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Measure(NamedTuple):
    """A metric without its split."""

    name: str
    unit: str
    meaning: str
    direction: Literal["minimise", "maximise", "none"] = "minimise"


UNITS = (
    Measure("nats_per_token", "nats/token", "mean negative log-likelihood of a token"),
    Measure("bits_per_char", "bits/character", "negative log-likelihood in bits, per character"),
    Measure("bits_per_byte", "bits/byte", "negative log-likelihood in bits, per byte of UTF-8"),
    Measure("perplexity", "perplexity", "exp of the mean nats per token; incomparable between tokenizers"),
)

LINE_UNITS = (
    *UNITS,
    Measure("perplexity_with_padding", "perplexity", "exp of the mean nats of the next token, padding included"),
    Measure("unshifted_perplexity", "perplexity", "exp of the mean nats of the token just read: an echo"),
    Measure(
        "unshifted_perplexity_with_padding",
        "perplexity",
        "exp of the mean nats of the token just read, padding included: an echo, the published perplexity",
    ),
)
"""Of lines, which are padded."""

SAMPLE_MEASURES = (
    Measure("sample_repeated_4grams", "share", "4-grams of tokens that stood earlier in the same sample"),
    Measure(
        "sample_distinct_2grams", "share", "different 2-grams of tokens in all samples, of all 2-grams", "none"
    ),
    Measure("sample_unigram_kl", "bits", "divergence of the samples' tokens from the held-out text's"),
    Measure("sample_bigram_kl", "bits", "divergence of the samples' 2-grams from the held-out text's"),
)
"""Of text that the model generates, on validation only."""

STREAM_STATE = Measure("stream_state_bytes", "bytes", "what is carried from one pass to the next, at the end")
STREAM_MEASURES = (
    STREAM_STATE,
    Measure("stream_memory_mib", "MiB", "the most that the process, or tensors on the GPU, took while reading"),
    Measure("stream_tokens_per_second", "token/s", "reading speed over the second half", "maximise"),
)
"""Of a long text that is read once, on validation only."""

SHORTEST_CONTEXT_WITH_PERIODS = 8
"""Training length below which next to no period is left to tell from another."""


def shows_periods(context_length: int, evaluation_length: int) -> bool:
    """Return whether more than one training length lies beyond it, so that a period that long can be seen there."""
    return context_length >= SHORTEST_CONTEXT_WITH_PERIODS and evaluation_length > 2 * context_length


def band_metric(unit: str, number: int) -> str:
    """Return the name of the score in band `number`, counted from 1, of longer windows."""
    return f"{unit}_band_{number}"


def drift_metric(unit: str) -> str:
    """Return the name of the score in the last band minus that in the first."""
    return f"{unit}_drift"


def period_share_metric(unit: str) -> str:
    """Return the name of the share of the strongest period in how the score varies over positions."""
    return f"{unit}_period_share"
