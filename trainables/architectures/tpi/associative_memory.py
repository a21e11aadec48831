"""An explicit associative memory: a matrix that adds up outer products of keys and values.

Shapes: B batch, T positions, D channels, N the size of keys and values.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.layers.decayed_sum import ScanState, decayed_sum, widened
from trainables.layers.mixer import ResidualProjection


class AssociativeMemory(nn.Module):
    """S_t = Σ_{j≤t} k_j ⊗ v_j, read as S_tᵀ q_t: the values stored under keys similar to the query.

    Keys and queries are linear maps of the token, normalised to length 1: values are recovered exactly
    if the keys are orthonormal, so N associations fit; with many more, recall is hardly better than chance. This
    is the smallest module that retrieves by content; the layers below must bring the content into a token's key.

    Args:
        d_model: Width D.
        size: Size N of a key and of a value; the memory is N × N.
        init_std: Initial standard deviation of the weights of the output projection.
        bias: Biases in the linear maps.

    Source:
        Kohonen (1972), "Correlation matrix memories"; proposed in the notes on decoupling, option C, which do not
        define it.
    """

    def __init__(self, d_model: int, size: int, *, init_std: float, bias: bool) -> None:
        super().__init__()
        self.size = size
        self.to_key = nn.Linear(d_model, size, bias=bias)
        self.to_query = nn.Linear(d_model, size, bias=bias)
        self.to_value = nn.Linear(d_model, size, bias=bias)
        self.out = ResidualProjection(size, d_model, init_std=init_std, bias=bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Store and read at every position; O(T N²) in time and memory."""
        return self.stream(x_BTD)[0]

    def stream(self, x_BTD: Tensor, state: ScanState | None = None) -> tuple[Tensor, ScanState]:
        """Store and read at positions that continue a sequence; also return the memory after them."""
        found_BTN, state = recall(*self._addressed(x_BTD), state)
        y_BTD: Tensor = self.out(found_BTN.to(x_BTD.dtype))
        return y_BTD, state

    def _addressed(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries and keys of length 1, and values."""
        query_BTN = functional.normalize(widened(self.to_query(x_BTD)), dim=-1)
        key_BTN = functional.normalize(widened(self.to_key(x_BTD)), dim=-1)
        return query_BTN, key_BTN, widened(self.to_value(x_BTD))

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Compute the same as attention without a softmax, with a T×T matrix."""
        query_BTN, key_BTN, value_BTN = self._addressed(x_BTD)
        y_BTD: Tensor = self.out((query_BTN @ key_BTN.mT).tril() @ value_BTN)
        return y_BTD


def recall(
    query_BTN: Tensor, key_BTN: Tensor, value_BTN: Tensor, state: ScanState | None = None
) -> tuple[Tensor, ScanState]:
    """Return Σ_{j≤t} (q_t · k_j) v_j at every position, and the memory from which it can be continued."""
    pair_BTNN = key_BTN.unsqueeze(-1) * value_BTN.unsqueeze(-2)
    sum_BTM, state = decayed_sum(pair_BTNN.flatten(-2), state=state)
    sum_BTNN = sum_BTM.unflatten(-1, pair_BTNN.shape[-2:])
    return torch.einsum("...n,...nm->...m", query_BTN, sum_BTNN), state
