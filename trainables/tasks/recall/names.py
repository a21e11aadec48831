"""Names of the recall task's metrics; read without PyTorch."""

from __future__ import annotations

NUM_DISTANCES = 4
SCORES = ("recall_accuracy", "recall_exact_match", "recall_choice_accuracy", "recall_nats_per_token")


def distance_metric(quarter: int) -> str:
    """Return the name of the accuracy in quarter `quarter`, counted from 0, of the distances."""
    return f"recall_accuracy_distance_{quarter + 1}"


def pairs_metric(num_pairs: int) -> str:
    """Return the name of the accuracy in examples with `num_pairs` pairs."""
    return f"recall_accuracy_pairs_{num_pairs}"
