"""π-spiral: position encodings and an attractor on the backbone of all families."""

from trainables.architectures.pi_spiral.config import PiSpiralConfig

__all__ = ["PiSpiralConfig"]
