"""Names and units of the probes in journals of format 1, which do not describe their own."""

from __future__ import annotations

from typing import Any

_PROBES: tuple[tuple[str, str, str], ...] = (
    ("coupling", "rad/time", "coupling strength K, mean over layers and heads"),
    ("order_oscillators", "1", "order parameter over the oscillators of a head"),
    ("order_oscillators_null", "1", "order parameter over the oscillators of a head, for uniform random phases"),
    ("order_positions", "1", "order parameter over the positions of a window"),
    ("order_positions_null", "1", "order parameter over the positions of a window, for uniform random phases"),
    ("order_pooled", "1", "order parameter over oscillators and positions together"),
    (
        "order_pooled_null",
        "1",
        "order parameter over oscillators and positions together, for uniform random phases",
    ),
    ("order_published", "1", "PhaseGPT's statistic: angles averaged over heads, then over oscillators"),
    (
        "order_published_null",
        "1",
        "PhaseGPT's statistic: angles averaged over heads, then over oscillators, for uniform random phases",
    ),
    ("phase_coherence", "1", "|mean over time of e^iθ| of the last hidden states' pairs, mean over pairs"),
    ("phase_coherence_null", "1", "phase_coherence expected of independent phases"),
    ("phase_coherence_above_null", "1", "(phase_coherence − null) / (1 − null)"),
    ("phase_coherence_shuffled", "1", "phase_coherence after each member of a pair was shuffled over time"),
    ("effective_rank", "1", "exp of the entropy of the hidden states' singular values"),
    ("effective_rank_null", "1", "effective_rank of independent normal numbers"),
    ("entropy_flow", "nats/token", "mean change of the entropy of softmax |h| from one position to the next"),
    ("gamma_mean", "1", "weight γ of the phase signal, mean over blocks"),
    ("gamma_saturation", "1", "share of blocks with γ above .95"),
    ("pvm_gate_strength", "1", "σ(gate) of the phase-vector memory, mean over blocks"),
    ("pvm_memory_norm", "1", "length of the phase-vector memory after the last position"),
    ("pvm_memory_mean_abs", "1", "mean modulus of its entries, which was published as its norm"),
    ("pvm_curvature_entropy", "1", "entropy of the memory trace's curvature over time; 1: no event"),
    ("plm_gate_strength", "1", "σ(gate) of the phase-lattice memory, mean over blocks"),
    ("plm_memory_norm", "1", "length of the phase-lattice memory after the last position"),
    ("pvm_curvature_entropy_null", "1", "pvm_curvature_entropy of noise"),
    ("plm_curvature_entropy", "1", "entropy of the memory trace's curvature over time; 1: no event"),
    ("plm_curvature_entropy_null", "1", "plm_curvature_entropy of noise"),
    ("memory_state_bytes", "bytes", "size of what the blocks carry from token to token, a sequence"),
    ("memory_reach_tokens", "tokens", "distance at which a constant decay leaves less than 1 % of a token"),
    ("memory_readable_tokens", "tokens", "distance at which the best linear detector's signal is its noise"),
    ("influence_beyond_reach", "1", "change of the last logits by tokens beyond it, over that by those within"),
    ("tpi_window", "tokens", "learned window 1 / (1 − λ), mean over layers"),
    ("tpi_phase_variance", "1", "circular variance of the written phase over positions, mean over channels"),
    ("tpi_phase_variance_null", "1", "tpi_phase_variance expected of independent uniform phases"),
    ("tpi_full_turns", "turns", "farthest that a channel has turned in a sequence, |sum of ω| / 2π"),
    ("tpi_phase_saturation", "1", "share of squashed phases beyond .95 of their 10 rad"),
    ("tpi_largest_logit", "1", "largest |logit| of a sequence, mean over sequences"),
    (
        "tpi_offset_gradient_ratio",
        "1",
        "pull of the loss on the offset's weights over that on ω's, both as radians",
    ),
    ("tpi_offset_gradient_ratio_plain", "1", "the same without dividing by the frequency's factor, as published"),
    ("tpi_query_gradient_ratio", "1", "pull of the loss on a free reading frequency over that on the writing one"),
)

PROBES: tuple[dict[str, Any], ...] = tuple(
    {"name": f"probe/{name}", "unit": unit, "direction": "none", "meaning": meaning}
    for name, unit, meaning in _PROBES
)
