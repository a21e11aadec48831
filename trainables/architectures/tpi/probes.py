"""Declares the probes of a model with temporal phase integration: names, units, meanings and nulls."""

from __future__ import annotations

from trainables.metric import probe

PROBES = (
    probe("tpi_window", "tokens", "learned window 1 / (1 − λ), mean over layers"),
    probe(
        "tpi_phase_variance",
        "1",
        "circular variance of the written phase over positions, mean over channels",
        null="tpi_phase_variance_null",
    ),
    probe("tpi_phase_variance_null", "1", "tpi_phase_variance expected of independent uniform phases"),
    probe("tpi_full_turns", "turns", "farthest that a channel has turned in a sequence, |sum of ω| / 2π"),
    probe("tpi_phase_saturation", "1", "share of squashed phases beyond .95 of their 10 rad"),
    probe("tpi_largest_logit", "1", "largest |logit| of a sequence, mean over sequences"),
    probe(
        "tpi_offset_gradient_ratio",
        "1",
        "pull of the loss on the offset's weights over that on ω's, both as radians",
    ),
    probe(
        "tpi_offset_gradient_ratio_plain", "1", "the same without dividing by the frequency's factor, as published"
    ),
    probe(
        "tpi_query_gradient_ratio", "1", "pull of the loss on a free reading frequency over that on the writing one"
    ),
)
