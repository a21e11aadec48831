"""Position encodings: a learned table, sinusoids, or none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.layers.fields import Positions

LONGEST_WAVE = 10_000.0
"""Positions per radian of the slowest wave."""


class LearnedPositions(nn.Embedding):
    """A trained table with one row per position; it limits the length."""

    def add_to(self, x_BTD: Tensor, start: int = 0) -> Tensor:
        """Add the rows of T positions from `start` on.

        Raises:
            ValueError: If there are more positions than rows.
        """
        end = start + x_BTD.shape[1]
        if end > self.num_embeddings:
            raise ValueError(f"a sequence of {end} tokens is longer than max_seq_len={self.num_embeddings}")
        return x_BTD + self.weight[start:end]


class SinusoidalPositions(nn.Module):
    """Sines and cosines of the position, interleaved; of unlimited length, up to the reach of the slowest wave.

    Source:
        Vaswani et al. (2017), "Attention is all you need", section 3.5.
    """

    def add_to(self, x_BTD: Tensor, start: int = 0) -> Tensor:
        """Add the waves at T positions from `start` on."""
        _, seq_len, width = x_BTD.shape
        position_T1 = torch.arange(start, start + seq_len, dtype=torch.float64, device=x_BTD.device).unsqueeze(1)
        channel_P = torch.arange(0, width, 2, dtype=torch.float64, device=x_BTD.device)
        angle_TP = position_T1 * LONGEST_WAVE ** (-channel_P / width)
        wave_TD = torch.stack((angle_TP.sin(), angle_TP.cos()), dim=-1).flatten(1)[:, :width]
        return x_BTD + wave_TD.to(x_BTD.dtype)


class NoPositions(nn.Module):
    """No encoding: the mixers must provide the order."""

    def add_to(self, x_BTD: Tensor, start: int = 0) -> Tensor:
        """Return the input."""
        return x_BTD


def build_positions(
    form: Positions, max_seq_len: int, d_model: int
) -> LearnedPositions | SinusoidalPositions | NoPositions:
    """Return the module; only learned positions are limited to `max_seq_len`."""
    if form == "learned":
        return LearnedPositions(max_seq_len, d_model)
    return SinusoidalPositions() if form == "sinusoidal" else NoPositions()
