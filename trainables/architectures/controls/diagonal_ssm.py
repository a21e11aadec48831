"""A diagonal complex state-space model as a mixer: TPI with phases that do not depend on tokens.

Shapes: B batch, T positions, D channels, N complex states.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainables.layers.decayed_sum import ScanState, widened
from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection
from trainables.layers.phase_scan import Pair, cumulative_phase, phase_scan
from trainables.randomness import Initializer, Normal

MEDIAN_WINDOW = 32.0
"""Tokens after which half of the states have decayed to 1/e or less, at initialisation."""
LOG_WINDOW_STD = 1.5
"""Of the natural logarithm of the window: nine of ten states start between 2.7 and 380 tokens."""
FREQUENCY_STD = 1.0
"""Radians a token."""


class DiagonalState(NamedTuple):
    """The state after some positions, of a size independent of their number."""

    phase_N: Tensor
    """By which the last term was rotated, in radians."""
    scan: ScanState


class DiagonalSSMMixer(Mixer):
    """h_t = λ h_{t−1} + √(1 − |λ|²) B x_t, y_t = Re(C h_t), with one trained λ = e^{−ν + iθ} a state.

    Args:
        d_model: Width D.
        num_states: Complex states N.
        init_std: Initial standard deviation of the weights of the output projection C.
        dropout: After the output projection.
        bias: Biases in both projections.

    Source:
        Orvieto et al. (2023), "Resurrecting recurrent neural networks for long sequences" (LRU). Without its D x,
        which the residual stream provides; ln(1/ν) and θ start normal, not uniform on a ring.
    """

    def __init__(self, d_model: int, num_states: int, *, init_std: float, dropout: float, bias: bool) -> None:
        super().__init__()
        self.log_window_N = nn.Parameter(torch.zeros(num_states))
        self.frequency_N = nn.Parameter(torch.zeros(num_states))
        self.initializers: dict[str, Initializer] = {
            "log_window_N": Normal(LOG_WINDOW_STD),
            "frequency_N": Normal(FREQUENCY_STD),
        }
        self.to_state = nn.Linear(d_model, 2 * num_states, bias=bias)
        self.out = ResidualProjection(2 * num_states, d_model, init_std=init_std, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def rate(self) -> Tensor:
        """Return ν = 1 / window of every state, in 1/token."""
        return (-widened(self.log_window_N)).exp() / MEDIAN_WINDOW

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Mix; time and memory O(T)."""
        return MixerOutput(self.stream(x_BTD)[0])

    def stream(self, x_BTD: Tensor, state: DiagonalState | None = None) -> tuple[Tensor, DiagonalState]:
        """Mix from a state on."""
        rate_N = self.rate()
        gain_N = (-torch.expm1(-2 * rate_N)).sqrt()
        re, im = widened(self.to_state(x_BTD)).chunk(2, dim=-1)
        inputs = Pair(gain_N * re, gain_N * im)
        h_BTN, last = diagonal_ssm(inputs, -rate_N, widened(self.frequency_N), state)
        y_BTD: Tensor = self.dropout(self.out(h_BTN.joined().to(x_BTD.dtype)))
        return y_BTD, last

    def reference(self, x_BTD: Tensor) -> Tensor:
        """Mix step by step in complex numbers."""
        wide = torch.promote_types(x_BTD.dtype, torch.complex64)
        rate_N = self.rate()
        factor_N = torch.polar((-rate_N).exp(), self.frequency_N).to(wide)
        input_BTN = torch.complex(*self.to_state(x_BTD).chunk(2, dim=-1)) * (1 - factor_N.abs().square()).sqrt()
        h_BN, states = torch.zeros_like(input_BTN[:, 0]), []
        for input_BN in input_BTN.unbind(1):
            h_BN = factor_N * h_BN + input_BN
            states.append(h_BN)
        state_BTN = torch.stack(states, 1)
        y_BTD: Tensor = self.out(torch.cat((state_BTN.real, state_BTN.imag), dim=-1))
        return y_BTD


def diagonal_ssm(
    inputs: Tensor | Pair,
    log_decay: Tensor | float | None,
    frequency_N: Tensor,
    state: DiagonalState | None = None,
) -> tuple[Pair, DiagonalState]:
    """Return h_t = e^{log_decay + i·frequency} h_{t−1} + u_t for all t, as a phase scan, and the state after it.

    A term that is rotated by −θ j when written and by +θ t when read has been rotated by θ (t − j) in total.

    Args:
        inputs: u, (B, T, N), real or a pair.
        log_decay: Natural logarithm of |λ|, at most 0; see `phase_scan`.
        frequency_N: θ in radians a token.
        state: The second result of the call on the preceding positions; None at the start.
    """
    phase, scan = state or (None, None)
    seq_len = (inputs.re if isinstance(inputs, Pair) else inputs).shape[-2]
    phase_TN, phase = cumulative_phase(-frequency_N.expand(seq_len, -1), start=phase)
    h, scan = phase_scan(inputs, log_decay=log_decay, write_phase=phase_TN, read_phase=phase_TN, state=scan)
    return h, DiagonalState(phase, scan)
