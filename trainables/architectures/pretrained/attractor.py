"""The attractor inside a Hugging Face model: added to the output of attention in the last layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from trainables.architectures.pretrained.blocks import attention_of, blocks_of, width_of
from trainables.architectures.pretrained.sequence_state import carried_states
from trainables.layers.encodings.attractor import Attractor
from trainables.layers.encodings.fields import AttractorConfig
from trainables.randomness import INIT_STD


class AttentionWithAttractor(nn.Module):
    """Adds what an attractor remembers to the output of one layer's attention; it is that module's hook.

    Args:
        config: Of the attractor.
        d_model: Channels D.
        num_heads: Of the attractor's cross-attention.
    """

    def __init__(self, config: AttractorConfig, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.attractor = Attractor(config, d_model, num_heads, init_std=INIT_STD, bias=False, dropout=0.0)

    def forward(
        self, module: nn.Module, args: tuple[Any, ...], options: dict[str, Any], output: tuple[Tensor, Any]
    ) -> tuple[Any, ...]:
        """Return the output of attention with what is added to it."""
        h_BTD: Tensor = args[0] if args else options["hidden_states"]
        y_BTD, *rest = output
        return (y_BTD + self._added(h_BTD, y_BTD, options.get("past_key_values")), *rest)

    def _added(self, h_BTD: Tensor, y_BTD: Tensor, cache: Any) -> Tensor:
        found: Tensor
        if cache is None:
            found = self.attractor(h_BTD, y_BTD)
            return found
        carried = carried_states(cache)
        start = carried.first_position + cache.get_seq_length() - h_BTD.shape[1]  # attention has written to it
        streamed = self.attractor.stream(h_BTD, y_BTD, start, carried.of_module.get(self))
        if streamed is None:
            raise ValueError(
                "this attractor needs the whole input at once, and a cache gives it a part: read=final, or "
                "policy=exp_c_over_n without a length"
            )
        found, carried.of_module[self] = streamed
        return found


def add_attractors(source: str, model: Any, config: AttractorConfig) -> nn.ModuleList:
    """Give the last layers of a model an attractor each.

    Raises:
        ValueError: If there are fewer layers.
    """
    blocks = blocks_of(source, model)
    if config.last_layers > len(blocks):
        raise ValueError(
            f"attractor.last_layers={config.last_layers}: model '{source}' has {len(blocks)} layers; choose at "
            "most that many"
        )
    added = nn.ModuleList()
    for block in list(blocks)[-config.last_layers :]:
        hook = AttentionWithAttractor(config, width_of(model), model.config.num_attention_heads)
        attention_of(block).register_forward_hook(hook, with_kwargs=True)
        added.append(hook)
    return added
