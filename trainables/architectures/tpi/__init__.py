"""Temporal phase integration."""

from trainables.architectures.tpi.config import TPIConfig

__all__ = ["TPIConfig"]
