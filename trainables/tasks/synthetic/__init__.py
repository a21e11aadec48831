"""Synthetic tasks: examples are drawn instead of read from a text."""

from trainables.tasks.synthetic.config import SyntheticConfig

__all__ = ["SyntheticConfig"]
