"""The control of every study: a GPT with causal softmax attention in all layers."""

from __future__ import annotations

from typing import Literal

from trainables.architectures.backbone import BackboneConfig
from trainables.registry import register_architecture


@register_architecture("transformer", version=1)
class TransformerConfig(BackboneConfig):
    """The shared backbone with its default mixer."""

    name: Literal["transformer"] = "transformer"
