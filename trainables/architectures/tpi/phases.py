"""The phases of temporal phase integration: how far each channel has rotated at each position.

Every token rotates each channel by its frequency, and a channel's phase is the sum of the rotations so far. In the
basic form this one phase is used for writing values, reading sums and the output's view of its input; the variants
use separate ones.
Shapes: B batch, T positions, D channels. Phases are in radians.

Source:
    TPI (hartflow), versions dfbbc17 (simple), 19df922 (atan2), ef2f19c, 6ace416, 2743513 (starts and offsets).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainables.architectures.tpi.fields import Decoupling, Frequency, PhaseInit, QueryOffset
from trainables.layers.decayed_sum import ScanState, decayed_sum, widened
from trainables.layers.phase_scan import cumulative_phase
from trainables.randomness import Constant, Initializer, Normal

SQUASH_LIMIT = 10.0
"""Bound of a squashed phase, in radians. Source: version 19df922."""
SATURATED = 0.95
"""Fraction of that bound beyond which a squashed phase counts as saturated, because it hardly moves any more."""
ADJUSTMENT = 0.1
"""Weight of the own part of a constrained query frequency. Source: notes on decoupling, option B."""


@dataclass(frozen=True, kw_only=True)
class PhaseForm:
    """The form of a mixer's phases."""

    frequency: Frequency = "linear"
    """How ω is computed: `linear` W x + b; `gated` σ(W_g x + b_g) (W x + b); `atan2` the angle of a pair of linear
    maps; `fixed` drawn once and never trained; `none` no rotation at all."""
    frequency_scale: float = 0.001
    """Initial value of the trained factor |a| of each channel (`linear`, `gated`); standard deviation with `fixed`,
    in radians a token. Not used by the others."""
    squash: bool = False
    """Whether the accumulated phase s becomes 10·tanh(s / 10)."""
    decoupling: Decoupling = "none"
    """Frequency of the reading phases: that of writing; a separate `free` one; `constrained` to ω + 0.1·W x."""
    phase_init: PhaseInit = "none"
    """What the token itself adds to every phase: nothing, a linear map, or two with a GELU between."""
    query_offset: QueryOffset = "none"
    """What the token adds to the reading phase, and with `trajectory` also to the one that the output sees."""

    @property
    def writes(self) -> bool:
        """Whether values are rotated when they are written."""
        return self.frequency != "none" or self.phase_init != "none"

    @property
    def is_trained(self) -> bool:
        """Whether training moves the phases by which values are written."""
        return self.frequency in ("linear", "gated", "atan2") or self.phase_init != "none"

    @property
    def reads(self) -> bool:
        """Whether sums are rotated back when they are read."""
        return self.writes or self.query_offset != "none"

    @property
    def is_seen(self) -> bool:
        """Whether the output sees the input rotated by a phase."""
        return self.writes or self.query_offset == "trajectory"


class Phases(NamedTuple):
    """Phases of one pass, each of a shape that broadcasts to (B, T, D), or None if it is 0."""

    written: Tensor | None
    """θ, by which values are rotated when they are written."""
    read: Tensor | None
    """θ', by which the sum is rotated back."""
    seen: Tensor | None
    """The phase by which the output sees the input rotated: the trajectory."""


class PhaseState(NamedTuple):
    """The accumulated rotations after some positions, in radians; None where there is none."""

    written: Tensor | None = None
    read: Tensor | None = None
    """Of decoupled reading phases."""


