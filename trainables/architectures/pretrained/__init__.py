"""Pretrained Hugging Face models: as language models with other position schemes, and as backbones."""

from trainables.architectures.pretrained.config import PretrainedConfig

__all__ = ["PretrainedConfig"]
