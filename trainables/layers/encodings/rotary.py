"""Rotations of queries and keys by angles that depend on their positions.

Channel k and channel k + K/2 of a head are a pair, as in Hugging Face's models. Angles are computed in float64 and
reduced modulo a turn before their sine: at far positions float32 has no digit of them left.

Shapes: B batch, T positions, H heads, K width of a head, P = K/2 pairs; x in a suffix stands for any dimensions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.layers.encodings.fields import EncodingConfig
from trainables.layers.encodings.phases import PairPhases
from trainables.randomness import Constant, Initializer

BETA_FAST, BETA_SLOW = 32.0, 1.0
"""Turns within the trained length above which YaRN leaves a frequency alone, and below which it divides it."""
UNIT_SOFTPLUS = math.log(math.e - 1)
"""Where softplus is 1."""


def rotated(x_BHTK: Tensor, cos_BTP: Tensor, sin_BTP: Tensor) -> Tensor:
    """Rotate pair (k, k + K/2) of every head by the angle of its position.

    Args:
        x_BHTK: Queries or keys.
        cos_BTP: Cosines, (B, T, P) or (T, P); like the sines, as a `Rotation` returns them.
        sin_BTP: Sines.
    """
    cos, sin = cos_BTP.unsqueeze(-3), sin_BTP.unsqueeze(-3)
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def frequencies(encoding: EncodingConfig, head_width: int, *, trained_length: int, device: torch.device) -> Tensor:
    """Return the angle in radians by which each pair turns from a position to the next, (P,), float64.

    `ntk` raises the base to base · s^{d/(d−2)}, so that the slowest pair turns s times slower and the fastest as
    before; `linear` divides all frequencies by s; `yarn` divides those of the pairs that do not turn once in the
    trained length, leaves those that turn 32 times, and goes from one to the other in between.

    Source:
        RoPE: Su et al. (2021), "RoFormer". NTK: bloc97 (2023), "NTK-aware scaled RoPE". YaRN: Peng et al. (2023),
        "YaRN: Efficient context window extension", section 3.2.
    """
    base, scale = encoding.base, encoding.scale
    if encoding.scheme == "ntk":
        base = ntk_base(base, scale, head_width)
    channel_P = torch.arange(0, head_width, 2, dtype=torch.float64, device=device)
    plain_P = base ** (-channel_P / head_width)
    if encoding.scheme == "linear":
        return plain_P / scale
    if encoding.scheme != "yarn":
        return plain_P
    low, high = (_pair_that_turns(times, base, head_width, trained_length) for times in (BETA_FAST, BETA_SLOW))
    low, high = max(math.floor(low), 0), min(math.ceil(high), head_width - 1)
    divided_P = ((channel_P / 2 - low) / max(high - low, 1e-3)).clamp(0, 1)
    return plain_P * (1 - divided_P) + plain_P / scale * divided_P


def ntk_base(base: float, scale: float, head_width: int) -> float:
    """Return base · s^{d/(d−2)}: with it the slowest pair turns s times slower.

    Raises:
        ValueError: If a head has a single pair, for which there is no such base.
    """
    if head_width <= 2:
        raise ValueError(
            f"scheme=ntk needs heads of at least 4 channels, got {head_width}: it raises the base by a "
            "power of d / (d − 2)"
        )
    return base * scale ** (head_width / (head_width - 2))


def yarn_scale(scale: float) -> float:
    """Return the factor of queries and of keys by which YaRN sharpens attention: .1 ln s + 1."""
    return 0.1 * math.log(scale) + 1.0


def _pair_that_turns(times: float, base: float, head_width: int, trained_length: int) -> float:
    """Return the (fractional) number of the pair that turns `times` times in the trained length."""
    return head_width * math.log(trained_length / (times * 2 * math.pi)) / (2 * math.log(base))


class Rotation(nn.Module):
    """Cosines and sines of the angles at given positions."""

    def forward(self, position_x: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return cosines and sines, each (..., P), such as (B, T, P) for position_BT.

        Args:
            position_x: Positions, int64, 0 or more.
            dtype: Of the result.
        """
        raise NotImplementedError


