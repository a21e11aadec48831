"""The fields of a position encoding; read without PyTorch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from search_spaces.pi_spiral import ENCODING
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
    "22/7",
    "355/113",
    "rope_frequency",
    "prng_table",
    "prng_hash",
    "multi",
]


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
        fields = self.model_dump(mode="json")
        trained_length = fields.pop("trained_length")
        kept = ENCODING.canonical(fields)
        return {**kept, "trained_length": trained_length} if self.scheme == "yarn" else kept
