"""Phase-lattice memory: oscillating cells on a torus that decay, couple to their neighbours and rotate.

The published file is not public. Known are its options (grid, α, β, ω, the Laplacian's κ, gate) and, from the
parameter counts in the authors' logs (33,599,564 for two blocks of width 2,048), its size: two D×D linear layers
with biases, one gate, and 32 scalars, two for each of 4×4 cells. This module is this project's proposal
of that size.

Shapes: B batch, T positions, D channels, C = X·Y cells of K = D/C channels.
"""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainables.architectures.resonant.memory.base import MemoryOutput, MemoryState
from trainables.architectures.resonant.memory.decay import PhaseChangeOffset, T2Decay
from trainables.architectures.resonant.memory.fading import FadingMemory
from trainables.layers.decayed_sum import ScanState, decayed_sum, widened
from trainables.layers.mixer import ResidualProjection
from trainables.layers.phase_scan import Pair
from trainables.randomness import Constant, Initializer

ROUNDING = 1e-12
"""A value below 0 by at most this counts as 0."""


def hartley(size: int, device: torch.device) -> Tensor:
    """Return the orthogonal, symmetric Hartley matrix cas(2π·jk/size)/√size in float64; cas = cos + sin.

    It diagonalises every symmetric coupling on a ring.
    """
    index = torch.arange(size, dtype=torch.float64, device=device)
    angle = 2 * math.pi * torch.outer(index, index) / size
    return (angle.cos() + angle.sin()) / math.sqrt(size)


def laplacian_modes(grid: tuple[int, int]) -> list[float]:
    """Return the eigenvalues of the Laplacian Σ_n (S_n − S_c) on a torus, in the order of `hartley`'s products."""
    rings = [[2 * math.cos(2 * math.pi * wave / size) - 2 for wave in range(size)] for size in grid]
    return [along_x + along_y for along_x, along_y in itertools.product(*rings)]


