"""The `tpi` family (temporal phase integration): every layer mixes positions by phases accumulated over tokens.

Source:
    TPI (hartflow) and its notes on decoupling. As published a block adds its normed input twice, positions are
    sinusoidal, the head is untied, linear layers start as Glorot's and there are no feed-forward layers (version 0
    had some, as wide as the model); `corrected` is the same mixer on the backbone of the other families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from search_spaces.suggestions import nearest
from search_spaces.tpi import SEARCH, SPACES, VARIANTS
from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.tpi.fields import Decay, Decoupling, Frequency, Magnitude, PhaseInit, QueryOffset
from trainables.architectures.tpi.probes import PROBES
from trainables.layers.fields import Normalise
from trainables.registry import register_architecture

if TYPE_CHECKING:
    from trainables.layers.mixer import Mixer

AS_PUBLISHED: dict[str, Any] = {
    "double_residual": True,
    "positions": "sinusoidal",
    "tie_head": False,
    "head_bias": True,
    "linear_init": "xavier_uniform",
    "bias": True,
    "ffn_multiplier": 0.0,
    "dropout_at": "output_map",
}
"""The published code around its mixer. The published table of positions ends at 2,048; here it is unlimited."""

AS_BEFORE = {"none": False, "sum": True}
"""Choices of `normalise` that used to be written no and yes: YAML may still say so, and configuration ids do."""


def _normalise(value: Any) -> Any:
    return next((name for name, before in AS_BEFORE.items() if value is before), value)


Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]
"""YAML has no tuples, so a list of integers is accepted."""


@register_architecture("tpi", version=1)
class TPIConfig(BackboneConfig):
    """Temporal phase integration in all layers.

    `variant` sets the defaults of the fields in `VARIANTS`, `fidelity: as_published` of those in `AS_PUBLISHED`;
    each field can still be overridden. All of `AS_PUBLISHED` but the first affect the whole model: set them equally
    in the study's other arms.
    """

    has_heads: ClassVar[bool] = False
    builds = "trainables.architectures.tpi.model:TPIModel"
    spaces = SPACES
    published = AS_PUBLISHED
    probes = PROBES
    added = {"dropout_at": "everywhere"}

    name: Literal["tpi"] = "tpi"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    """`as_published`: the model around the mixer as in the source. `corrected`: this class's defaults."""
    variant: str = Field(
        "v1_simple", description=f"A version of the source, or a control: one of {', '.join(VARIANTS)}."
    )
    frequency: Frequency = "linear"
    """How a token's frequency ω is computed: `linear` W x + b; `gated` that times a sigmoid of another map; `atan2`
    the angle of a pair; `fixed` drawn once, the same for all tokens; `none`: no rotation (an average)."""
    frequency_scale: float = Field(0.001, gt=0)
    """Initial value of the trained factor a of each channel's frequency, in radians a token; with `fixed` the
    standard deviation."""
    squash: bool = False
    """Whether the accumulated phase s becomes 10·tanh(s / 10) radians."""
    decoupling: Decoupling = "none"
    """Frequency of the reading phases: that of writing, a `free` one, or `constrained` to ω + 0.1·W x."""
    phase_init: PhaseInit = "none"
    """What a token adds to the phase of its own position: nothing, a linear map, or two with a GELU between."""
    query_offset: QueryOffset = "none"
    """What a token adds to its reading phase, and with `trajectory` also to the phase that the output sees."""
    window: int | None = Field(None, ge=1)
    """Positions in the sum, the current one included. Default: all of the past."""
    decay: Decay = "none"
    """Whether the past decays by one trained factor per layer."""
    decay_init_window: float = Field(64.0, gt=1)
    """Initial value of 1 / (1 − λ), in tokens, where λ is the decay factor."""
    magnitude: Magnitude = "sigmoid"
    """Weight of a token in the sum: 5·σ(W x + b), or 1."""
    normalise: Annotated[Normalise, BeforeValidator(_normalise)] = "sum"
    """What the sum is divided by: nothing, the sum of the weights, or the square root of that."""
    expansion: Widths = ()
    """Hidden widths of the output map, as multiples of `d_model`, with a GELU after each; none: one linear map."""
    expansion_norm: bool = False
    """Whether there is a norm before each hidden layer of the output map."""
    double_residual: bool = False
    """Whether a layer adds its normed input a second time, as published."""
    memory_size: int = Field(0, ge=0)
    """Size of keys and values of an additional associative memory; 0: none."""
    dropout_at: Literal["everywhere", "output_map"] = "everywhere"
    """Where `dropout` acts: also on embeddings and feed-forward layers, or as published in the output map alone."""
    diversity_weight: float = Field(0.0, ge=0)
    """Weight of the penalty on phases that stay together over time, summed over layers, in nats a token. It has no
    effect on phases that are not trained."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in what the variant and the fidelity set."""
        published = cls.published if fields.get("fidelity") == "as_published" else {}
        variant = fields.get("variant", cls.model_fields["variant"].default)
        return {**published, **(VARIANTS.get(variant, {}) if isinstance(variant, str) else {}), **fields}

    @model_validator(mode="after")
    def _parts_fit(self) -> TPIConfig:
        if self.variant not in VARIANTS:
            raise ValueError(f"unknown variant '{self.variant}'; {nearest(self.variant, VARIANTS)}")
        if self.decoupling != "none" and self.frequency not in ("linear", "gated"):
            raise ValueError(f"decoupling={self.decoupling} needs frequency=linear or gated, not {self.frequency}")
        return self

    @property
    def violates(self) -> frozenset[str]:
        """An untied head with Glorot's large initial weights is confident without training."""
        return frozenset({"chance"} if self.linear_init != "gpt2" and not self.tie_head else ())

    @property
    def shardable(self) -> bool:
        """False with a learned decay (a scalar cannot be sharded) or gradient probes (they need whole weights)."""
        return self.decay == "none" and self.query_offset == "none" and self.decoupling != "free"

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Fields for all whose values one memory estimate serves: initial values change no tensor's size,
        `fidelity` and `variant` only set defaults."""
        return frozenset({"fidelity", "variant", "frequency_scale", "decay_init_window"})

    def canonical(self) -> dict[str, Any]:
        """Drop what cannot change the result according to `search_spaces.tpi`."""
        fields = super().canonical()
        own = {name: fields.pop(name) for name in SEARCH}
        del fields["fidelity"], fields["variant"]
        if self.linear_init != "gpt2":
            del fields["residual_init"]
        kept = SEARCH.canonical(own) if self.num_layers > 0 else {}
        if "normalise" in kept:
            kept["normalise"] = AS_BEFORE.get(self.normalise, self.normalise)
        if self.dropout == 0:
            kept.pop("dropout_at", None)
        elif self.num_layers == 0 and self.dropout_at == "output_map":
            fields["dropout"] = 0.0
        return {**fields, **kept}

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return every variant, with one layer; the default and the published one also with all options."""
        small = {"d_model": 8, "num_layers": 1, "num_heads": 2, "ffn_multiplier": 1.0, **sizes}
        single = [{"variant": name, "dropout": 0.0} for name in VARIANTS]
        options: list[dict[str, Any]] = [
            {"fidelity": "as_published", "d_model": 16, "num_layers": 2, "ffn_multiplier": 0.0},
            {"fidelity": "as_published", "d_model": 16, "variant": "v6_query_offset", "ffn_multiplier": 0.0},
            {"num_layers": 2, "bias": True, "dropout": 0.1, "window": 5, "decay": "learned"},
        ]
        return [cls.model_validate({**small, **option}) for option in (*single, *options)]

    @property
    def outer_dropout(self) -> float:
        """0 if dropout is in the output map alone."""
        return self.dropout if self.dropout_at == "everywhere" else 0.0

    def build_mixer(self, layer: int) -> Mixer:
        """Return the phase mixer, the same in every layer."""
        from trainables.architectures.tpi.mixer import TemporalPhaseMixer
        from trainables.architectures.tpi.phases import PhaseForm

        form = PhaseForm(
            frequency=self.frequency,
            frequency_scale=self.frequency_scale,
            squash=self.squash,
            decoupling=self.decoupling,
            phase_init=self.phase_init,
            query_offset=self.query_offset,
        )
        return TemporalPhaseMixer(
            self.d_model,
            form,
            init_std=self.residual_std,
            window=self.window,
            decay=self.decay,
            decay_init_window=self.decay_init_window,
            magnitude=self.magnitude,
            normalise=self.normalise,
            expansion=self.expansion,
            expansion_norm=self.expansion_norm,
            memory_size=self.memory_size,
            diversity_weight=self.diversity_weight,
            double_residual=self.double_residual,
            dropout=self.dropout,
            bias=self.bias,
        )
