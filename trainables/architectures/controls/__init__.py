"""Controls: the baselines that an architecture has to beat."""

from trainables.architectures.controls.config import (
    DiagonalSSMConfig,
    EchoConfig,
    GRUConfig,
    MeanPoolConfig,
    RecurrentConfig,
)

__all__ = ["DiagonalSSMConfig", "EchoConfig", "GRUConfig", "MeanPoolConfig", "RecurrentConfig"]
