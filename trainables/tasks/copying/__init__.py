"""The copy task: reproduce what was read."""

from trainables.tasks.copying.config import CopyConfig

__all__ = ["CopyConfig"]
