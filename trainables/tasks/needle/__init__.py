"""A needle in a haystack of random symbols."""

from trainables.tasks.needle.task import NeedleConfig

__all__ = ["NeedleConfig"]
