"""Temporal phase integration: a sum over the past whose terms rotate by phases accumulated over the tokens.

    φ_t = Σ_{j≤t} |a| ω(x_j),  r_t = e^{−iφ_t} Σ_{j≤t} w(t, j) m_j x_j e^{iφ_j}  [ / M_t or √M_t ]
    M_t = Σ_{j≤t} w(t, j) m_j
    y_t = W_o [x_t cos φ_t, x_t sin φ_t, Re r_t, Im r_t]

Without the normaliser r_t = w e^{−i|a|ω_t} r_{t−1} + m_t x_t: a diagonal complex state-space model whose frequency
depends on the token. Shapes: B batch, T positions, D channels, F features. Phases are in radians.

Source:
    TPI (hartflow), version dfbbc17, and its notes on decoupling.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.tpi.associative_memory import AssociativeMemory
from trainables.architectures.tpi.fields import Decay, Magnitude
from trainables.architectures.tpi.phases import (
    PhaseForm,
    Phases,
    PhaseState,
    PhaseTrajectory,
    full_turns,
    saturation,
)
from trainables.layers.decayed_sum import ScanState, widened
from trainables.layers.fields import Normalise
from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection
from trainables.layers.order_parameters import expected_resultant, resultant
from trainables.layers.phase_scan import Pair, phase_scan
from trainables.layers.phase_scan_reference import phase_scan_recurrence
from trainables.randomness import Constant, Initializer

LARGEST_MAGNITUDE = 5.0
"""m = 5·σ(W x + b). Source: version dfbbc17."""


class TemporalState(NamedTuple):
    """The state after some positions, of a size independent of their number."""

    phases: PhaseState
    scan: ScanState
    memory: ScanState | None
    """Of the associative memory, if there is one."""


class TemporalPhaseMixer(Mixer):
    """Mixes positions by a phase scan with phases computed from the tokens.

    Args:
        d_model: Width D.
        phases: Form of the phases.
        init_std: Initial standard deviation of the last weights of the output map.
        window: Positions in the sum, the current one included; None: all of the past.
        decay: Whether the past decays by one trained factor λ.
        decay_init_window: Initial value of 1 / (1 − λ), in tokens.
        magnitude: The weight m of a token: `sigmoid` 5·σ(W x + b), or 1.
        normalise: Whether the sum is divided by that of the weights, or by its square root.
        expansion: Hidden widths of the output map, as multiples of D; none: one linear map.
        expansion_norm: A norm before each of its hidden layers.
        memory_size: Size of the keys of an additional associative memory; 0: none.
        diversity_weight: Weight λ of the penalty on phases that stay together, in nats a token.
        double_residual: Whether the mixer also adds its normed input, as published.
        dropout: Before the last layer of an output map with hidden layers, after a linear one.
        bias: Biases in all linear maps and norms.
    """

    def __init__(
        self,
        d_model: int,
        phases: PhaseForm,
        *,
        init_std: float,
        window: int | None = None,
        decay: Decay = "none",
        decay_init_window: float = 64.0,
        magnitude: Magnitude = "sigmoid",
        normalise: Normalise = "sum",
        expansion: tuple[int, ...] = (),
        expansion_norm: bool = False,
        memory_size: int = 0,
        diversity_weight: float = 0.0,
        double_residual: bool = False,
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.window, self.normalise, self.double_residual = window, normalise, double_residual
        self.diversity_weight = diversity_weight if phases.is_trained else 0.0
        self.phases = PhaseTrajectory(d_model, phases, bias=bias)
        self.to_magnitude = nn.Linear(d_model, d_model, bias=bias) if magnitude == "sigmoid" else None
        self.decay_logit: nn.Parameter | None = None
        self.initializers: dict[str, Initializer] = {}
        if decay == "learned":
            start = math.log(decay_init_window - 1)
            self.decay_logit = nn.Parameter(torch.tensor(start))
            self.initializers["decay_logit"] = Constant(start)
        num_features = d_model * (2 + phases.is_seen + phases.reads)
        self.out = output_map(
            num_features, d_model, expansion, norm=expansion_norm, init_std=init_std, dropout=dropout, bias=bias
        )
        self.memory: AssociativeMemory | None = None
        if memory_size:
            self.memory = AssociativeMemory(d_model, memory_size, init_std=init_std, bias=bias)

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Mix; time and memory O(T)."""
        y_BTD, phases, _ = self._mix(x_BTD, None)
        return MixerOutput(y_BTD, self._penalty(phases))

    def stream(self, x_BTD: Tensor, state: TemporalState | None = None) -> tuple[Tensor, TemporalState]:
        """Mix from a state on."""
        y_BTD, _, last = self._mix(x_BTD, state)
        return y_BTD, last

    def _mix(self, x_BTD: Tensor, state: TemporalState | None) -> tuple[Tensor, Phases, TemporalState]:
        """Return the output at positions that continue a sequence, their phases, and the state after them."""
        phases, phase_state = self.phases.stream(x_BTD, state and state.phases)
        read, scan = phase_scan(
            x_BTD,
            log_decay=self.log_decay(),
            write_phase=phases.written,
            read_phase=phases.read,
            magnitude=self.magnitude(x_BTD),
            window=self.window,
            normalise=self.normalise,
            state=state and state.scan,
        )
        y_BTD: Tensor = self.out(self._features(x_BTD, phases, read).to(x_BTD.dtype))
        memory = None
        if self.memory is not None:
            recalled_BTD, memory = self.memory.stream(x_BTD, state and state.memory)
            y_BTD = y_BTD + recalled_BTD
        if self.double_residual:
            y_BTD = x_BTD + y_BTD
        return y_BTD, phases, TemporalState(phase_state, scan, memory)

    def magnitude(self, x_BTD: Tensor) -> Tensor | None:
        """Return m of every token and channel; None if it is 1."""
        return None if self.to_magnitude is None else LARGEST_MAGNITUDE * self.to_magnitude(x_BTD).sigmoid()

    def log_decay(self) -> Tensor | None:
        """Return ln λ, a scalar; None without decay."""
        return None if self.decay_logit is None else functional.logsigmoid(widened(self.decay_logit))

    def _features(self, x_BTD: Tensor, phases: Phases, read: Pair) -> Tensor:
        """Return the input of the output map, without features that are 0 for every input."""
        x_BTD = widened(x_BTD)
        seen = [x_BTD]
        if phases.seen is not None:
            seen = [x_BTD * phases.seen.cos(), x_BTD * phases.seen.sin()]
        return torch.cat([*seen, read.re, *([] if phases.read is None else [read.im])], dim=-1)

    def _penalty(self, phases: Phases) -> Tensor | None:
        """Return λ · mean over sequences and channels of |mean over time of e^{iφ}|²."""
        if self.diversity_weight == 0 or phases.written is None:
            return None
        together = phases.written.cos().mean(-2).square() + phases.written.sin().mean(-2).square()
        return self.diversity_weight * together.mean()

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Mix one position after the other, with phases that are accumulated separately for each."""
        written_BTD, read_BTD, seen_BTD = self.phases.reference(x_BTD)
        m_BTD = None if self.to_magnitude is None else 5 / (1 + (-self.to_magnitude(x_BTD)).exp())
        r = phase_scan_recurrence(
            x_BTD,
            log_decay=None if self.decay_logit is None else self.decay_logit.sigmoid().log(),
            write_phase=written_BTD,
            read_phase=read_BTD,
            magnitude=m_BTD,
            window=self.window,
            normalise=self.normalise,
        )
        form = self.phases.form
        features = [x_BTD * seen_BTD.cos(), *([x_BTD * seen_BTD.sin()] if form.is_seen else [])]
        features += [r.re, *([r.im] if form.reads else [])]
        y_BTD: Tensor = self.out(torch.cat(features, dim=-1))
        if self.memory is not None:
            y_BTD = y_BTD + self.memory.reference(x_BTD)
        return x_BTD + y_BTD if self.double_residual else y_BTD

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return the learned window, and how far and how uniformly the phases rotate."""
        found: dict[str, Tensor] = {}
        if self.decay_logit is not None:
            found["tpi_window"] = 1 + widened(self.decay_logit.detach()).exp()
        phase = self.phases(x_BTD).written
        if phase is not None:
            found["tpi_phase_variance"] = 1 - resultant(phase, -2).mean()
            found["tpi_phase_variance_null"] = torch.tensor(1 - expected_resultant(x_BTD.shape[1]))
        frequency_TD = self.phases.frequency(x_BTD)
        if frequency_TD is not None:
            turned_TD = self.phases.turned(frequency_TD)
            found["tpi_full_turns"] = full_turns(turned_TD)
            if self.phases.form.squash:
                found["tpi_phase_saturation"] = saturation(turned_TD)
        return found


def output_map(
    num_features: int,
    d_model: int,
    expansion: tuple[int, ...],
    *,
    norm: bool,
    init_std: float,
    dropout: float,
    bias: bool,
) -> nn.Sequential:
    """Return the map from features to the residual stream: hidden layers with a GELU each, then a projection.

    Args:
        num_features: F.
        d_model: D.
        expansion: Hidden widths in units of D.
        norm: Whether a norm comes before each hidden layer.
        init_std: Initial standard deviation of the projection's weights.
        dropout: Before the projection; after it if there is no hidden layer.
        bias: Biases everywhere.
    """
    layers: list[nn.Module] = []
    for multiple in expansion:
        layers += [nn.LayerNorm(num_features, bias=bias)] if norm else []
        layers += [nn.Linear(num_features, multiple * d_model, bias=bias), nn.GELU()]
        num_features = multiple * d_model
    projection = ResidualProjection(num_features, d_model, init_std=init_std, bias=bias)
    last = [nn.Dropout(dropout), projection] if expansion else [projection, nn.Dropout(dropout)]
    return nn.Sequential(*layers, *last)
