"""The `pi_spiral` family: attention that learns of positions by a chosen encoding, and an attractor beside it.

Source:
    pie-spiral f4f10cd. As published a vector of rank 2 is added to what queries, keys and values are made of, its
    phases are computed in float32, nothing masks later positions, and the attractor shows every position its final
    state, which started with that of the batch before. `corrected`: a spiral rotates queries and keys by exact
    phases, and every position sees what came before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from search_spaces.pi_spiral import SPACES
from trainables.architectures.gpt import BackboneConfig
from trainables.architectures.pi_spiral.probes import PROBES
from trainables.layers.encodings.fields import AttractorConfig, EncodingConfig
from trainables.layers.fields import Positions
from trainables.registry import register_architecture

if TYPE_CHECKING:
    from trainables.layers.mixer import Mixer

PUBLISHED: dict[str, Any] = {
    "residual_init": "plain",
    "bias": True,
    "causal": False,
    "positions_restart": True,
    "encoding": {"applied": "added", "phase_precision": "float32"},
    "attractor": {"length": None, "read": "final", "carried": True, "phase_precision": "float32"},
}
"""What `as_published` sets, within the attractor only if there is one; the rest are sizes."""
PUBLISHED_LEARNED_DECAY = 0.5
"""Where a learned decay starts, as published: a half-life of one token."""

_EMBEDDED: dict[str, Positions] = {"learned": "learned", "sinusoidal": "sinusoidal"}
"""Schemes that add a vector to the embedding."""


class SwitchedAttractor(AttractorConfig):
    """An attractor that a study can turn off by a number, as one factor of a design."""

    last_layers: int = Field(4, ge=0)
    """Layers, counted from the last one, that have an attractor each. 0: none has."""


@register_architecture("pi_spiral", version=1)
class PiSpiralConfig(BackboneConfig):
    """Softmax attention with `encoding` in all layers, and an `attractor` in the last ones."""

    builds = "trainables.architectures.pi_spiral.model:PiSpiralModel"
    spaces = SPACES
    published = PUBLISHED
    probes = PROBES

    name: Literal["pi_spiral"] = "pi_spiral"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    """`as_published` sets the defaults of `PUBLISHED`; each can still be overridden."""
    encoding: EncodingConfig = EncodingConfig(scheme="spiral")
    """How attention learns of positions; the default `scheme` is `spiral`. It decides on `positions`, too."""
    attractor: SwitchedAttractor | None = None
    """A memory of constant size that is added to attention. None: none."""
    causal: bool = True
    """Whether attention sees earlier positions only; as published there is no mask unless the caller makes one."""
    positions_restart: bool = False
    """Whether the first token of every cached step has position 0, as in the published adapter."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in what the fidelity sets, and the positions that the scheme adds to the embedding."""
        encoding, attractor = fields.get("encoding", {}), fields.get("attractor")
        if isinstance(encoding, dict):
            encoding = {"scheme": "spiral", **encoding}
        scheme = encoding.get("scheme") if isinstance(encoding, dict) else getattr(encoding, "scheme", None)
        fields = {"positions": _EMBEDDED.get(str(scheme), "none"), **fields, "encoding": encoding}
        if fields.get("fidelity") != "as_published":
            return fields
        if isinstance(attractor, dict) and attractor.get("policy") == "learned":
            fields["attractor"] = {"decay": PUBLISHED_LEARNED_DECAY, **attractor}
        return super().with_defaults(fields)

    @model_validator(mode="after")
    def _encoding_fits(self) -> PiSpiralConfig:
        scheme, head_width = self.encoding.scheme, self.d_model // self.num_heads
        if self.positions != _EMBEDDED.get(scheme, "none"):
            raise ValueError(
                f"positions={self.positions}: in this family encoding.scheme={scheme} says how positions are "
                "encoded; drop positions"
            )
        if self.fidelity == "as_published" and self.encoding.is_hybrid:
            raise ValueError(
                f"encoding.scheme={scheme}: as published a hybrid raises when it is built or called; set "
                "fidelity: corrected"
            )
        if scheme == "yarn" and self.encoding.trained_length is None:
            raise ValueError("encoding.scheme=yarn needs encoding.trained_length: the task's context_length")
        least = 4 if scheme == "ntk" else 2
        if self.rotates and (head_width % 2 or head_width < least):
            raise ValueError(
                f"d_model={self.d_model} in num_heads={self.num_heads} gives heads of {head_width} channels; "
                f"encoding.scheme={scheme} rotates pairs of them and needs an even number, at least {least}"
            )
        return self

    @property
    def rotates(self) -> bool:
        """Whether queries and keys are rotated."""
        return self.encoding.scheme not in ("alibi", "none", *_EMBEDDED) and not (
            self.encoding.scheme == "spiral" and self.encoding.applied == "added"
        )

    @property
    def violates(self) -> frozenset[str]:
        """Later positions are seen without a mask or in the final state of an attractor, and positions that start
        again are others than those of the whole sequence."""
        if self.num_layers == 0:
            return frozenset()
        broken, attractor = set(), self.active_attractor
        if not self.causal or (attractor is not None and attractor.read == "final"):
            broken.add("causality")
        if self._restart_matters:
            broken.add("stream")
        return frozenset(broken)

    @property
    def active_attractor(self) -> AttractorConfig | None:
        """The attractor, if any layer has one."""
        has_one = self.attractor is not None and self.attractor.last_layers > 0 and self.num_layers > 0
        return self.attractor if has_one else None

    @property
    def _restart_matters(self) -> bool:
        """Whether a sequence can be continued, and something in it depends on where its positions start."""
        if not self.positions_restart or not self.causal:
            return False
        if self.active_attractor is not None:
            return not self.active_attractor.needs_whole_input
        return self.rotates or self.encoding.is_spiral

    @property
    def microbatch_invariant(self) -> bool:
        """False also with a state that is carried from one training batch to the next."""
        attractor = self.active_attractor
        return super().microbatch_invariant and not (attractor is not None and attractor.carried)

    @property
    def shardable(self) -> bool:
        """False with a learned decay or transition, which are scalars, or a state that is carried."""
        attractor = self.active_attractor
        is_plain = attractor is None or (attractor.policy != "learned" and not attractor.carried)
        return is_plain and self.encoding.scheme != "adaptive_hybrid"

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Fields for all whose values one memory estimate serves: `fidelity` only sets defaults."""
        return frozenset({"fidelity", "positions_restart"})

    def canonical(self) -> dict[str, Any]:
        """Drop what cannot change the result: the dependencies within a group are in `search_spaces.pi_spiral`."""
        fields = super().canonical()
        for name in ("fidelity", "positions"):
            fields.pop(name, None)
        fields["encoding"], attractor = self.encoding.canonical(), self.active_attractor
        fields["attractor"] = attractor and attractor.canonical() | {
            "last_layers": min(attractor.last_layers, self.num_layers),
            "state_width": attractor.state_width or self.d_model,
        }
        if not self._restart_matters:
            del fields["positions_restart"]
        if self.num_layers == 0:
            del fields["attractor"], fields["causal"]
            fields["encoding"] = {"scheme": _EMBEDDED.get(self.encoding.scheme, "none")}
        return fields

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return every scheme, spirals of each kind, attractors of each policy and injection, and as published."""
        small = {"d_model": 8, "num_layers": 1, "num_heads": 2, "ffn_multiplier": 1.0, **sizes}
        near = {"transition": 30.0, "width": 9.0}
        encodings: list[dict[str, Any]] = [
            {"scheme": "rope"},
            {"scheme": "ntk", "scale": 4.0},
            {"scheme": "linear", "scale": 4.0, "scaled_in_training": False},
            {"scheme": "yarn", "scale": 4.0, "trained_length": 32},
            {"scheme": "alibi"},
            {"scheme": "spiral"},
            {"scheme": "spiral", "constant": "prng_table", "rates": "multiples"},
            {"scheme": "spiral", "constant": "multi", "applied": "added"},
            {"scheme": "hybrid", **near},
            {"scheme": "adaptive_hybrid", "applied": "added", "constant": "prng_hash", **near},
            {"scheme": "learned"},
            {"scheme": "sinusoidal"},
            {"scheme": "none"},
        ]
        attractors: list[dict[str, Any]] = [
            {},
            {"policy": "learned", "injection": "residual", "last_layers": 1},
            {"policy": "fixed", "injection": "projection", "state_width": 4},
        ]
        options: list[dict[str, Any]] = [
            *({"encoding": encoding} for encoding in encodings),
            *({"attractor": attractor} for attractor in attractors),
            {"num_layers": 2, "bias": True, "dropout": 0.1, "attractor": {"last_layers": 1}},
            {"fidelity": "as_published"},
            {"fidelity": "as_published", "attractor": {}},
            {"fidelity": "as_published", "causal": True, "attractor": {"read": "causal", "length": 64}},
        ]
        return [cls.model_validate({**small, **option}) for option in options]

    def build_mixer(self, layer: int) -> Mixer:
        """Return attention with the encoding, in the last layers with an attractor."""
        from trainables.architectures.pi_spiral.mixer import EncodedAttention
        from trainables.layers.encodings.attractor import Attractor

        shared: dict[str, Any] = {"init_std": self.residual_std, "dropout": self.dropout, "bias": self.bias}
        attractor = None
        if self.attractor is not None and layer >= self.num_layers - self.attractor.last_layers:
            attractor = Attractor(self.attractor, self.d_model, self.num_heads, **shared)
        return EncodedAttention(
            self.d_model,
            self.num_heads,
            self.encoding,
            attractor,
            causal=self.causal,
            positions_restart=self.positions_restart,
            **shared,
        )
