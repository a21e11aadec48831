"""The GPT backbone shared by all families."""

from trainables.architectures.gpt.config import BackboneConfig, TransformerConfig

__all__ = ["BackboneConfig", "TransformerConfig"]
