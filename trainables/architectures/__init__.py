"""The families. Importing this package registers them."""

from trainables.architectures import controls, kuramoto, resonant, transformer

__all__ = ["controls", "kuramoto", "resonant", "transformer"]
