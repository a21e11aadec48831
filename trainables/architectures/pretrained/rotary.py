"""Our rotations in place of a Hugging Face model's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.architectures.pretrained.fields import SwappedEncoding
from trainables.layers.encodings.rotary import NoRotation, Rotation, build_rotation

SCALED = ("ntk", "linear", "yarn")
"""Schemes that extend a model's own rotations."""
_OF_FREQUENCIES = ("rope", *SCALED, "hybrid", "adaptive_hybrid")


class SwappedRotary(nn.Module):
    """Has the interface of `LlamaModel.rotary_emb`: positions to cosines and sines, each for both of a pair."""

    def __init__(self, rotation: Rotation) -> None:
        super().__init__()
        self.rotation = rotation

    def forward(self, x_BTD: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, (B, T, K), in the dtype of `x_BTD`."""
        cos_BTP, sin_BTP = self.rotation(position_ids, x_BTD.dtype)
        return torch.cat((cos_BTP, cos_BTP), dim=-1), torch.cat((sin_BTP, sin_BTP), dim=-1)


def own_rotary(model: Any) -> nn.Module | None:
    """Return the module from which a model's attention has its rotations; None if there is no single one."""
    found = getattr(model.base_model, "rotary_emb", None)
    return found if isinstance(getattr(found, "inv_freq", None), Tensor) else None


def swap_rotations(source: str, model: Any, encoding: SwappedEncoding) -> None:
    """Let a model's attention learn of positions as `encoding` says.

    Args:
        source: Name of the model, for messages.
        model: Of `transformers`.
        encoding: The scheme. What is not a rotation (`alibi`, an added spiral) leaves angles of 0.

    Raises:
        ValueError: If the model has no rotations, or its own are extended already and `encoding` would extend them.
    """
    own: Any = own_rotary(model)
    if own is None:
        raise ValueError(
            f"model '{source}' has no rotary positions that encoding.scheme={encoding.scheme} could replace: "
            f"{type(model).__name__} learns of positions otherwise; choose a model built as Llama, Qwen2 or "
            "Mistral are, or leave encoding out"
        )
    declared = own.config.rope_parameters
    if declared["rope_type"] != "default" and encoding.scheme in _OF_FREQUENCIES:
        raise ValueError(
            f"model '{source}' was trained with rotations of the type '{declared['rope_type']}', which "
            f"encoding.scheme={encoding.scheme} would not continue; leave encoding out to keep them, or choose a "
            "scheme without them: spiral, alibi or none"
        )
    width = 2 * own.inv_freq.shape[0]
    length = own.config.max_position_embeddings
    rotation = build_rotation(encoding.with_base(declared["rope_theta"]), width, trained_length=length)
    model.base_model.rotary_emb = SwappedRotary(rotation or NoRotation(width // 2))
