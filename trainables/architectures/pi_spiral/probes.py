"""Declares the probes of a π-spiral model: names, units, meanings and nulls."""

from __future__ import annotations

from trainables.diagnostics.probes import PROBES as OF_ENCODINGS
from trainables.metric import probe

PROBES = (
    *OF_ENCODINGS,
    probe(
        "attention_distance",
        "tokens",
        "how far back attention looks, mean over positions, heads and layers",
        null="attention_distance_null",
    ),
    probe("attention_distance_null", "tokens", "the same of attention that looks at all of the past alike"),
    probe("hybrid_transition", "tokens", "position at which a hybrid is half RoPE and half spiral"),
    probe("hybrid_reach", "1", "that position over the length of a training sequence"),
    probe("hybrid_width", "tokens", "positions over which a hybrid changes"),
    probe("attractor_half_life", "tokens", "positions after which half of a term is left in the attractor"),
    probe("attractor_share", "1", "norm of what the attractor adds over that of the output of attention"),
    probe(
        "attractor_state_bytes",
        "bytes",
        "state that an attractor carries from token to token, a layer and sequence",
        null="cache_bytes",
        exact=True,
    ),
    probe(
        "cache_bytes", "bytes", "keys and values of as many tokens as are probed, a layer and sequence", exact=True
    ),
)
