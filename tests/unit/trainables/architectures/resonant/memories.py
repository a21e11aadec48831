"""Memories that tests build, and what tests ask of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.architectures.resonant.memory.base import Memory, MemoryState
from trainables.architectures.resonant.memory.decay import PhaseChangeOffset, T2Decay
from trainables.architectures.resonant.memory.phase_lattice import PhaseLatticeMemory
from trainables.architectures.resonant.memory.phase_vector import HybridMemory, PhaseVectorMemory
from trainables.layers.local_attention import LocalAttention
from trainables.randomness import initialise

D = 8
PUBLISHED: dict[str, Any] = {"rotation": "post", "counter": "global", "reset": False}


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ready(memory: Any) -> Any:
    initialise(memory, 0)
    return memory.double().eval()


def pvm(d_model: int = D, **fields: Any) -> PhaseVectorMemory:
    return ready(PhaseVectorMemory(d_model, **fields))


def hybrid(window: int = 5, **fields: Any) -> HybridMemory:
    attention = LocalAttention(D, 2, window, init_std=0.3, dropout=0.0, bias=True)
    return ready(HybridMemory(PhaseVectorMemory(D, **fields), attention, weight=0.3))


def lattice(d_model: int = 64, **fields: Any) -> PhaseLatticeMemory:
    memory = ready(PhaseLatticeMemory(d_model, init_std=0.2, bias=True, **fields))
    with torch.no_grad():
        memory.omega_C.add_(inputs(memory.num_cells, seed=1))
        memory.phase_C.add_(inputs(memory.num_cells, seed=2))
    return memory


def passed(memory: Memory, x_BTD: Tensor, times: int = 1) -> None:
    """Run forward passes in training mode, and go back to evaluation."""
    memory.train()
    for _ in range(times):
        memory(x_BTD)
    memory.eval()


def assert_streams(memory: Memory, x_BTD: Tensor) -> None:
    """Compare one pass with single steps, and with two pieces."""
    whole = memory.run(x_BTD)
    state: MemoryState | None = None
    for position, x_BD in enumerate(x_BTD.unbind(1)):
        y_BD, trace_BD, state = memory.step(x_BD, state)
        torch.testing.assert_close(y_BD, whole.y_BTD[:, position])
        torch.testing.assert_close(trace_BD, whole.trace_BTD[:, position])
        assert state.num_bytes <= memory.state_bytes(len(x_BTD), torch.float64)
    assert state is not None
    assert state.position == x_BTD.shape[1] == whole.state.position
    torch.testing.assert_close(state.memory_BD, whole.state.memory_BD)
    assert state.num_bytes == memory.state_bytes(len(x_BTD), torch.float64)
    first = memory.run(x_BTD[:, :17])
    torch.testing.assert_close(memory.run(x_BTD[:, 17:], first.state).y_BTD, whole.y_BTD[:, 17:])


MEMORIES = {
    "written": pvm,
    "t2-exp": lambda: pvm(t2=T2Decay(steps=50.0)),
    "t2-resonant-pcm": lambda: pvm(
        rotation="post", t2=T2Decay(mode="resonant", k=0.05, alpha=0.5), pcm=PhaseChangeOffset(D, init_std=0.5)
    ),
    "t2-kept-in-what-is-read": lambda: pvm(t2=T2Decay(steps=20.0, fades_read=False)),
    "forgets-all": lambda: pvm(beta=0.0),
    "forgets-nothing": lambda: pvm(beta=1.0),
    "hybrid": hybrid,
    "hybrid-of-one": lambda: hybrid(window=1),
}
LATTICES = {
    "lattice": lattice,
    "lattice-oblong": lambda: lattice(24, grid_x=2, grid_y=3),
    "lattice-of-one": lambda: lattice(D, grid_x=1, grid_y=1),
    "lattice-stiff": lambda: lattice(32, kappa=0.9 / 8),
    "lattice-t2-pcm": lambda: lattice(
        32, kappa=0.9 / 8, t2=T2Decay(steps=50.0), pcm=PhaseChangeOffset(32, init_std=0.5)
    ),
    "lattice-t2-resonant": lambda: lattice(
        24, grid_x=2, grid_y=3, t2=T2Decay(mode="resonant", k=0.05, alpha=0.5, fades_read=False)
    ),
    "lattice-t2-uncoupled": lambda: lattice(32, beta=0.0, kappa=0.0, t2=T2Decay(steps=50.0)),
}
ODD: dict[str, Callable[[], PhaseVectorMemory]] = {
    "odd-written": lambda: pvm(7),
    "odd-read-carried": lambda: pvm(7, **PUBLISHED),
    "odd-t2-pcm": lambda: pvm(7, rotation="post", t2=T2Decay(steps=50.0), pcm=PhaseChangeOffset(7, init_std=0.5)),
    "one-channel": lambda: pvm(1),
}
EVERY = MEMORIES | LATTICES | ODD