class PhaseLatticeMemory(FadingMemory):
    """S_c ← β·S_c + α·z_c + κ·Σ_n (S_n − S_c) over the four neighbours n of cell c on a torus, with z = W_in·x + b.

    What is read is S̃_c = R(θ_c)·S_c with θ_c = ω_c·log(1 + t) + φ_c, ω_c and φ_c learned, channel k of a cell
    rotating with channel k + K/2; then y = x + σ(g)·(W_out·S̃ + b), with g learned. The trace is W_out·S̃ + b.

    The update is linear and the same at every position, so it is computed in the basis of the torus's waves, in
    which cells are decoupled: one exponential memory per channel, in O(T).

    A T2 decay d replaces β at every position, and what leaks stays the same share of what is kept: κ·d/β.

    Args:
        d_model: Width D; a multiple of 2·X·Y.
        grid_x: Cells X along one side.
        grid_y: Cells Y along the other.
        alpha: α, the factor of an input when it is written.
        beta: β in [0, 1], the decay factor of a cell at every position.
        omega: Initial value of every ω_c, in radians per unit of logarithmic time.
        kappa: Coupling κ >= 0 to each neighbour. On a side of two cells both neighbours are the same cell.
        gate_init: Initial value of g.
        t2: A decay that replaces β and may also multiply S̃, or None.
        pcm: An offset added to S̃, or None.
        init_std: Initial standard deviation of W_out.
        bias: Whether there are biases.

    Raises:
        ValueError: If the width cannot be split into cells, or κ is so large compared with β that a wave would
            change its sign at every position.

    Source:
        This project's proposal; options from attention-free-phase-blocks, src/train.py.
    """

    name: ClassVar[str] = "plm"

    def __init__(
        self,
        d_model: int,
        *,
        init_std: float,
        bias: bool,
        grid_x: int = 4,
        grid_y: int = 4,
        alpha: float = 0.10,
        beta: float = 0.90,
        omega: float = 6.0,
        kappa: float = 0.05,
        gate_init: float = -2.0,
        t2: T2Decay | None = None,
        pcm: PhaseChangeOffset | None = None,
    ) -> None:
        super().__init__()
        num_cells = grid_x * grid_y
        if d_model % (2 * num_cells):
            raise ValueError(f"d_model={d_model} must be a multiple of {2 * num_cells}: cells of an even width")
        self.d_model, self.grid, self.num_cells = d_model, (grid_x, grid_y), num_cells
        self.alpha, self.beta, self.kappa = alpha, beta, kappa
        self.t2, self.pcm = t2, pcm
        self.to_cells = nn.Linear(d_model, d_model, bias=bias)
        self.out = ResidualProjection(d_model, d_model, init_std=init_std, bias=bias)
        self.gate = nn.Parameter(torch.tensor(gate_init))
        self.omega_C = nn.Parameter(torch.full((num_cells,), omega))
        self.phase_C = nn.Parameter(torch.zeros(num_cells))
        self.initializers: dict[str, Initializer] = {
            "gate": Constant(gate_init),
            "omega_C": Constant(omega),
            "phase_C": Constant(0.0),
        }
        self.retained = [beta + kappa * mode for mode in laplacian_modes(self.grid)]
        if not (0 <= beta <= 1 and kappa >= 0 and min(self.retained) >= -ROUNDING):
            raise ValueError(
                f"beta={beta} must be in [0, 1] and kappa={kappa} in [0, {beta / 8:g}]: "
                "the most uneven wave on the lattice keeps beta - 8 kappa of itself"
            )
        self.register_buffer("passes", torch.zeros((), dtype=torch.long), persistent=self.stateful)

    def run(self, x_BTD: Tensor, state: MemoryState | None = None) -> MemoryOutput:
        """Write and read at every position; see `Memory.run`."""
        self.count_pass()
        if state is None:
            state = MemoryState(widened(x_BTD.new_zeros(x_BTD.shape[0], self.d_model)), 0)
        written_BTD = self.alpha * widened(self.to_cells(x_BTD))
        local_T = state.position + torch.arange(1, x_BTD.shape[1] + 1, device=x_BTD.device)
        waves_BTD, scan = decayed_sum(
            self._waves(written_BTD),
            log_decay=self._log_decay(local_T, written_BTD.dtype),
            state=ScanState(self._waves(state.memory_BD)),
        )
        turned_BTD = self.faded(self._turned(self._waves(waves_BTD), state.position), local_T)
        trace_BTD = widened(self.out(turned_BTD.to(x_BTD.dtype)))
        y_BTD = x_BTD + (self.gate.sigmoid() * trace_BTD).to(x_BTD.dtype)
        last = MemoryState(self._waves(scan.memory), state.position + x_BTD.shape[1])
        return MemoryOutput(y_BTD, trace_BTD, last)

    def _log_decay(self, local_T: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the logarithm of the share of every wave that is kept, (D,), or with a T2 decay (T, D)."""
        t2 = self.t2_now()
        kept_C = torch.tensor(self.retained, dtype=dtype, device=local_T.device).clamp(min=0)
        if t2 is None:
            return kept_C.log().repeat_interleave(self.d_model // self.num_cells)
        share_C = kept_C / self.beta if self.beta > 0 else torch.ones_like(kept_C)
        log_TC = t2.log_decay(local_T).to(dtype).unsqueeze(-1) + share_C.log()
        return log_TC.repeat_interleave(self.d_model // self.num_cells, dim=-1)

    def _waves(self, cells_xD: Tensor) -> Tensor:
        """Transform cells to waves, or waves to cells: the transform is its own inverse."""
        basis_CC = torch.kron(*(hartley(size, cells_xD.device) for size in self.grid)).to(cells_xD.dtype)
        with torch.autocast(cells_xD.device.type, enabled=False):
            return (basis_CC @ cells_xD.unflatten(-1, (self.num_cells, -1))).flatten(-2)

    def _turned(self, cells_BTD: Tensor, start: int) -> Tensor:
        """Rotate the cells, each by its own angle."""
        time_T = torch.arange(start, start + cells_BTD.shape[1], dtype=torch.float64, device=cells_BTD.device)
        phase_TC = time_T.log1p().unsqueeze(-1) * self.omega_C + self.phase_C
        phase_TC1 = phase_TC.remainder(2 * math.pi).to(cells_BTD.dtype).unsqueeze(-1)
        cells_BTCK = cells_BTD.unflatten(-1, (self.num_cells, -1))
        return Pair.of_halves(cells_BTCK).rotated(phase_TC1).joined().flatten(-2)

    def state_bytes(self, batch_size: int, dtype: torch.dtype = torch.float32) -> int:
        """Return the size of the state in bytes: D numbers per sequence, in float32 or wider."""
        return batch_size * self.d_model * torch.promote_types(dtype, torch.float32).itemsize

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return the gate's strength, and the norm of all cells at the last position."""
        memory_BD = self.run(x_BTD).state.memory_BD
        return {"plm_gate_strength": self.gate.detach().sigmoid(), "plm_memory_norm": memory_BD.norm(dim=-1).mean()}

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Write, couple and read from the definition, cell by cell and position by position."""
        written_BTXYK = self.alpha * self.to_cells(x_BTD).unflatten(-1, (*self.grid, -1))
        cells_BXYK = torch.zeros_like(written_BTXYK[:, 0])
        share, rows = self.kappa / self.beta if self.beta > 0 else 0.0, []
        for position, written_BXYK in enumerate(written_BTXYK.unbind(1)):
            time_1 = torch.tensor([position + 1], device=x_BTD.device)
            t2 = self.t2_now()
            kept = self.beta if t2 is None else float(t2.decay(time_1))
            neighbours = sum(cells_BXYK.roll(shift, axis) for axis in (1, 2) for shift in (1, -1))
            leaked_BXYK = share * kept * (neighbours - 4 * cells_BXYK)
            cells_BXYK = kept * cells_BXYK + written_BXYK + leaked_BXYK
            angle_XY1 = (self.omega_C * math.log(1 + position) + self.phase_C).view(*self.grid, 1)
            re, im = cells_BXYK.chunk(2, dim=-1)
            cos, sin = angle_XY1.cos(), angle_XY1.sin()
            read_BD = torch.cat((cos * re - sin * im, sin * re + cos * im), -1).flatten(1)
            rows.append(self.faded(read_BD.unsqueeze(1), time_1).squeeze(1))
        y_BTD: Tensor = x_BTD + self.gate.sigmoid() * self.out(torch.stack(rows, 1))
        return y_BTD
