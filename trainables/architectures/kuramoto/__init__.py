"""Kuramoto phase attention."""

from trainables.architectures.kuramoto.config import KuramotoConfig

__all__ = ["KuramotoConfig"]
