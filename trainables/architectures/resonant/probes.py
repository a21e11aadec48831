"""Declares the probes of a resonant model: names, units, meanings and nulls."""

from __future__ import annotations

from trainables.metric import Metric, probe


def _at_needle(name: str, unit: str, meaning: str) -> tuple[Metric, Metric]:
    """Return the declarations of a measure of the curvature at the needle, and of its null."""
    name = f"pvm_curvature_{name}"
    null = probe(f"{name}_null", unit, f"{name} with the places of other sequences' needles")
    return probe(name, unit, meaning, null=f"{name}_null"), null


_AT_NEEDLE = (
    *_at_needle(
        "peak_distance", "tokens", "between the needle's first token and the largest curvature of the trace"
    ),
    *_at_needle("peak_before", "share", "sequences whose largest curvature is over 4 tokens before the needle"),
    *_at_needle("peak_near", "share", "sequences whose largest curvature is within 4 tokens of the needle's first"),
    *_at_needle("peak_after", "share", "sequences whose largest curvature is 5 to 50 tokens after it"),
    *_at_needle("peak_far_after", "share", "sequences whose largest curvature is over 50 tokens after it"),
    *_at_needle("height", "1", "largest curvature within 4 tokens; 0 and 1: the sequence's least and largest"),
    *_at_needle("share_before", "1", "part of all curvature that comes before the needle"),
)

PROBES = (
    probe(
        "phase_coherence",
        "1",
        "|mean over time of e^iθ| of the last hidden states' pairs, mean over pairs",
        null="phase_coherence_null",
    ),
    probe("phase_coherence_null", "1", "phase_coherence expected of independent phases"),
    probe("phase_coherence_above_null", "1", "(phase_coherence − null) / (1 − null)"),
    probe("phase_coherence_shuffled", "1", "phase_coherence after each member of a pair was shuffled over time"),
    probe(
        "effective_rank",
        "1",
        "exp of the entropy of the hidden states' singular values",
        null="effective_rank_null",
    ),
    probe("effective_rank_null", "1", "effective_rank of independent normal numbers"),
    probe("entropy_flow", "nats/token", "mean change of the entropy of softmax |h| from one position to the next"),
    probe("gamma_mean", "1", "weight γ of the phase signal, mean over blocks"),
    probe("gamma_saturation", "1", "share of blocks with γ above .95"),
    probe("pvm_gate_strength", "1", "σ(gate) of the phase-vector memory, mean over blocks"),
    probe("pvm_memory_norm", "1", "length of the phase-vector memory after the last position"),
    probe("pvm_memory_mean_abs", "1", "mean modulus of its entries, which was published as its norm"),
    probe(
        "pvm_curvature_entropy",
        "1",
        "entropy of the memory trace's curvature over time; 1: no event",
        null="pvm_curvature_entropy_null",
    ),
    probe("plm_gate_strength", "1", "σ(gate) of the phase-lattice memory, mean over blocks"),
    probe("plm_memory_norm", "1", "length of the phase-lattice memory after the last position"),
    probe("pvm_curvature_entropy_null", "1", "pvm_curvature_entropy of noise"),
    probe(
        "plm_curvature_entropy",
        "1",
        "entropy of the memory trace's curvature over time; 1: no event",
        null="plm_curvature_entropy_null",
    ),
    probe("plm_curvature_entropy_null", "1", "plm_curvature_entropy of noise"),
    probe(
        "memory_state_bytes", "bytes", "size of what the blocks carry from token to token, a sequence", exact=True
    ),
    probe("memory_reach_tokens", "tokens", "distance at which a constant decay leaves less than 1 % of a token"),
    probe("memory_readable_tokens", "tokens", "distance at which the best linear detector's signal is its noise"),
    probe(
        "influence_beyond_reach", "1", "change of the last logits by tokens beyond it, over that by those within"
    ),
    *_AT_NEEDLE,
)
