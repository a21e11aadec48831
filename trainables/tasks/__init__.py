"""What models are asked to do; importing this package registers every task."""

from trainables.tasks import copying, facts, language, lines, needle, recall

__all__ = ["copying", "facts", "language", "lines", "needle", "recall"]
