"""A needle in a haystack of random tokens."""

from trainables.tasks.needle.task import NeedleConfig

__all__ = ["NeedleConfig"]