class NoRotation(Rotation):
    """Angles of 0, for models that cannot be told that there are none."""

    def __init__(self, num_pairs: int) -> None:
        super().__init__()
        self.num_pairs = num_pairs

    def forward(self, position_x: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return ones and zeros."""
        one_xP = torch.ones(*position_x.shape, self.num_pairs, dtype=dtype, device=position_x.device)
        return one_xP, torch.zeros_like(one_xP)


class FrequencyRotation(Rotation):
    """RoPE, as it is or extended: each pair turns at a frequency of its own.

    Args:
        encoding: Scheme, base and scale.
        head_width: Channels of a head, K.
        trained_length: Positions that the weights are trained on.
    """

    def __init__(self, encoding: EncodingConfig, head_width: int, *, trained_length: int) -> None:
        super().__init__()
        self.encoding, self.head_width, self.trained_length = encoding, head_width, trained_length
        self.plain = EncodingConfig(base=encoding.base)

    def forward(self, position_x: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines of position times frequency."""
        is_scaled = self.encoding.scaled_in_training or not self.training
        encoding = self.encoding if is_scaled else self.plain
        frequency_P = frequencies(
            encoding, self.head_width, trained_length=self.trained_length, device=position_x.device
        )
        if self.encoding.phase_precision == "float32":
            angle_xP = position_x.unsqueeze(-1).to(torch.float32) * frequency_P.to(torch.float32)
        else:
            angle_xP = torch.remainder(position_x.unsqueeze(-1).to(torch.float64) * frequency_P, 2 * math.pi)
        size = yarn_scale(encoding.scale) if encoding.scheme == "yarn" else 1.0
        return (size * angle_xP.cos()).to(dtype), (size * angle_xP.sin()).to(dtype)


class SpiralRotation(Rotation):
    """All pairs turn by the phase of a spiral, or each by its own.

    Args:
        encoding: Constant, rates and precision.
        num_pairs: Pairs of a head, P.
    """

    def __init__(self, encoding: EncodingConfig, num_pairs: int) -> None:
        super().__init__()
        self.num_pairs = num_pairs
        self.phases = PairPhases(encoding, num_pairs)

    def forward(self, position_x: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return the cosines and sines of the phases."""
        phase_xP = self.phases(position_x)
        shape = (*position_x.shape, self.num_pairs)
        return phase_xP.cos().to(dtype).expand(shape), phase_xP.sin().to(dtype).expand(shape)


class Transition(nn.Module):
    """The share w_n = σ((n − K) / width) of a hybrid's spiral at position n.

    Args:
        transition: K, in positions.
        width: In positions.
        learned: Whether K and width are trained. Both are their initial values times a softplus, which starts at 1:
            a step of the optimiser moves them by the same proportion whatever their size.
    """

    def __init__(self, transition: float, width: float, *, learned: bool) -> None:
        super().__init__()
        self.transition, self.width = transition, width
        self.relative_2 = nn.Parameter(torch.full((2,), UNIT_SOFTPLUS)) if learned else None
        self.initializers: dict[str, Initializer] = {"relative_2": Constant(UNIT_SOFTPLUS)}

    def forward(self, position_x: Tensor) -> Tensor:
        """Return the share at each position, float64, between 0 and 1."""
        middle, width = self.place()
        share_x: Tensor = ((position_x.to(torch.float64) - middle) / width).sigmoid()
        return share_x

    def place(self) -> tuple[float | Tensor, float | Tensor]:
        """Return K and the width, in positions."""
        if self.relative_2 is None:
            return self.transition, self.width
        relative_2 = nn.functional.softplus(self.relative_2.to(torch.float64))
        return self.transition * relative_2[0], self.width * relative_2[1]


class HybridRotation(Rotation):
    """(1 − w)·RoPE + w·spiral, where w goes from 0 to 1 around position K.

    In between it is the mean of two rotations, which also shortens what it rotates. With `applied: added` the
    second part does not rotate at all, because its spiral is a vector that is added.

    Args:
        encoding: All fields.
        head_width: Channels of a head, K.
        trained_length: Positions that the weights are trained on.
    """

    def __init__(self, encoding: EncodingConfig, head_width: int, *, trained_length: int) -> None:
        super().__init__()
        self.near = FrequencyRotation(encoding, head_width, trained_length=trained_length)
        self.far: Rotation = (
            NoRotation(head_width // 2)
            if encoding.applied == "added"
            else SpiralRotation(encoding, head_width // 2)
        )
        learned = encoding.scheme == "adaptive_hybrid"
        self.share = Transition(encoding.transition, encoding.width, learned=learned)

    def forward(self, position_x: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Return the weighted means of cosines and of sines."""
        share_x1 = self.share(position_x).unsqueeze(-1).to(dtype)
        pairs = zip(self.near(position_x, dtype), self.far(position_x, dtype), strict=True)
        cos_xP, sin_xP = (torch.lerp(near, far, share_x1) for near, far in pairs)
        return cos_xP, sin_xP


def build_rotation(
    encoding: EncodingConfig, head_width: int, *, trained_length: int | None = None
) -> Rotation | None:
    """Return the rotation of queries and keys that `encoding` asks for.

    Args:
        encoding: The encoding.
        head_width: Channels of a head; must be even.
        trained_length: Positions that the weights are trained on; `encoding.trained_length` takes precedence.

    Returns:
        For `none`, angles of 0. None if the scheme encodes positions otherwise: `alibi`, `learned`, `sinusoidal`,
        and a `spiral` that is added.

    Raises:
        ValueError: If `head_width` is odd, or `yarn` is not told the trained length.
    """
    if encoding.scheme in ("alibi", "learned", "sinusoidal"):
        return None
    if encoding.scheme == "spiral" and encoding.applied == "added":
        return None
    if head_width % 2:
        raise ValueError(f"heads of {head_width} channels cannot be rotated: pairs need an even number")
    if encoding.scheme == "none":
        return NoRotation(head_width // 2)
    if encoding.scheme == "spiral":
        return SpiralRotation(encoding, head_width // 2)
    length = encoding.trained_length or trained_length
    if encoding.scheme == "yarn" and length is None:
        raise ValueError("scheme=yarn needs trained_length, the positions that the weights are trained on")
    kind = HybridRotation if encoding.is_hybrid else FrequencyRotation
    return kind(encoding, head_width, trained_length=length or 0)
