"""Multi-query associative recall."""

from trainables.tasks.recall.task import RecallConfig

__all__ = ["RecallConfig"]
