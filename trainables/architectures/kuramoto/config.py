"""The `kuramoto` family (PhaseGPT): some layers mix positions by synchronising oscillators.

Source:
    PhaseGPT, src/phase_attention.py. As published the mean field covers future positions, the coupling
    repels, raw angles are read out, and the anti-synchronisation controls do nothing; `corrected` mends all four.
    Also as published: phases start at π·tanh(W x + b), the coupling is learned, ten steps of 0.1, and every
    matrix of the model starts at one std.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from search_spaces.kuramoto import SEARCH, SPACES
from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.kuramoto.metrics import PROBES
from trainables.architectures.kuramoto.mixer import Coherence, CoherenceForm, KuramotoMixer, Readout, Sign
from trainables.architectures.layer_placement import LayerIndices, check_layers_exist, with_middle_layer
from trainables.layers.mixer import Mixer
from trainables.registry import register_architecture

AS_PUBLISHED: dict[str, Any] = {
    "causal": False,
    "sign": "repulsive",
    "readout": "angle",
    "controls_act": False,
    "learn_coupling": True,
    "num_steps": 10,
    "dt": 0.1,
    "bias": True,
    "residual_init": "plain",
}
"""Everything the published code is, at any size; what is left are sizes, places and strengths."""

CONTROLS = ("phase_noise", "frequency_jitter", "coherence_weight")
"""Strengths of the anti-synchronisation controls; 0 is off."""


@register_architecture("kuramoto", version=1)
class KuramotoConfig(BackboneConfig):
    """Attention everywhere but in `phase_layers`, which hold coupled oscillators.

    `fidelity: as_published` sets the defaults of every field in `AS_PUBLISHED`; each can still be given, so that
    `as_published` with `causal: true` is the published layer without its leak. Two of them, `bias` and
    `residual_init`, are of the whole model: give its other arms the same.
    """

    spaces = SPACES
    published = AS_PUBLISHED
    probes = PROBES
    noise_per_sequence = ("dropout", "phase_noise")

    name: Literal["kuramoto"] = "kuramoto"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    """`as_published`: non-causal, repulsive, raw angles, inert controls, and in the whole model biases and plain
    initialisation. `corrected`: this class's defaults."""
    phase_layers: LayerIndices = ()
    """0-based layers that hold oscillators instead of attention. Unless given: the middle layer."""
    num_oscillators: int = Field(32, ge=1)
    """Oscillators of each head."""
    coupling: float = Field(1.0, ge=0)
    """Initial coupling strength K of every head, in radians per unit of model time."""
    learn_coupling: bool = True
    num_steps: int = Field(10, ge=1)
    """Euler steps of the dynamics in one forward pass."""
    dt: float = Field(0.1, gt=0)
    """Euler step, in units of model time."""
    causal: bool = True
    """Whether the mean field at t covers positions up to t only."""
    sign: Sign = "attractive"
    readout: Readout = "cos_sin"
    controls_act: bool = True
    """Whether noise, jitter and the regulariser reach the training; as published they do not."""
    phase_noise: float = Field(0.0, ge=0)
    """Standard deviation of a normal kick after each step in training, radians."""
    frequency_jitter: float = Field(0.0, ge=0)
    """Relative standard deviation of the frequencies, drawn for each forward pass in training."""
    coherence_weight: float = Field(0.0, ge=0)
    """Weight λ of the regulariser of the order parameter R over oscillators, in nats a token."""
    coherence_target: float = Field(0.45, ge=0, le=1)
    """Order parameter R* that the regulariser aims at."""
    coherence_form: CoherenceForm = "ceiling"
    """`ceiling` acts above R* only, `centre` on both sides, `band` beyond R* ± 0.1."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Write out what the fidelity sets, and the middle layer."""
        return with_middle_layer(cls, "phase_layers", super().with_defaults(fields))

    @model_validator(mode="after")
    def _phase_layers_exist(self) -> KuramotoConfig:
        check_layers_exist(self, "phase_layers")
        return self

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Strengths and signs multiply the same tensors; `fidelity` only sets defaults."""
        return frozenset({"fidelity", "coupling", "sign", "dt", "coherence_target"})

    @property
    def violates(self) -> frozenset[str]:
        """A mean field that matters, or can come to, and is not causal looks into the future."""
        return frozenset({"causality"} if self.canonical().get("causal") is False else ())

    @property
    def microbatch_invariant(self) -> bool:
        """Noise is drawn for each micro-batch, and the regulariser squares a mean over it."""
        return super().microbatch_invariant and self.canonical().keys().isdisjoint(CONTROLS)

    def canonical(self) -> dict[str, Any]:
        """Drop what cannot change the result.

        `fidelity` only sets defaults. Without phase layers nothing of this family remains. Controls that do not
        act, or have weight 0, do not matter. What else depends on what, `search_spaces.kuramoto` says.
        """
        fields = super().canonical()
        own = {name: fields.pop(name) for name in KuramotoConfig.__annotations__ if name != "name"}
        if not self.phase_layers:
            return fields
        for name in CONTROLS:
            if not self.controls_act or own[name] == 0:
                del own[name]
        space = {name: own[name] for name in SEARCH if name in own}
        return {**fields, "phase_layers": own["phase_layers"], **SEARCH.canonical(space)}

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the default ones with two oscillators: the slow reference holds T×T tensors of each."""
        return super().contract_configs(num_oscillators=2, **sizes)

    def build_mixer(self, layer: int) -> Mixer:
        """Return oscillators for a phase layer, attention for any other."""
        if layer not in self.phase_layers:
            return super().build_mixer(layer)
        acts = self.controls_act
        regulariser = Coherence(
            weight=self.coherence_weight, target=self.coherence_target, form=self.coherence_form
        )
        return KuramotoMixer(
            self.d_model,
            self.num_heads,
            self.num_oscillators,
            init_std=self.residual_std,
            coupling=self.coupling,
            learn_coupling=self.learn_coupling,
            sign=self.sign,
            causal=self.causal,
            num_steps=self.num_steps,
            dt=self.dt,
            readout=self.readout,
            phase_noise=self.phase_noise if acts else 0.0,
            frequency_jitter=self.frequency_jitter if acts else 0.0,
            coherence=regulariser if self.coherence_weight > 0 else None,
            coherence_has_gradient=acts,
            dropout=self.dropout,
            bias=self.bias,
        )
