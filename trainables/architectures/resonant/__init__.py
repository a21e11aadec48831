"""Resonant blocks (AFRB) with phase memories (PVM, PLM) and readouts."""

from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.model import ResonantModel

__all__ = ["ResonantConfig", "ResonantModel"]
