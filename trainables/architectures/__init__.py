"""The families. Importing this package registers them."""

from trainables.architectures import controls, kuramoto, recurrent, resonant, tpi, transformer

__all__ = ["controls", "kuramoto", "recurrent", "resonant", "tpi", "transformer"]
