"""What models are asked to do; importing this package registers every task."""

from trainables.tasks import language, lines, needle

__all__ = ["language", "lines", "needle"]
