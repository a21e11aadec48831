"""Attention with a bias that falls with the distance (ALiBi), and over a window, inside Hugging Face models.

A model is told the name of an attention function, registered here with `transformers`, and so of the function that
makes its masks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from trainables.layers.encodings.alibi import alibi_bias

WINDOWED, BIASED = "phasesweep_windowed", "phasesweep_alibi"
"""Names under which attention is registered; both have windows if `WINDOW` is set."""
WINDOW = "attention_window"
"""Field of a model's configuration: the tokens that attention sees, the last of them its own."""


def choose_attention(model: Any, *, alibi: bool, window: int | None) -> None:
    """Let a model's attention have a bias by distance, or see the last tokens only.

    Args:
        model: Of `transformers`.
        alibi: Whether it has the bias.
        window: Tokens that it sees; None: as many as it was made for.
    """
    if not alibi and window is None:
        return
    _register()
    setattr(model.config, WINDOW, window)
    model.set_attn_implementation(BIASED if alibi else WINDOWED)


def _register() -> None:
    """Tell `transformers` of both functions; again is the same."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    for name, attend in ((WINDOWED, sdpa_attention_forward), (BIASED, _biased)):
        AttentionInterface.register(name, attend)
        AttentionMaskInterface.register(name, _mask)


def _biased(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attend with scores that fall with the distance between query and key, which are neighbours in the cache."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    position_S = torch.arange(key.shape[2], device=key.device)
    bias_1HTS = alibi_bias(query.shape[1], position_S[-query.shape[2] :], position_S, dtype=query.dtype)[None]
    found: tuple[Tensor, None] = sdpa_attention_forward(
        module, query, key, value, attention_mask, position_bias=bias_1HTS, **options
    )
    return found


def _mask(*, mask_function: Any, config: Any, **options: Any) -> Tensor | None:
    """Return which keys each query sees; None: those up to its own."""
    from transformers.masking_utils import and_masks, sdpa_mask, sliding_window_overlay

    window = getattr(config, WINDOW)
    if window is not None:
        mask_function = and_masks(sliding_window_overlay(window), mask_function)
        options["local_size"] = min(window, options.get("local_size") or window)
    found: Tensor | None = sdpa_mask(mask_function=mask_function, config=config, **options)
    return found
