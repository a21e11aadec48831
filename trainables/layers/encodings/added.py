"""The spiral as a vector that is added at the input of attention, as published."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainables.layers.encodings.fields import EncodingConfig
from trainables.layers.encodings.phases import PairPhases


class SpiralVector(nn.Module):
    """e_n: cosines of the position's phase in even channels, sines of the same phase in odd ones.

    With one constant for all pairs the vectors of all positions lie in a plane (rank 2), and the cosine between two
    of them is cos(2πcΔ), whatever the position.

    Args:
        encoding: Constant, rates and precision.
        width: Channels D.

    Source:
        pie-spiral f4f10cd.
    """

    def __init__(self, encoding: EncodingConfig, width: int) -> None:
        super().__init__()
        self.width = width
        self.phases = PairPhases(encoding, -(-width // 2))

    def forward(self, position_x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return e_xD at positions of any shape, such as position_BT.

        Args:
            position_x: Positions, int64, 0 or more.
            dtype: Of the result.
        """
        phase_xP = self.phases(position_x)
        pair_xP2 = torch.stack((phase_xP.cos(), phase_xP.sin()), dim=-1).to(dtype)
        pair_xP2 = pair_xP2.expand(*position_x.shape, -(-self.width // 2), 2)
        return pair_xP2.flatten(-2)[..., : self.width]
