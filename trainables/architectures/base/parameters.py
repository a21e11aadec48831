"""The number of parameters of a model that is never built."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from trainables.architectures.base.config import ArchitectureConfig

_DRAWING = {nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}


class _Uninitialised(TorchFunctionMode):
    """Skips the random values that PyTorch's layers start with: on `meta` they cost a second and are nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        return given["tensor"] if func in _DRAWING else func(*args, **given)


def count_parameters(config: ArchitectureConfig, *, vocab_size: int, max_seq_len: int) -> int:
    """Return the number of trainable parameters, tied ones once; allocates no memory for them."""
    with torch.device("meta"), _Uninitialised():
        model = config.build(vocab_size=vocab_size, max_seq_len=max_seq_len)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