class PhaseTrajectory(nn.Module):
    """Maps x_BTD to its `Phases`.

    Args:
        d_model: Channels D.
        form: The form of the phases.
        bias: Biases in the linear maps.
    """

    def __init__(self, d_model: int, form: PhaseForm, *, bias: bool) -> None:
        super().__init__()
        self.form = form
        self.initializers: dict[str, Initializer] = {}
        if form.frequency == "fixed":
            self.frequency_D = nn.Parameter(torch.zeros(d_model), requires_grad=False)
            self.initializers["frequency_D"] = Normal(form.frequency_scale)
        elif form.frequency != "none":
            self.to_frequency = nn.Linear(d_model, d_model * (1 + (form.frequency == "atan2")), bias=bias)
        if form.frequency == "gated":
            self.to_gate = nn.Linear(d_model, d_model, bias=bias)
        if form.frequency in ("linear", "gated"):
            self.scale_D = nn.Parameter(torch.full((d_model,), form.frequency_scale))
            self.initializers["scale_D"] = Constant(form.frequency_scale)
        if form.decoupling != "none":
            self.to_query_frequency = nn.Linear(d_model, d_model, bias=bias)
        if form.phase_init == "linear":
            self.to_start: nn.Module = nn.Linear(d_model, d_model, bias=bias)
        elif form.phase_init == "mlp":
            layers = (nn.Linear(d_model, d_model, bias=bias), nn.GELU(), nn.Linear(d_model, d_model, bias=bias))
            self.to_start = nn.Sequential(*layers)
        if form.query_offset != "none":
            self.to_offset = nn.Linear(d_model, d_model, bias=bias)

    def forward(self, x_BTD: Tensor) -> Phases:
        """Return the phases, float32 or wider; the sum over time is formed in float64."""
        return self.stream(x_BTD)[0]

    def stream(self, x_BTD: Tensor, state: PhaseState | None = None) -> tuple[Phases, PhaseState]:
        """Return the phases at positions that continue a sequence, and the state after them."""
        state = state or PhaseState()
        start = None if self.form.phase_init == "none" else widened(self.to_start(x_BTD))
        turned, last = self.accumulated(self.frequency(x_BTD), state.written)
        read = written = _plus(turned, start)
        last_read = None
        if self.form.decoupling != "none":
            turned, last_read = self.accumulated(self.query_frequency(x_BTD), state.read)
            read = _plus(turned, start)
        seen = written
        if self.form.query_offset != "none":
            offset = widened(self.to_offset(x_BTD))
            read = _plus(read, offset)
            seen = _plus(seen, offset) if self.form.query_offset == "trajectory" else seen
        return Phases(written, read, seen), PhaseState(last, last_read)

    def frequency(self, x_BTD: Tensor) -> Tensor | None:
        """Return ω' in radians a token, including the factor |a|: (B, T, D), (T, D) if it is fixed, None if 0.

        The published code normalises the pair of `atan2` first, which does not change its angle.
        """
        match self.form.frequency:
            case "none":
                return None
            case "fixed":
                return widened(self.frequency_D).expand(x_BTD.shape[1], -1)
            case "atan2":
                return torch.atan2(*widened(self.to_frequency(x_BTD)).chunk(2, dim=-1))
            case "linear":
                return self._scaled(self.to_frequency(x_BTD))
            case "gated":
                return self._scaled(self.to_gate(x_BTD).sigmoid() * self.to_frequency(x_BTD))

    def query_frequency(self, x_BTD: Tensor) -> Tensor | None:
        """Return the frequency of decoupled reading phases, in the same form."""
        own_BTD = self.to_query_frequency(x_BTD)
        if self.form.decoupling == "free":
            return self._scaled(own_BTD)
        return _plus(self.frequency(x_BTD), ADJUSTMENT * self._scaled(own_BTD))

    def _scaled(self, frequency_BTD: Tensor) -> Tensor:
        return widened(self.scale_D).abs() * widened(frequency_BTD)

    def turned(self, frequency_TD: Tensor, start: Tensor | None = None) -> Tensor:
        """Return the total rotation so far, Σ_{j≤t} ω'_j in radians, float64, neither squashed nor wrapped."""
        return decayed_sum(frequency_TD.double(), state=None if start is None else ScanState(start))[0]

    def accumulated(
        self, frequency_TD: Tensor | None, start: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the accumulated phase, squashed or wrapped, in the dtype of the frequency, and the last rotation.

        Args:
            frequency_TD: In radians a token.
            start: The second result of the call on the preceding positions; None at the start of a sequence.
        """
        if frequency_TD is None:
            return None, None
        if not self.form.squash:
            return cumulative_phase(frequency_TD, start=start)
        turned_TD = self.turned(frequency_TD, start)
        phase_TD = SQUASH_LIMIT * (turned_TD / SQUASH_LIMIT).tanh()
        return phase_TD.to(frequency_TD.dtype), turned_TD[..., -1, :]

    def reference(self, x_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same phases from the definition: a plain sum in the input's precision, not wrapped."""
        written_BTD = self._slowly(self.frequency(x_BTD), x_BTD)
        read_BTD = written_BTD
        if self.form.decoupling != "none":
            read_BTD = self._slowly(self.query_frequency(x_BTD), x_BTD)
        if self.form.phase_init != "none":
            start_BTD = self.to_start(x_BTD)
            written_BTD, read_BTD = written_BTD + start_BTD, read_BTD + start_BTD
        seen_BTD = written_BTD
        if self.form.query_offset != "none":
            read_BTD = read_BTD + self.to_offset(x_BTD)
            seen_BTD = seen_BTD + self.to_offset(x_BTD) if self.form.query_offset == "trajectory" else seen_BTD
        return written_BTD, read_BTD, seen_BTD

    def _slowly(self, frequency: Tensor | None, like_BTD: Tensor) -> Tensor:
        """Sum the rotations up to each position separately."""
        if frequency is None:
            return torch.zeros_like(like_BTD)
        omega_BTD = frequency.expand_as(like_BTD)
        phase_BTD = torch.stack([omega_BTD[:, : t + 1].sum(1) for t in range(like_BTD.shape[1])], 1)
        return 10 * (phase_BTD / 10).tanh() if self.form.squash else phase_BTD


def _plus(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Add two phases, either of which may be absent."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def saturation(turned_TD: Tensor) -> Tensor:
    """Return the fraction of positions and channels whose squashed phase is beyond .95 of its bound."""
    return ((turned_TD / SQUASH_LIMIT).tanh().abs() > SATURATED).double().mean()


def full_turns(turned_TD: Tensor) -> Tensor:
    """Return the largest rotation of any channel in a sequence, in turns, mean over sequences."""
    return turned_TD.abs().amax((-2, -1)).mean() / (2 * math.pi)
