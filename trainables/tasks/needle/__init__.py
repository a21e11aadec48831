"""A needle in a haystack of random tokens."""

from trainables.tasks.needle.config import NeedleConfig

__all__ = ["NeedleConfig"]
