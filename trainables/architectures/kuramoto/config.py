"""The `kuramoto` family (PhaseGPT): some layers mix positions by synchronising oscillators.

Source:
    PhaseGPT, src/phase_attention.py. As published the mean field covers future positions, the coupling
    repels, raw angles are read out, and the anti-synchronisation controls do nothing; `corrected` fixes all four.
    Also as published: phases start at π·tanh(W x + b), the coupling is learned, ten steps of 0.1, and every
    matrix of the model starts with the same standard deviation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from search_spaces.kuramoto import SEARCH, SPACES
from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.kuramoto.fields import CoherenceForm, Readout, Sign
from trainables.architectures.kuramoto.probes import PROBES
from trainables.architectures.layer_placement import LayerIndices, check_layers_exist, with_middle_layer
from trainables.registry import register_architecture

if TYPE_CHECKING:
    from trainables.architectures.kuramoto.mixer import KuramotoMixer
    from trainables.layers.mixer import Mixer

AS_PUBLISHED: dict[str, Any] = {
    "causal": False,
    "sign": "repulsive",
    "readout": "angle",
    "controls_act": False,
    "coherence_layers": "last",
    "learn_coupling": True,
    "num_steps": 10,
    "dt": 0.1,
    "bias": True,
    "residual_init": "plain",
}
"""The published code at any size; the remaining fields are sizes, layer indices and strengths."""

CONTROLS = ("phase_noise", "frequency_jitter", "coherence_weight")
"""Strengths of the anti-synchronisation controls; 0 is off."""


@register_architecture("kuramoto", version=1)
class KuramotoConfig(BackboneConfig):
    """Attention in all layers except `phase_layers`, which have coupled oscillators.

    `fidelity: as_published` sets the defaults of every field in `AS_PUBLISHED`; each can still be overridden, so
    that `as_published` with `causal: true` is the published layer without its leak. Two of them, `bias` and
    `residual_init`, affect the whole model: set them equally in the study's other arms.
    """

    spaces = SPACES
    published = AS_PUBLISHED
    probes = PROBES
    added = {"coherence_layers": "all", "frequency_std": 0.1, "phase_weight": 1.0, "padding_token": None}
    noise_per_sequence = ("dropout", "phase_noise")
    """Strengths of noise that is drawn anew for each sequence; `frequency_jitter` is one draw a forward pass."""

    name: Literal["kuramoto"] = "kuramoto"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    """`as_published`: non-causal, repulsive, raw angles, inert controls, and in the whole model biases and plain
    initialisation. `corrected`: this class's defaults."""
    phase_layers: LayerIndices = ()
    """0-based layers with oscillators instead of attention. Default: the middle layer."""
    phase_weight: float = Field(1.0, gt=0, le=1)
    """Weight w of the oscillators in a phase layer; softmax attention, non-causal if the mean field is, has the
    other 1 − w. 1: oscillators alone; .5: PhaseGPT's HybridAttention."""
    num_oscillators: int = Field(32, ge=1)
    """Oscillators per head."""
    coupling: float = Field(1.0, ge=0)
    """Initial coupling strength K of every head, in radians per unit of model time."""
    learn_coupling: bool = True
    frequency_std: float = Field(0.1, ge=0)
    """Standard deviation of the initial natural frequencies, radians per unit of model time."""
    num_steps: int = Field(10, ge=1)
    """Euler steps of the dynamics in one forward pass."""
    dt: float = Field(0.1, gt=0)
    """Euler step, in units of model time."""
    causal: bool = True
    """Whether the mean field at t covers positions up to t only."""
    sign: Sign = "attractive"
    readout: Readout = "cos_sin"
    padding_token: int | None = Field(None, ge=0)
    """Token that pulls no other position in the phase layers: the padding mask that the published layer takes, and
    that the published model never gives it. None: every token pulls."""
    controls_act: bool = True
    """Whether noise, jitter and the regulariser affect training; as published they do not."""
    phase_noise: float = Field(0.0, ge=0)
    """Standard deviation of a normal kick after each step in training, radians."""
    frequency_jitter: float = Field(0.0, ge=0)
    """Relative standard deviation of the frequencies, drawn for each forward pass in training."""
    coherence_weight: float = Field(0.0, ge=0)
    """Weight λ of the regulariser of the order parameter R over oscillators, in nats a token."""
    coherence_target: float = Field(0.45, ge=0, le=1)
    """Target R* of the regulariser for the order parameter."""
    coherence_form: CoherenceForm = "ceiling"
    """`ceiling` acts above R* only, `centre` on both sides, `band` beyond R* ± 0.1."""
    coherence_layers: Literal["all", "last"] = "all"
    """Whose oscillators the regulariser sees: those of every phase layer, each with its own penalty, or of the last
    one alone, as published."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in what the fidelity sets, and the middle layer."""
        return with_middle_layer(cls, "phase_layers", super().with_defaults(fields))

    @model_validator(mode="after")
    def _phase_layers_exist(self) -> KuramotoConfig:
        check_layers_exist(self, "phase_layers")
        return self

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Fields for all whose values one memory estimate serves: strengths and signs only scale tensors of equal
        size, and `fidelity` only sets defaults."""
        return frozenset({"fidelity", "coupling", "frequency_std", "sign", "dt", "coherence_target"})

    @property
    def violates(self) -> frozenset[str]:
        """A non-causal mean field with nonzero or learned coupling, or attention beside it, sees the future."""
        return frozenset({"causality"} if self.canonical().get("causal") is False else ())

    @property
    def masked_token(self) -> int | None:
        """Padding is masked in phase layers only."""
        return self.padding_token if self.phase_layers else None

    @property
    def microbatch_invariant(self) -> bool:
        """False if noise is drawn per micro-batch, or the regulariser squares a mean over it."""
        return super().microbatch_invariant and self.canonical().keys().isdisjoint(CONTROLS)

    def canonical(self) -> dict[str, Any]:
        """Drop what cannot change the result.

        `fidelity` only sets defaults. Without phase layers nothing of this family remains. Controls that are inert,
        or have weight 0, do not matter. Other dependencies between fields are in `search_spaces.kuramoto`.
        """
        fields = super().canonical()
        own = {name: fields.pop(name) for name in KuramotoConfig.__annotations__ if name != "name"}
        if not self.phase_layers:
            return fields
        for name in CONTROLS:
            if not self.controls_act or own[name] == 0:
                del own[name]
        space = {name: own[name] for name in SEARCH if name in own}
        fixed = {name: own[name] for name in ("phase_layers", "padding_token")}
        if "coherence_weight" in own and len(self.phase_layers) > 1:
            fixed["coherence_layers"] = own["coherence_layers"]
        return {**fields, **fixed, **SEARCH.canonical(space)}

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the default ones and hybrids; with two oscillators, as the slow reference has T×T tensors."""
        hybrids = super().contract_configs(num_oscillators=2, phase_weight=0.5, **sizes)
        return [*super().contract_configs(num_oscillators=2, **sizes), *hybrids[::2]]

    def build_mixer(self, layer: int) -> Mixer:
        """Return oscillators for a phase layer, attention beside them if they have not all the weight."""
        if layer not in self.phase_layers:
            return super().build_mixer(layer)
        phases = self._oscillators(layer)
        if self.phase_weight == 1:
            return phases
        from trainables.architectures.kuramoto.hybrid import HybridMixer
        from trainables.layers.attention import CausalSelfAttention

        attention = CausalSelfAttention(
            self.d_model,
            self.num_heads,
            init_std=self.residual_std,
            dropout=self.dropout,
            bias=self.bias,
            causal=self.causal,
        )
        return HybridMixer(phases, attention, self.phase_weight)

    def _oscillators(self, layer: int) -> KuramotoMixer:
        from trainables.architectures.kuramoto.mixer import Coherence, KuramotoMixer

        acts = self.controls_act
        regulated = self.coherence_weight > 0 and (
            self.coherence_layers == "all" or layer == max(self.phase_layers)
        )
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
            frequency_std=self.frequency_std,
            sign=self.sign,
            causal=self.causal,
            num_steps=self.num_steps,
            dt=self.dt,
            readout=self.readout,
            phase_noise=self.phase_noise if acts else 0.0,
            frequency_jitter=self.frequency_jitter if acts else 0.0,
            coherence=regulariser if regulated else None,
            coherence_has_gradient=acts,
            dropout=self.dropout,
            bias=self.bias,
        )
