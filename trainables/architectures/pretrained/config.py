"""The `pretrained` architecture: a Hugging Face causal LM, with another position scheme in place of its own.

Source:
    pie-spiral f4f10cd: an adapter that adds the spiral to the hidden states entering the last four layers, whose
    positions start again at 0 with every token decoded from a cache, and an untrained attractor (`fidelity:
    as_published`). Everything else here is a control of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from search_spaces.suggestions import nearest
from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.pretrained.fields import (
    LIBRARIES_MIB,
    LORA_LIBRARIES_MIB,
    UNTRAINED,
    AdapterConfig,
    Dtype,
    LoraConfig,
    Quantisation,
    SwappedEncoding,
    Trained,
    said_of_model,
)
from trainables.data.pretrained_files import HUGGING_FACE, absolute_source, is_source, source_hash
from trainables.layers.encodings.fields import AttractorConfig
from trainables.registry import register_architecture

if TYPE_CHECKING:
    from trainables.architectures.base.model import LanguageModel

MODEL_TYPES = ("llama", "qwen2", "mistral")
"""Those of which an untrained model can be made."""

PUBLISHED: dict[str, Any] = {
    "adapter": {"phase_precision": "float32", "positions": "pass"},
    "attractor": {"read": "final", "length": None, "phase_precision": "float32"},
    "train_attractor": False,
}
"""What `as_published` sets, within groups only if a configuration has them."""

_OF_UNTRAINED = ("d_model", "num_layers", "num_heads", "ffn_multiplier", "parameter_budget", "dropout", "bias")
"""Fields that a model with weights of its own does not read."""


@register_architecture("pretrained", version=1)
class PretrainedConfig(ArchitectureConfig):
    """A Hugging Face causal LM."""

    builds = "trainables.architectures.pretrained.language_model:PretrainedModel"
    published = PUBLISHED

    name: Literal["pretrained"] = "pretrained"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    """`as_published` sets the defaults of `PUBLISHED`; each can still be overridden."""
    model: str = f"{UNTRAINED}llama"
    """`hf:PATH`, `hf:OWNER/NAME` or `package:NAME`: a causal LM from a folder, the hub or a package that
    `phasesweep fetch` has downloaded; it fixes the sizes. `untrained:llama`, `untrained:qwen2` or
    `untrained:mistral`: one of that type with random weights, and of the sizes given here."""
    encoding: SwappedEncoding | None = None
    """The position scheme. None: as the model was trained."""
    adapter: AdapterConfig | None = None
    """The spiral added in the last layers, beside the position scheme. None: none."""
    attractor: AttractorConfig | None = None
    """A sum over the past, added to attention in the last layers. None: none."""
    train_attractor: bool = True
    """Whether the attractor is trained, whatever else is; as published it stays as it was drawn."""
    attention_window: int | None = Field(None, ge=2)
    """Tokens that attention sees, the last of them its own; with it the state of a sequence does not grow with its
    length. None: all, or those that the model was made to see."""
    extrapolate: bool = False
    """Whether sequences may be longer than what the model was trained on, as far as its scheme extends it."""
    trained: Trained | None = None
    """Which of the model's weights are trained: `nothing`; `lora`, low-rank additions; `query_key`, the projections
    to queries and keys; `everything`. Default: everything of an untrained model, nothing of others. The K of an
    `adaptive_hybrid` is trained in any case."""
    lora: LoraConfig = LoraConfig()
    """For `trained: lora`."""
    quantisation: Quantisation = "none"
    """Of linear layers, by bitsandbytes."""
    dtype: Dtype = "float32"
    """Of the other weights, and of the computation. `bfloat16` is slow on a CPU without its instructions."""
    offload: bool = False
    """Keep the weights in host memory and bring those of each module to the GPU when it computes, by accelerate: it
    takes little of the GPU's memory and much more time. Without effect on a CPU."""
    checkpoint_blocks: bool = False
    """Activation checkpointing: the backward pass recomputes each block instead of keeping its activations."""

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in which weights are trained, and what `as_published` sets."""
        model = fields.get("model", cls.model_fields["model"].default)
        is_untrained = isinstance(model, str) and model.startswith(UNTRAINED)
        if fields.get("trained") is None:
            fields = {**fields, "trained": "everything" if is_untrained else "nothing"}
        if fields.get("fidelity") != "as_published":
            return fields
        filled = {"train_attractor": cls.published["train_attractor"], **fields}
        for group in ("adapter", "attractor"):
            if isinstance(fields.get(group), dict):
                filled[group] = {**cls.published[group], **fields[group]}
        return filled

    @model_validator(mode="after")
    def _fields_fit(self) -> PretrainedConfig:
        if self.is_untrained:
            self._check_untrained()
        elif not is_source(self.model):
            raise ValueError(
                f"model={self.model}: write package:NAME, hf:OWNER/NAME, hf:PATH, or {UNTRAINED}llama for one with "
                "random weights"
            )
        if self.attractor is not None and self.attractor.carried:
            raise ValueError(
                "attractor.carried=true is offered by the architecture pi_spiral only; drop it: here a sequence "
                "starts with nothing"
            )
        if self.parameter_budget is not None and not self.is_untrained:
            raise ValueError(
                f"parameter_budget={self.parameter_budget:,} is met by the feed-forward width, and that of "
                f"{self.model} is given; drop it"
            )
        if self.quantisation != "none" and self.trained in {"query_key", "everything"}:
            raise ValueError(
                f"trained={self.trained} with quantisation={self.quantisation}: weights in 8 or 4 bits have no "
                "gradients; set trained=lora, or quantisation=none"
            )
        if self.offload and self.trained != "nothing":
            raise ValueError(
                f"trained={self.trained} with offload=true: weights that stay in host memory are for scoring; set "
                "trained=nothing, or offload=false"
            )
        return self

    def _check_untrained(self) -> None:
        kind = self.model.removeprefix(UNTRAINED)
        if kind not in MODEL_TYPES:
            raise ValueError(f"model={self.model}: no such type of model; {nearest(kind, MODEL_TYPES)}")
        if self.num_layers == 0 or self.ffn_multiplier == 0:
            raise ValueError(
                f"num_layers={self.num_layers} and ffn_multiplier={self.ffn_multiplier:g} must be above 0 for a "
                f"model of type {kind}"
            )
        if self.quantisation != "none":
            raise ValueError(
                f"quantisation={self.quantisation} is for models with weights of their own, not {self.model}"
            )

    @property
    def is_untrained(self) -> bool:
        """Whether the model starts with random weights."""
        return self.model.startswith(UNTRAINED)

    @property
    def is_hugging_face(self) -> bool:
        """Whether its weights come from a folder, the hub or a package."""
        return not self.is_untrained

    @property
    def mode(self) -> str:
        """The position scheme, and what is added to it."""
        scheme = "as_trained" if self.encoding is None else self.encoding.scheme
        added = [name for name in ("adapter", "attractor") if getattr(self, name) is not None]
        return "+".join((scheme, *added))

    @property
    def libraries_mib(self) -> float:
        """That of `transformers`, and for LoRA of `peft`."""
        return LIBRARIES_MIB + (LORA_LIBRARIES_MIB if self.trained == "lora" else 0.0)

    @property
    def violates(self) -> frozenset[str]:
        """Positions that start again with every pass differ from those of the whole sequence; a final state knows
        what comes later; a factor of low-rank additions starts at 0, so that the other has no gradient at first."""
        broken = set()
        if self.adapter is not None and self.adapter.positions == "pass":
            broken.add("stream")
        if self.attractor is not None and self.attractor.read == "final":
            broken.add("causality")
        if self.trained == "lora":
            broken.add("gradients")
        return frozenset(broken)

    @property
    def microbatch_invariant(self) -> bool:
        """False with dropout."""
        return not (self.is_untrained and self.dropout) and not (self.trained == "lora" and self.lora.dropout)

    @property
    def splits_in_law(self) -> bool:
        """Always: all noise there may be is dropout."""
        return True

    @property
    def shardable(self) -> bool:
        """Never: weights that are not trained are in other types than those that are."""
        return False

    def canonical(self) -> dict[str, Any]:
        """Drop what cannot change the result, and identify a model by its weights."""
        fields = super().canonical()
        for name in ("fidelity", "extrapolate", "offload", "checkpoint_blocks"):
            del fields[name]
        if self.encoding is not None:
            fields["encoding"] = self.encoding.canonical()
        if self.adapter is not None:
            fields["adapter"] = self.adapter.canonical()
        if self.attractor is None:
            del fields["train_attractor"]
        else:
            fields["attractor"] = self.attractor.canonical()
        if self.trained != "lora":
            del fields["lora"]
        if not self.is_untrained:
            with said_of_model():
                fields["model"] = HUGGING_FACE + source_hash(self.model)
            for name in _OF_UNTRAINED:
                del fields[name]
        elif self.parameter_budget is not None:
            del fields["ffn_multiplier"]
        return fields

    def with_absolute_paths(self) -> PretrainedConfig:
        """Make the folder of a model absolute."""
        if self.is_untrained:
            return self
        return self.model_copy(update={"model": absolute_source(self.model)})

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return untrained models of each type, each with other schemes and other weights trained."""
        shape = {"d_model": 16, "num_layers": 2, "num_heads": 2, **sizes}
        encodings: list[dict[str, Any]] = [
            {"scheme": "rope"},
            {"scheme": "ntk", "scale": 4.0},
            {"scheme": "linear", "scale": 4.0, "scaled_in_training": False},
            {"scheme": "yarn", "scale": 4.0},
            {"scheme": "hybrid", "transition": 30.0, "width": 9.0},
            {"scheme": "adaptive_hybrid", "transition": 30.0, "width": 9.0},
            {"scheme": "none"},
        ]
        options: list[dict[str, Any]] = [
            *({"trained": "everything", "encoding": encoding} for encoding in encodings),
            {"trained": "query_key", "encoding": {"scheme": "spiral"}, "adapter": {"last_layers": 1}},
            {
                "model": "untrained:qwen2",
                "encoding": {"scheme": "alibi"},
                "attention_window": 9,
                "trained": "lora",
                "lora": {"dropout": 0.1},
            },
            {"trained": "everything", "attractor": {"last_layers": 1}, "model": "untrained:mistral"},
            {"fidelity": "as_published", "adapter": {"last_layers": 1}},
            {"fidelity": "as_published", "attractor": {"last_layers": 1}},
        ]
        return [cls.model_validate({**shape, **option}) for option in options]

    def build(self, *, vocab_size: int, max_seq_len: int) -> LanguageModel:
        """Load the model.

        Raises:
            ValueError: If there is no such model, or it cannot have what is asked; the message says what to do.
        """
        model: LanguageModel = self.built_class()(self, vocab_size=vocab_size, max_seq_len=max_seq_len)
        return model
