"""Parameters that are temporarily frozen: their gradient is 0, not absent.

So data-parallel workers agree on which parameters take part, and unfreezing needs no new optimiser. Weight decay
would still change such parameters, so `LanguageModel.no_weight_decay` has to name them.
"""

from __future__ import annotations

from torch import Tensor


def zero_gradient_if(parameter: Tensor, *, frozen: bool) -> Tensor:
    """Return `parameter`, with a gradient of exactly 0 while `frozen`. Its values must be finite."""
    return parameter.detach() + 0.0 * parameter if frozen else parameter
