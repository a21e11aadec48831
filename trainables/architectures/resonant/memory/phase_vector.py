"""Phase-vector memory: an exponential memory whose channels rotate in pairs, by an angle that grows with time.

Shapes: B batch, T positions, D channels; channel k rotates together with channel k + D // 2, and the last of an odd
number does not rotate. Phases are in radians.

Source:
    attention-free-phase-blocks, src/phase_memory.py.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainables.architectures.resonant.fields import Counter, Rotation, Time
from trainables.architectures.resonant.memory.base import Memory, MemoryOutput, MemoryState
from trainables.architectures.resonant.memory.decay import PhaseChangeOffset, T2Decay
from trainables.architectures.resonant.memory.fading import FadingMemory
from trainables.architectures.resonant.phase_embedding import phase_at
from trainables.layers.decayed_sum import ScanState, widened
from trainables.layers.local_attention import LocalAttention
from trainables.layers.phase_scan import Pair, phase_scan
from trainables.randomness import Constant, Initializer


class PhaseVectorMemory(FadingMemory):
    """m_t = β·m_{t−1} + α·s·x_t, read as m̃_t, and y_t = x_t + σ(g)·m̃_t, with g and s learned.

    Rotated by R(θ_t), θ_t = ω·log(1 + u_t) + φ, is what is read (`post`, as published: m̃_t = R(θ_t)·m_t, an
    exponential average seen through a rotation that depends on the position), what is written (`write`, as
    documented: R(θ_t)·x_t replaces x_t, and m̃_t = m_t), or nothing (`none`). The time u_t counts positions from
    1; with `counter` "global", as published, it also counts the training forward passes so far, the current one
    included, so that the phases of a sequence converge as training goes on: 534 positions span 31.1 rad in
    the first training pass, and .39 rad after 8,000.

    Args:
        d_model: Width D.
        alpha: α, the factor of an input when it is written.
        beta: β in [0, 1], the decay factor of the memory at every position.
        omega: ω in radians per unit of (logarithmic) time.
        phase: φ in radians.
        gate_init: Initial value of g.
        input_scale: Initial value of s.
        rotation: What is rotated.
        time: Whether θ grows with log(1 + u) or with u.
        counter: Whether u counts positions only.
        reset: Whether every sequence starts with an empty memory. As published it starts with the batch mean of
            the memories after the previous training forward pass, so that samples see each other.
        t2: A decay that replaces β and also multiplies what is read, or None.
        pcm: An offset added to what is read, or None.

    Raises:
        ValueError: If β is outside [0, 1].
    """

    name: ClassVar[str] = "pvm"

    def __init__(
        self,
        d_model: int,
        *,
        alpha: float = 0.3,
        beta: float = 0.85,
        omega: float = 6.0,
        phase: float = 0.0,
        gate_init: float = -2.0,
        input_scale: float = 4.0,
        rotation: Rotation = "write",
        time: Time = "log",
        counter: Counter = "local",
        reset: bool = True,
        t2: T2Decay | None = None,
        pcm: PhaseChangeOffset | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must be in [0, 1], got {beta}")
        self.d_model = d_model
        self.alpha, self.beta, self.omega, self.phase = alpha, beta, omega, phase
        self.rotation, self.time, self.counter, self.reset = rotation, time, counter, reset
        self.t2, self.pcm = t2, pcm
        self.gate = nn.Parameter(torch.tensor(gate_init))
        self.input_scale = nn.Parameter(torch.tensor(input_scale))
        self.initializers: dict[str, Initializer] = {
            "gate": Constant(gate_init),
            "input_scale": Constant(input_scale),
        }
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))
        self.carried_D: Tensor | None
        self.register_buffer("carried_D", None if reset else torch.zeros(d_model))

    @property
    def stateful(self) -> bool:
        """Whether a training forward pass affects later ones: then no batch may be split or rerun."""
        return not self.reset or self.counter == "global" or super().stateful

    def run(self, x_BTD: Tensor, state: MemoryState | None = None) -> MemoryOutput:
        """Write and read at every position; see `Memory.run`."""
        self.count_pass()
        if state is None:
            state = self.initial_state(x_BTD)
        wide_BTD = widened(x_BTD)
        local_T = state.position + torch.arange(1, x_BTD.shape[1] + 1, device=x_BTD.device)
        phase_TP = self._phases_of_pairs(local_T).to(wide_BTD.dtype)
        read, scan = phase_scan(
            paired(self.alpha * self.input_scale * wide_BTD),
            log_decay=self._log_decay(local_T, wide_BTD.dtype),
            write_phase=phase_TP if self.rotation == "write" else None,
            read_phase=-phase_TP if self.rotation == "post" else None,
            state=ScanState(torch.stack(paired(state.memory_BD))),
        )
        trace_BTD = self.faded(unpaired(read, self.d_model), local_T)
        memory_BD = unpaired(Pair(*scan.memory), self.d_model)
        if self.training and self.carried_D is not None:
            self.carried_D.copy_(memory_BD.detach().mean(0))
        y_BTD = (wide_BTD + self.gate.sigmoid() * trace_BTD).to(x_BTD.dtype)
        return MemoryOutput(y_BTD, trace_BTD, MemoryState(memory_BD, state.position + x_BTD.shape[1]))

    def initial_state(self, x_BTD: Tensor) -> MemoryState:
        """Return the state at the start of the sequences `x_BTD`."""
        memory_BD = widened(x_BTD.new_zeros(x_BTD.shape[0], self.d_model))
        if self.carried_D is not None:
            memory_BD = memory_BD + self.carried_D
        return MemoryState(memory_BD, 0)

    def phases(self, local_T: Tensor) -> Tensor:
        """Return θ at the positions `local_T`, counted from 1, modulo 2π, in float64."""
        count_T = local_T + self.passes if self.counter == "global" else local_T
        return phase_at(count_T, self.omega, self.phase, self.time)

    def _phases_of_pairs(self, local_T: Tensor) -> Tensor:
        """Return θ as (T, 1) for all pairs, or as (T, P) if the last of P has no partner and does not rotate."""
        phase_T1 = self.phases(local_T).unsqueeze(-1)
        if self.d_model % 2 == 0:
            return phase_T1
        return torch.cat((phase_T1.expand(-1, self.d_model // 2), torch.zeros_like(phase_T1)), dim=-1)

    def _log_decay(self, local_T: Tensor, dtype: torch.dtype) -> Tensor | float:
        """Return log β, or, as (T, 1), the T2 decay that replaces it."""
        if (t2 := self.t2_now()) is not None:
            return t2.log_decay(local_T).to(dtype).unsqueeze(-1)
        return math.log(self.beta) if self.beta > 0 else -math.inf

    def state_bytes(self, batch_size: int, dtype: torch.dtype = torch.float32) -> int:
        """Return the size of the state in bytes: D numbers per sequence, in float32 or wider."""
        return batch_size * self.d_model * torch.promote_types(dtype, torch.float32).itemsize

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return the gate's strength, and the last memory's norm and (published as such) mean modulus."""
        memory_BD = self.run(x_BTD).state.memory_BD
        return {
            "pvm_gate_strength": self.gate.detach().sigmoid(),
            "pvm_memory_norm": memory_BD.norm(dim=-1).mean(),
            "pvm_memory_mean_abs": memory_BD.abs().mean(),
        }

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Write and read from the definition, one position after the other."""
        memory_BD = self.initial_state(x_BTD).memory_BD
        rows = []
        for position, x_BD in enumerate(x_BTD.unbind(1)):
            time_1 = torch.tensor([position + 1], device=x_BTD.device)
            theta, t2 = float(self.phases(time_1)), self.t2_now()
            turned_BD = turned(x_BD, theta) if self.rotation == "write" else x_BD
            beta = self.beta if t2 is None else float(t2.decay(time_1))
            memory_BD = beta * memory_BD + self.alpha * self.input_scale * turned_BD
            read_BD = turned(memory_BD, theta) if self.rotation == "post" else memory_BD
            rows.append(x_BD + self.gate.sigmoid() * self.faded(read_BD.unsqueeze(1), time_1).squeeze(1))
        return torch.stack(rows, 1)


def turned(x_xD: Tensor, theta: float) -> Tensor:
    """Return `x_xD` with channels (k, k + D // 2) rotated by θ radians, and the last of an odd D as it is."""
    half = x_xD.shape[-1] // 2
    re_x, im_x, rest_x = x_xD.split((half, half, x_xD.shape[-1] % 2), dim=-1)
    cos, sin = math.cos(theta), math.sin(theta)
    return torch.cat((cos * re_x - sin * im_x, sin * re_x + cos * im_x, rest_x), dim=-1)


def paired(x_xD: Tensor) -> Pair:
    """Pair channel k with channel k + D // 2, and the last of an odd D with 0."""
    if x_xD.shape[-1] % 2 == 0:
        return Pair.of_halves(x_xD)
    half = x_xD.shape[-1] // 2
    re_x, im_x, rest_x = x_xD.split((half, half, 1), dim=-1)
    return Pair(torch.cat((re_x, rest_x), dim=-1), torch.cat((im_x, torch.zeros_like(rest_x)), dim=-1))


def unpaired(pair: Pair, d_model: int) -> Tensor:
    """Return the D channels of `pair`: the inverse of `paired`."""
    half = d_model // 2
    return torch.cat((pair.re[..., :half], pair.im[..., :half], pair.re[..., half:]), dim=-1)


class HybridMemory(Memory):
    """(1 − w)·memory(x) + w·attention(x): a memory for distant tokens, windowed causal attention for near ones.

    The guide's own sketch attends within the last 32 tokens of the sequence, without a mask, and adds arrays of two
    lengths; this one attends at every position to the window up to it.

    Args:
        pvm: The memory; its trace is the hybrid's.
        attention: The attention; unlike the memory's output, its output does not include the input.
        weight: w in [0, 1].

    Source:
        attention-free-phase-blocks, docs/USAGE.md, "Add Custom Memory Mechanisms".
    """

    name: ClassVar[str] = "pvm"

    def __init__(self, pvm: PhaseVectorMemory, attention: LocalAttention, *, weight: float) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must be in [0, 1], got {weight}")
        self.pvm, self.attention, self.weight = pvm, attention, weight

    def run(self, x_BTD: Tensor, state: MemoryState | None = None) -> MemoryOutput:
        """Write, read and attend; see `Memory.run`."""
        output = self.pvm.run(x_BTD, state)
        attended_BTD, recent_BND = self.attention.run(x_BTD, None if state is None else state.recent_BND)
        y_BTD = torch.lerp(output.y_BTD, attended_BTD.to(output.y_BTD.dtype), self.weight)
        return output._replace(y_BTD=y_BTD, state=output.state._replace(recent_BND=recent_BND))

    def state_bytes(self, batch_size: int, dtype: torch.dtype = torch.float32) -> int:
        """Return the memory's size plus that of the window's inputs, in bytes."""
        window = batch_size * (self.attention.window - 1) * self.pvm.d_model * dtype.itemsize
        return self.pvm.state_bytes(batch_size, dtype) + window

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return the memory's probes."""
        return self.pvm.probes(x_BTD)

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Combine the two references."""
        return (1 - self.weight) * self.pvm.reference(x_BTD) + self.weight * self.attention.reference(x_BTD)
