"""A needle in a haystack of text, by length and depth."""

from trainables.tasks.niah.config import NiahConfig

__all__ = ["NiahConfig"]
