"""Resonant blocks (AFRB) with phase memories (PVM, PLM) and readouts."""

from trainables.architectures.resonant.config import ResonantConfig

__all__ = ["ResonantConfig"]
