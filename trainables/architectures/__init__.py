"""The families. Importing this package registers them."""

from trainables.architectures import controls, kuramoto, transformer

__all__ = ["controls", "kuramoto", "transformer"]
