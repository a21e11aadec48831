"""Kuramoto phase mixing: every position carries oscillators, coupled through a mean field over positions.

Shapes: B batch, H heads, N oscillators of a head, T positions. Time comes last (phase_BHNT), where a prefix
mean is cheapest. Phases are in radians and are not wrapped between steps: the dynamics see them through their
cosine and sine only, so one wrap at the readout gives the same result.

Source:
    Kuramoto (1984), "Chemical oscillations, waves, and turbulence", chapter 5; as a token mixer:
    PhaseGPT, src/phase_attention.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainables.architectures.kuramoto.fields import CoherenceForm, Readout, Sign
from trainables.layers import order_parameters
from trainables.layers.angles import wrap
from trainables.layers.cumulative import cumulative_sum
from trainables.layers.mixer import Mixer, MixerOutput, ResidualProjection
from trainables.randomness import Constant, Initializer, Normal

BAND_HALF_WIDTH = 0.1


def num_coupled(phase_xT: Tensor, *, causal: bool, pulls_xT: Tensor | None = None) -> Tensor:
    """Return how many positions, itself included, each position is coupled to, at least 1; broadcasts to T."""
    if pulls_xT is not None:
        count = cumulative_sum(pulls_xT) if causal else pulls_xT.sum(-1, keepdim=True)
        return count.clamp(min=1)
    num_positions = phase_xT.shape[-1]
    first = 1 if causal else num_positions
    return torch.arange(first, num_positions + 1, dtype=phase_xT.dtype, device=phase_xT.device)


class FieldSum(NamedTuple):
    """Z = Σ_j e^{iθ_j} over the positions seen so far."""

    cos: Tensor
    sin: Tensor


class FieldSums(NamedTuple):
    """What later positions need of those seen so far, if the mean field is causal; its size is constant."""

    num_positions: int
    steps: list[FieldSum]
    """The field of each step of the dynamics."""


def coupling_sum(phase_xT: Tensor, *, causal: bool, pulls_xT: Tensor | None = None) -> Tensor:
    """Return Σ_j sin(θ_j − θ_i) over the positions j (j <= i if `causal`), in O(T).

    With Z = Σ_j e^{iθ_j} the sum is Im(e^{−iθ_i} Z): a token needs only the summed field, never the other
    tokens individually.

    Args:
        phase_xT: Radians.
        causal: Whether later positions are left out.
        pulls_xT: 1 for positions that pull others, 0 for padding; None: all do.
    """
    return _coupling(phase_xT, None, causal=causal, pulls_xT=pulls_xT)[0]


def _coupling(
    phase_xT: Tensor, before: FieldSum | None, *, causal: bool, pulls_xT: Tensor | None = None
) -> tuple[Tensor, FieldSum]:
    """Return the coupling to all positions, those of `before` included, and the field after the last position."""
    cos, sin = phase_xT.cos(), phase_xT.sin()
    own_cos, own_sin = (cos, sin) if pulls_xT is None else (cos * pulls_xT, sin * pulls_xT)
    if causal:
        sum_cos, sum_sin = cumulative_sum(own_cos), cumulative_sum(own_sin)
    else:
        sum_cos, sum_sin = own_cos.sum(-1, keepdim=True), own_sin.sum(-1, keepdim=True)
    if before is not None:
        sum_cos, sum_sin = sum_cos + before.cos.unsqueeze(-1), sum_sin + before.sin.unsqueeze(-1)
    after = FieldSum(sum_cos[..., -1], sum_sin[..., -1])
    return torch.addcmul(sum_sin * cos, sum_cos, sin, value=-1), after


def pairwise_coupling(phase_xT: Tensor, *, causal: bool, pulls_xT: Tensor | None = None) -> Tensor:
    """Compute the mean of sin(θ_j − θ_i) over j from the definition, with an explicit T×T matrix."""
    difference_xTT = phase_xT.unsqueeze(-2) - phase_xT.unsqueeze(-1)  # [i, j] = θ_j − θ_i
    weight_xTT = torch.ones_like(difference_xTT)
    if pulls_xT is not None:
        weight_xTT = weight_xTT * pulls_xT.unsqueeze(-2)
    if causal:
        weight_xTT = weight_xTT.tril()
    return (difference_xTT.sin() * weight_xTT).sum(-1) / weight_xTT.sum(-1).clamp(min=1)


def evolve(
    phase_BHNT: Tensor,
    frequency: Tensor,
    strength: Tensor,
    *,
    dt: float,
    num_steps: int,
    causal: bool,
    phase_noise: float = 0.0,
    before: FieldSums | None = None,
    pulls: Tensor | None = None,
) -> tuple[Tensor, FieldSums]:
    """Advance the phases by explicit Euler steps of θ̇ = ω + K mean_j sin(θ_j − θ_i).

    Args:
        phase_BHNT: Start, radians.
        frequency: ω in radians per unit of model time; any shape that broadcasts to the phases.
        strength: K in radians per unit of model time, likewise. Positive attracts, negative repels.
        dt: Step in units of model time.
        num_steps: Number of steps.
        causal: Whether the mean field at t, in every step, covers the positions up to t only.
        phase_noise: Standard deviation, in radians, of a normal kick added to every phase after every step;
            drawn from torch's default generator.
        before: With a causal mean field, the second result of the call on the preceding positions; None at the
            start of a sequence.
        pulls: As in `coupling_sum`; broadcasts to the phases.

    Returns:
        The phases after the last step, radians, not wrapped; and the sums from which a causal field continues.
    """
    start, fields = before or FieldSums(0, [])
    drift, after = dt * frequency, []
    count = start + num_coupled(phase_BHNT, causal=causal, pulls_xT=pulls)
    gain = dt * strength / count  # mean and step size in one factor
    for step in range(num_steps):
        last = fields[step] if fields else None
        coupling_BHNT, field = _coupling(phase_BHNT, last, causal=causal, pulls_xT=pulls)
        phase_BHNT = torch.addcmul(phase_BHNT + drift, gain, coupling_BHNT)
        if phase_noise > 0:
            phase_BHNT = phase_BHNT + phase_noise * torch.randn_like(phase_BHNT)
        after.append(field)
    return phase_BHNT, FieldSums(start + phase_BHNT.shape[-1], after)


@dataclass(frozen=True, kw_only=True)
class Coherence:
    """A regulariser of the mean order parameter R over oscillators: weight times a squared distance."""

    weight: float
    target: float
    form: CoherenceForm
    """`ceiling` acts above the target only, `centre` on both sides, `band` beyond target ± 0.1."""

    def penalty(self, order: Tensor) -> Tensor:
        """Return the penalty, in nats a token, at the order parameter `order`."""
        excess = order - self.target
        match self.form:
            case "ceiling":
                distance = excess.clamp(min=0)
            case "centre":
                distance = excess
            case "band":
                distance = (excess.abs() - BAND_HALF_WIDTH).clamp(min=0)
        return self.weight * distance.square()


class KuramotoMixer(Mixer):
    """Mixes positions by the synchronisation of their oscillators, then reads the phases out linearly.

    Phases start at π·tanh(W x + b), take `num_steps` steps, and are projected back to the width: as
    (cos θ, sin θ), or as raw angles (`angle`), which jump at ±π.

    Args:
        d_model: Width D.
        num_heads: Heads H; each has its own coupling strength.
        num_oscillators: Oscillators N of a head.
        init_std: Initial standard deviation of the weights of the output projection.
        coupling: Initial coupling strength K0 of every head, radians per unit of model time.
        learn_coupling: Whether K is a parameter or stays at K0.
        frequency_std: Initial standard deviation of the natural frequencies, radians per unit of model time.
        sign: `attractive` is the textbook's mean_j sin(θ_j − θ_i); `repulsive` that of the published code.
        causal: As in `evolve`.
        num_steps: As in `evolve`.
        dt: As in `evolve`.
        readout: Features of the phases that are projected.
        phase_noise: As in `evolve`; in training only.
        frequency_jitter: Relative standard deviation of the frequencies, drawn again for every forward pass in
            training, from torch's default generator.
        coherence: The regulariser, or None.
        coherence_has_gradient: False: the regulariser sees detached phases and has no effect, as published.
        dropout: After the output projection.
        bias: Biases in both projections.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        num_oscillators: int,
        *,
        init_std: float,
        coupling: float,
        learn_coupling: bool,
        frequency_std: float,
        sign: Sign,
        causal: bool,
        num_steps: int,
        dt: float,
        readout: Readout,
        phase_noise: float = 0.0,
        frequency_jitter: float = 0.0,
        coherence: Coherence | None = None,
        coherence_has_gradient: bool = True,
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_oscillators = num_heads, num_oscillators
        self.polarity = 1.0 if sign == "attractive" else -1.0
        self.causal, self.num_steps, self.dt, self.readout = causal, num_steps, dt, readout
        self.phase_noise, self.frequency_jitter = phase_noise, frequency_jitter
        self.coherence, self.coherence_has_gradient = coherence, coherence_has_gradient
        size = num_heads * num_oscillators
        self.to_phase = nn.Linear(d_model, size, bias=bias)
        self.frequency_HN = nn.Parameter(torch.zeros(num_heads, num_oscillators))
        self.initializers: dict[str, Initializer] = {"frequency_HN": Normal(frequency_std)}
        if learn_coupling:
            self.coupling_H = nn.Parameter(torch.full((num_heads,), coupling))
            self.initializers["coupling_H"] = Constant(coupling)
        else:
            # Of the configuration, not of what was learnt: weights of another coupling can be scored at this one.
            self.register_buffer("coupling_H", torch.full((num_heads,), coupling), persistent=False)
        features = 2 * size if readout == "cos_sin" else size
        self.out = ResidualProjection(features, d_model, init_std=init_std, bias=bias)
        self.out_dropout = nn.Dropout(dropout)

    masks_padding = True

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> MixerOutput:
        """Mix; time and memory O(T). Positions where `real_BT` is false pull no others."""
        phase_BHNT = self.phases(x_BTD, real_BT, perturbed=self.training)
        penalty = None
        if self.coherence is not None:
            seen_BHNT = phase_BHNT if self.coherence_has_gradient else phase_BHNT.detach()
            penalty = self.coherence.penalty(order_parameters.over_oscillators(seen_BHNT).mean())
        return MixerOutput(self._read_out(phase_BHNT, x_BTD), penalty)

    def stream(self, x_BTD: Tensor, state: FieldSums | None = None) -> tuple[Tensor, FieldSums] | None:
        """Mix from the fields of the preceding positions on; None if the mean field is not causal."""
        if not self.causal:
            return None
        phase_BHNT, last = self._evolved(x_BTD, state)
        return self._read_out(phase_BHNT, x_BTD), last

    def _read_out(self, phase_BHNT: Tensor, like_BTD: Tensor) -> Tensor:
        feature_BTC = self.features(phase_BHNT).transpose(1, 2)
        y_BTD: Tensor = self.out_dropout(self.out(feature_BTC.to(like_BTD.dtype)))
        return y_BTD

    def phases(self, x_BTD: Tensor, real_BT: Tensor | None = None, *, perturbed: bool = False) -> Tensor:
        """Return the phases after the last step as phase_BHNT, radians, not wrapped, float32 or wider.

        Args:
            x_BTD: The mixer's input.
            real_BT: False at padding, which pulls no other position; None: there is none.
            perturbed: Whether noise and jitter are applied.
        """
        return self._evolved(x_BTD, None, real_BT, perturbed=perturbed)[0]

    def _evolved(
        self, x_BTD: Tensor, before: FieldSums | None, real_BT: Tensor | None = None, *, perturbed: bool = False
    ) -> tuple[Tensor, FieldSums]:
        """Return the phases at positions that continue a sequence, and the fields after them."""
        start_BCT = self.to_phase(x_BTD).transpose(1, 2).contiguous()
        wide = torch.promote_types(start_BCT.dtype, torch.float32)  # a mean over time loses bfloat16's digits
        start_BHNT = math.pi * start_BCT.to(wide).tanh().unflatten(1, (self.num_heads, self.num_oscillators))
        frequency_HN1 = self.frequency_HN.to(wide).unsqueeze(-1)
        if perturbed and self.frequency_jitter > 0:
            frequency_HN1 = frequency_HN1 * (1 + self.frequency_jitter * torch.randn_like(frequency_HN1))
        return evolve(
            start_BHNT,
            frequency_HN1,
            self.polarity * self.coupling_H.to(wide).view(-1, 1, 1),
            dt=self.dt,
            num_steps=self.num_steps,
            causal=self.causal,
            phase_noise=self.phase_noise if perturbed else 0.0,
            before=before,
            pulls=None if real_BT is None else real_BT[:, None, None].to(wide),
        )

    def features(self, phase_BHNT: Tensor) -> Tensor:
        """Return the input of the output projection, as feature_BCT."""
        if self.readout == "angle":
            return wrap(phase_BHNT).flatten(1, 2)
        return torch.cat((phase_BHNT.cos().flatten(1, 2), phase_BHNT.sin().flatten(1, 2)), dim=1)

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Return the order parameters, each with its null, and the coupling strength of every head."""
        phase_BHNT = wrap(self.phases(x_BTD))
        return {**order_parameters.measure(phase_BHNT), "coupling": self.coupling_H.detach()}

    def reference(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> Tensor:
        """Mix without noise from the definition, pair by pair, wrapping at every step."""
        pulls = None if real_BT is None else real_BT[:, None, None].to(x_BTD.dtype)
        start_BTHN = (math.pi * self.to_phase(x_BTD).tanh()).unflatten(-1, (self.num_heads, self.num_oscillators))
        phase_BHNT = start_BTHN.permute(0, 2, 3, 1)
        strength_H11 = self.polarity * self.coupling_H.view(-1, 1, 1)
        for _ in range(self.num_steps):
            pull_BHNT = strength_H11 * pairwise_coupling(phase_BHNT, causal=self.causal, pulls_xT=pulls)
            phase_BHNT = wrap(phase_BHNT + self.dt * (self.frequency_HN.unsqueeze(-1) + pull_BHNT))
        angle_BTC = phase_BHNT.flatten(1, 2).transpose(1, 2)
        feature_BTC = angle_BTC if self.readout == "angle" else torch.cat((angle_BTC.cos(), angle_BTC.sin()), -1)
        y_BTD: Tensor = self.out(feature_BTC)
        return y_BTD
