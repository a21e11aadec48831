"""Names of the needle task's metrics; read without PyTorch."""

from __future__ import annotations

FIRST_EXAMPLES = 50
"""Held-out examples over which the published hit rate is taken."""
FIRST_ECHO = f"echo_rate_first{FIRST_EXAMPLES}"


def echo_names(top_k: int) -> tuple[str, ...]:
    """Return the names of the published metrics."""
    return "echo_rate", f"echo_rate_top{top_k}", "partial_success", "echo_margin", "unshifted_perplexity"


def retrieval_names(top_k: int) -> tuple[str, ...]:
    """Return the names of the metrics of what is generated after the query."""
    return (
        "needle_exact_match",
        "needle_token_accuracy",
        f"needle_top{top_k}_accuracy",
        "needle_nats_per_token",
    )


def depth_metric(depth: int) -> str:
    """Return the name of the exact match at depth `depth` of the context, counted from 0."""
    return f"needle_exact_match_depth_{depth + 1}"
