"""Ends a replicate that no longer improves on validation data."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.training.best_weights import Choice


class EarlyStopping:
    """Counts the reports since the best one.

    Args:
        choice: The metric by which reports are compared.
        patience: Reports in a row without an improvement after which training ends.
        min_delta: An improvement is more than this, in units of the metric.
    """

    def __init__(self, choice: Choice, patience: int, min_delta: float) -> None:
        self.choice, self.patience, self.min_delta = choice, patience, min_delta
        self.score = choice.worst
        """Of the best report so far."""
        self.num_without = 0
        """Reports since then."""

    def offer(self, scores: Mapping[str, float]) -> str:
        """Take in the scores of a report.

        Returns:
            Why training ends now; empty if it goes on.
        """
        score = scores[self.choice.metric]
        if self.choice.gain(score, self.score) > self.min_delta:
            self.score, self.num_without = score, 0
            return ""
        self.num_without += 1
        if self.num_without < self.patience:
            return ""
        return (
            f"{self.choice.metric} has not improved on {self.score:.6g} by more than {self.min_delta:g} in "
            f"{self.num_without} reports in a row"
        )

    def state(self) -> dict[str, float]:
        """Return what a checkpoint must hold."""
        return {"score": self.score, "num_without": self.num_without}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Continue from what `state` returned."""
        self.score, self.num_without = state["score"], int(state["num_without"])
