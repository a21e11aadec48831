"""The spiral's vector inside a Hugging Face model: in the last layers, or at the input of attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.architectures.pretrained.blocks import attention_of, blocks_of, width_of
from trainables.architectures.pretrained.fields import AdapterConfig
from trainables.layers.encodings.added import SpiralVector
from trainables.layers.encodings.fields import EncodingConfig

_POSITIONS = "position_ids"
"""What layers of Hugging Face models call the positions of their input."""


class AddedVector(nn.Module):
    """Adds a position's vector to what enters a module; it is the module's hook.

    Args:
        encoding: Of the vector.
        width: Channels D.
        every_pass: Whether positions are counted from the start of each forward pass, as published, and not from
            the start of the sequence.
    """

    def __init__(self, encoding: EncodingConfig, width: int, *, every_pass: bool = False) -> None:
        super().__init__()
        self.vector, self.every_pass = SpiralVector(encoding, width), every_pass

    def forward(
        self, module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a module with the vector added to its first, x_BTD.

        Raises:
            ValueError: If the module is not told of positions.
        """
        if _POSITIONS not in options:
            raise ValueError(
                f"this model's {type(module).__name__} is not told of positions, so that no vector of theirs can "
                "be added; choose a model built as Llama, Qwen2 or Mistral are"
            )
        if args:
            return (self.added(args[0], options[_POSITIONS]), *args[1:]), options
        x_BTD = self.added(options["hidden_states"], options[_POSITIONS])
        return args, {**options, "hidden_states": x_BTD}

    def added(self, x_BTD: Tensor, position_BT: Tensor) -> Tensor:
        """Return x_BTD with the vectors of its positions."""
        if self.every_pass:
            position_BT = torch.arange(x_BTD.shape[1], device=x_BTD.device).unsqueeze(0)
        e_BTD: Tensor = self.vector(position_BT, x_BTD.dtype)
        return x_BTD + e_BTD


def add_in_last_layers(source: str, model: Any, adapter: AdapterConfig) -> AddedVector:
    """Let the last blocks of a model add the vector to the hidden states that enter them.

    Raises:
        ValueError: If there are fewer blocks.
    """
    blocks = blocks_of(source, model)
    if adapter.last_layers > len(blocks):
        raise ValueError(
            f"adapter.last_layers={adapter.last_layers}: model '{source}' has {len(blocks)} layers; choose at most "
            "that many"
        )
    added = AddedVector(adapter.encoding, width_of(model), every_pass=adapter.positions == "pass")
    for block in list(blocks)[-adapter.last_layers :]:
        block.register_forward_pre_hook(added, with_kwargs=True)
    return added


def add_at_attention(source: str, model: Any, encoding: EncodingConfig) -> AddedVector:
    """Let all layers add the vector at the input of attention."""
    added = AddedVector(encoding, width_of(model))
    for block in blocks_of(source, model):
        attention_of(block).register_forward_pre_hook(added, with_kwargs=True)
    return added
