"""Parameters that are frozen for a while: their gradient is 0, not absent.

So data-parallel workers agree on which parameters take part, and thawing needs no new optimiser. Weight decay would
move what is frozen this way all the same: `LanguageModel.no_weight_decay` has to name it.
"""

from __future__ import annotations

from torch import Tensor


def zero_gradient_if(parameter: Tensor, *, frozen: bool) -> Tensor:
    """Return `parameter`, with a gradient of exactly 0 while `frozen`. Its values must be finite."""
    return parameter.detach() + 0.0 * parameter if frozen else parameter
