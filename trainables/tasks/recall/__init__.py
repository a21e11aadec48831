"""Multi-query associative recall."""

from trainables.tasks.recall.config import RecallConfig

__all__ = ["RecallConfig"]
