"""What models are asked to do; importing this package registers every task."""

from trainables.tasks import language

__all__ = ["language"]
