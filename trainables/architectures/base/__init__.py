"""The interface of every architecture: a configuration, and the model that it builds."""

from trainables.architectures.base.config import ArchitectureConfig

__all__ = ["ArchitectureConfig"]
