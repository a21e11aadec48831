"""Queries: vectors computed from the last few hidden states, with which a memory is read at every position.

A query at t sees the `window` tokens up to t (fewer at the start of a sequence) and nothing later, as if the
sequence ended there; it is normalised to length 1 (0 if its input is 0).

Source:
    attention-free-phase-blocks, `utils_alignment.py` (`compute_query_key`) and `train.py` (`LearnedQueryHead`).
    As published, every mode but `learned` is ignored: the mean is always used.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.resonant.fields import QueryMode
from trainables.randomness import INIT_STD, Initializer, Normal

EMA_OLDEST = 0.1
"""Weight of the oldest token of a window in `ema`; the newest has 1, with linear interpolation between."""

SPEED_TEMPERATURE = 0.5
"""Temperature of the softmax over speeds in `phase_weighted`, in units of the hidden state."""


def lengths(num_positions: int, window: int, device: torch.device) -> Tensor:
    """Return the number of tokens in each position's window: min(window, t + 1), as a vector over t."""
    return torch.arange(1, num_positions + 1, device=device).clamp(max=window)


def shifted(x_BTD: Tensor, lag: int) -> Tensor:
    """Return x shifted by `lag` >= 0 positions to later times, with zeros before the start."""
    num_kept = max(x_BTD.shape[1] - lag, 0)
    return functional.pad(x_BTD[:, :num_kept], (0, 0, x_BTD.shape[1] - num_kept, 0))


def windowed_sum(x_BTD: Tensor, weight_BTN: Tensor) -> Tensor:
    """Return Σ over lags n of weight[b, t, n] · x[b, t − n], zeros before the start.

    One addition per lag: memory O(T·d), without copies of the windows.

    Args:
        x_BTD: What is summed.
        weight_BTN: Weight of each lag, 0 being the position itself; batch may be 1.
    """
    total_BTD = torch.zeros_like(x_BTD)
    for lag in range(min(weight_BTN.shape[2], x_BTD.shape[1])):
        total_BTD = total_BTD + weight_BTN[:, :, lag, None] * shifted(x_BTD, lag)
    return total_BTD


class Query(nn.Module):
    """Maps hidden states h_BTD to a query q_BTD of length 1 at every position, causally."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, h_BTD: Tensor) -> Tensor:
        """Return the query at every position."""
        return functional.normalize(self.pool(h_BTD), dim=-1)

    @abstractmethod
    def pool(self, h_BTD: Tensor) -> Tensor:
        """Return the query before it is normalised."""

    def mean(self, h_BTD: Tensor) -> Tensor:
        """Return the mean of the window at every position."""
        num_T = lengths(h_BTD.shape[1], self.window, h_BTD.device)
        lag_N = torch.arange(self.window, device=h_BTD.device)
        weight_TN = (lag_N < num_T[:, None]) / num_T[:, None]
        return windowed_sum(h_BTD, weight_TN[None].to(h_BTD.dtype))


class MeanQuery(Query):
    """The mean of the window (`mean_tail` of the published flag)."""

    def pool(self, h_BTD: Tensor) -> Tensor:
        """Return the mean."""
        return self.mean(h_BTD)


class EmaQuery(Query):
    """A mean whose weights rise linearly from .1 at the oldest token to 1 at the newest; no exponential."""

    def pool(self, h_BTD: Tensor) -> Tensor:
        """Return the weighted mean."""
        num_T1 = lengths(h_BTD.shape[1], self.window, h_BTD.device)[:, None]
        wide = torch.promote_types(h_BTD.dtype, torch.float32)
        lag_N = torch.arange(self.window, device=h_BTD.device, dtype=wide)
        rise_TN = 1 - (1 - EMA_OLDEST) * lag_N / (num_T1 - 1).clamp(min=1)
        weight_TN = torch.where(lag_N < num_T1, rise_TN, 0)
        weight_TN = weight_TN / weight_TN.sum(1, keepdim=True)
        return windowed_sum(h_BTD, weight_TN[None].to(h_BTD.dtype))


class PhaseWeightedQuery(Query):
    """Tokens weighted by how much the state changes after them: softmax of ‖h_{i+1} − h_i‖ / 0.5.

    The newest token has no successor and so no weight; a window of one token gives that token.
    """

    def pool(self, h_BTD: Tensor) -> Tensor:
        """Return the weighted mean."""
        before_BTD = shifted(h_BTD, 1)
        wide = torch.promote_types(h_BTD.dtype, torch.float32)
        speed_BT = (h_BTD - before_BTD).to(wide).norm(dim=-1)  # of the step that ends at t
        num_positions = h_BTD.shape[1]
        position_T = torch.arange(num_positions, device=h_BTD.device)
        lag_N = torch.arange(max(self.window - 1, 1), device=h_BTD.device)
        step_TN = position_T[:, None] - lag_N
        inside_TN = lag_N < lengths(num_positions, self.window, h_BTD.device)[:, None] - 1
        score_BTN = (speed_BT / SPEED_TEMPERATURE)[:, step_TN.clamp(min=0)]
        score_BTN = score_BTN.masked_fill(~inside_TN, torch.finfo(score_BTN.dtype).min)
        weight_BTN = torch.where(inside_TN, score_BTN.softmax(-1), 0).to(h_BTD.dtype)
        pooled_BTD = windowed_sum(before_BTD, weight_BTN)
        return torch.where(inside_TN.any(1)[:, None], pooled_BTD, h_BTD)


class MlpQuery(Query):
    """The mean over the window of a fixed random network D → D/4 → D with ReLU between; never trained.

    Corrected: as published its second matrix is applied to the hidden state instead of the hidden layer, whose
    widths differ, so that the mode always raises an error.
    """

    def __init__(self, d_model: int, window: int) -> None:
        super().__init__(window)
        narrow = max(d_model // 4, 1)
        self.inner_DE = nn.Parameter(torch.empty(d_model, narrow), requires_grad=False)
        self.outer_ED = nn.Parameter(torch.empty(narrow, d_model), requires_grad=False)
        self.initializers: dict[str, Initializer] = {"inner_DE": Normal(INIT_STD), "outer_ED": Normal(INIT_STD)}

    def pool(self, h_BTD: Tensor) -> Tensor:
        """Return the mean of the network's outputs. Normalisation removes their scale, so the std is arbitrary."""
        return self.mean((h_BTD @ self.inner_DE).relu()) @ self.outer_ED


class LearnedQuery(Query):
    """The mean of the window through a trained network: D → D/4, layer norm, GELU, → D."""

    def __init__(self, d_model: int, window: int) -> None:
        super().__init__(window)
        narrow = max(d_model // 4, 1)
        self.network = nn.Sequential(
            nn.Linear(d_model, narrow), nn.LayerNorm(narrow), nn.GELU(), nn.Linear(narrow, d_model)
        )

    def pool(self, h_BTD: Tensor) -> Tensor:
        """Return the network's output."""
        y_BTD: Tensor = self.network(self.mean(h_BTD))
        return y_BTD


def build_query(mode: QueryMode, d_model: int, window: int) -> Query:
    """Return the query called `mode`.

    Args:
        mode: Which one.
        d_model: Width D of the hidden states.
        window: Tokens a query sees, its own position included; at least 1.
    """
    match mode:
        case "mean":
            return MeanQuery(window)
        case "ema":
            return EmaQuery(window)
        case "phase_weighted":
            return PhaseWeightedQuery(window)
        case "mlp":
            return MlpQuery(d_model, window)
        case "learned":
            return LearnedQuery(d_model, window)
