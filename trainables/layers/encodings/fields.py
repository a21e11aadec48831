"""The fields of a position encoding; read without PyTorch."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from search_spaces.pi_spiral import attractor_space, encoding_space
from trainables.schema import Schema

Scheme = Literal[
    "rope",
    "ntk",
    "linear",
    "yarn",
    "alibi",
    "spiral",
    "hybrid",
    "adaptive_hybrid",
    "learned",
    "sinusoidal",
    "none",
]
ConstantName = Literal[
    "pi",
    "e",
    "sqrt2",
    "golden",
    "1",
    "22/7",
    "355/113",
    "rope_frequency",
    "prng_table",
    "prng_hash",
    "multi",
]


ENCODING, ATTRACTOR = encoding_space(), attractor_space()
"""Which fields have an effect, and when."""

AlphaPolicy = Literal["fixed", "exp_c_over_n", "learned"]
Injection = Literal["cross_attention", "residual", "projection"]


class EncodingConfig(Schema):
    """How attention learns of positions."""

    scheme: Scheme = "rope"
    """`rope`: a rotation of queries and keys whose angle grows with the position, one frequency a pair of channels.
    `ntk`, `linear`, `yarn`: the same, extended to a longer context. `alibi`: a bias that falls with the distance.
    `spiral`: phases of an irrational constant. `hybrid`: RoPE up to K, the spiral after it; `adaptive_hybrid`
    learns K. `learned`, `sinusoidal`: vectors added to the embedding. `none`: no positions."""
    applied: Literal["rotary", "added"] = "rotary"
    """Of spirals: `rotary` rotates queries and keys; `added` adds a vector at the input of attention, as published.
    A hybrid that is `added` adds the spiral's vector to queries and keys, next to RoPE's rotation."""
    constant: ConstantName = "pi"
    """Turns a position of a spiral: a constant of `search_spaces.irrational`; `prng_table`, `prng_hash`: a random
    phase for each position; `multi`: pair k of channels turns by the square root of the k-th prime."""
    rates: Literal["one", "multiples"] = "one"
    """Of a spiral: one phase for all pairs of channels, as published, or k times that phase for the k-th."""
    base: float = Field(10_000.0, gt=1)
    """Base of RoPE's frequencies."""
    scale: float = Field(1.0, ge=1)
    """Factor s by which `ntk`, `linear` and `yarn` extend the context."""
    scaled_in_training: bool = True
    """Whether `scale` acts in training too; false: in evaluation only, on weights trained with plain RoPE."""
    trained_length: int | None = Field(None, ge=2)
    """Positions that the weights are trained on, which `yarn` needs. None: those a pretrained model declares."""
    transition: float = Field(16_000.0, gt=0)
    """Position K at which a hybrid is half RoPE and half spiral; where it is learned, the initial one."""
    width: float = Field(1_000.0, gt=0)
    """Positions over which a hybrid changes: the share of the spiral is σ((n − K) / width)."""
    phase_precision: Literal["exact", "float32"] = "exact"
    """`float32`: phases are computed in float32, as published, and so are wrong at far positions."""

    @model_validator(mode="after")
    def _scale_extends(self) -> EncodingConfig:
        if self.scale != 1.0 and self.scheme not in ("ntk", "linear", "yarn"):
            raise ValueError(
                f"scale={self.scale:g} extends scheme=ntk, linear or yarn only, not {self.scheme}: drop it, or "
                "choose one of them"
            )
        return self

    @property
    def is_spiral(self) -> bool:
        """Whether a spiral takes part."""
        return self.scheme in ("spiral", "hybrid", "adaptive_hybrid")

    @property
    def is_hybrid(self) -> bool:
        """Whether RoPE changes to a spiral."""
        return self.scheme in ("hybrid", "adaptive_hybrid")

    def canonical(self) -> dict[str, Any]:
        """Return the fields that have an effect under this scheme."""
        return ENCODING.canonical(self.model_dump(mode="json"))


class AttractorConfig(Schema):
    """A sum over the past whose terms fade and turn, of constant size, added to attention in the last layers."""

    policy: AlphaPolicy = "exp_c_over_n"
    """The factor α by which the sum fades from position to position: `fixed` at `decay`; exp(−c / N); or `learned`,
    from `decay` on."""
    decay: float = Field(0.99, gt=0, lt=1)
    """α where it is fixed; where it is learned, the initial one."""
    c: float = Field(math.pi, ge=0)
    """Of exp(−c / N); π is the published one. 0: nothing fades."""
    length: int | None = Field(256, ge=1)
    """N of exp(−c / N), in positions. None: the length of the input, as published."""
    constant: ConstantName = "pi"
    """Turns a position of the sum's terms, whatever the encoding of attention; `1`: terms do not turn."""
    injection: Injection = "cross_attention"
    """How the sum enters: `cross_attention` of the output of attention over the state's rows; `residual`: a linear
    map of the mean row, which has rank 2; `projection`: a linear map of the whole state."""
    last_layers: int = Field(4, ge=1)
    """Layers, counted from the last one, that have an attractor each."""
    state_width: int | None = Field(None, ge=1)
    """Complex numbers in a state. None: the model's width."""
    read: Literal["causal", "final"] = "causal"
    """Which state a position sees: its own, or, as published, that after the last position, future included."""
    carried: bool = False
    """Whether a sequence starts with the final state of the last one of the training batch before, as published,
    where a batch is one sequence."""
    phase_precision: Literal["exact", "float32"] = "exact"
    """As in the encoding."""

    @model_validator(mode="after")
    def _turns_as_a_whole(self) -> AttractorConfig:
        if self.constant == "multi":
            raise ValueError(
                "constant=multi has a phase for each pair of channels, but an attractor turns as a whole: choose "
                "another constant"
            )
        return self

    @property
    def needs_whole_input(self) -> bool:
        """Whether what a position sees depends on how long the input is, so that it cannot be continued."""
        return self.read == "final" or (self.policy == "exp_c_over_n" and self.length is None)

    @property
    def phases(self) -> EncodingConfig:
        """The encoding whose phases turn the terms."""
        return EncodingConfig(scheme="spiral", constant=self.constant, phase_precision=self.phase_precision)

    def canonical(self) -> dict[str, Any]:
        """Return the fields that have an effect under this policy."""
        return ATTRACTOR.canonical(self.model_dump(mode="json"))
