"""The `resonant` family (AFRB, PVM, PLM): blocks of a phase signal and memories between a backbone's embedding and
its first layer.

Source:
    attention-free-phase-blocks: src/afrb.py, src/phase_memory.py, src/train.py, docs/USAGE.md. As published the
    readout uses the batch's first sequence and the ids of the answer's own tokens, memories persist across samples,
    phases count forward passes, and attention is replaced by its input; `corrected` fixes all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from search_spaces.optional_groups import from_fields, to_fields
from search_spaces.resonant import SEARCH, SPACES
from trainables.architectures.base import ArchitectureConfig
from trainables.architectures.gpt import BackboneConfig, TransformerConfig
from trainables.architectures.pretrained.fields import LIBRARIES_MIB, Dtype, Quantisation
from trainables.architectures.resonant.cascade import Cascade
from trainables.architectures.resonant.fields import (
    PRETRAIN,
    SCRATCH,
    InfoNCEConfig,
    LocalMixer,
    OmegaBounds,
    PLMConfig,
    PVMConfig,
    QueryConfig,
    ReadoutConfig,
    RidgeConfig,
    ScheduleCounter,
    StillnessConfig,
    Time,
)
from trainables.architectures.resonant.probes import PROBES
from trainables.architectures.resonant.published import completed
from trainables.data.pretrained_files import HUGGING_FACE, absolute_source, find_source, is_source, source_hash
from trainables.registry import register_architecture

if TYPE_CHECKING:
    from trainables.layers.mixer import Mixer

PUBLISHED: dict[str, Any] = {
    "attention": "identity",
    "block_init": "torch",
    "causal": False,
    "counter": "forward_passes",
    "omega_bounds": "shared",
    "bias": True,
    "pvm": {
        "rotation": "post",
        "counter": "global",
        "reset": False,
        "omega": None,
        "phase": None,
        "t2": {"published": True},
        "pcm": {"published": True},
    },
    "plm": {"t2": {"published": True}, "pcm": {"published": True}},
    "readout": {
        "positions": "last",
        "mask": "answer",
        "of": "first",
        "top_k_over": "vocabulary",
        "uncalibrated": "frozen",
    },
    "ridge": {"target": "embedding", "unfreeze_step": None, "query_of": "embeddings", "in_training": True},
    "infonce": {"embedding": "sliced"},
}
"""What `as_published` sets, within groups only if a configuration has them; the rest are sizes and strengths."""

OF_BACKBONE = (
    "d_model",
    "num_layers",
    "num_heads",
    "ffn_multiplier",
    "residual_init",
    "linear_init",
    "positions",
    "tie_head",
    "head_bias",
)
"""Fields of our own backbone; a Hugging Face backbone has its own values."""


def _group_is_kept(name: str, kept: dict[str, Any]) -> bool:
    """Return whether a field that is in no search space belongs to a group that is present, or to none."""
    group = name.rpartition(".")[0]
    return not group or kept.get(group) is True


@register_architecture("resonant", version=1)
class ResonantConfig(BackboneConfig):
    """A backbone with resonant blocks after its embedding and, optionally, a readout of their memories."""

    builds = "trainables.architectures.resonant.model:ResonantModel"
    spaces = SPACES
    published = PUBLISHED
    added = {
        "block_init": "residual",
        "omega_bounds": "moved",
        "readout.uncalibrated": "trained",
        "ridge.query_of": "hidden",
        "ridge.in_training": False,
        "pvm.t2.fades_read": True,
        "plm.t2": None,
        "plm.pcm": None,
        "train_head": False,
    }
    probes = PROBES

    name: Literal["resonant"] = "resonant"
    fidelity: Literal["as_published", "corrected"] = "corrected"
    """`as_published` sets the defaults of `PUBLISHED`; each can still be overridden."""
    backbone: str = SCRATCH
    """`scratch`: our own, trained with the rest. `pretrain`: our own, trained first (see `pretraining`), then
    frozen. `hf:PATH`, `hf:OWNER/NAME` or `package:NAME`: a Hugging Face causal LM from a folder, the hub or a
    package that `phasesweep fetch` has downloaded, frozen; it fixes the sizes."""
    freeze_backbone: bool | None = None
    """Whether only the modules added to the backbone are trained. Default: for all but `scratch`."""
    quantisation: Quantisation = "none"
    """Of a Hugging Face backbone's linear layers, by bitsandbytes."""
    backbone_dtype: Dtype = "float32"
    """Of a Hugging Face backbone."""
    train_head: bool = False
    """Whether a Hugging Face backbone gets an untied head that is trained, even if the rest is frozen: a copy of
    its own or, where that is tied, of its embedding. Frozen, a copy would compute what the tied head does."""
    attention: Literal["kept", "identity", "none"] = "kept"
    """Of the trained backbone's layers: kept; replaced by its normed input (as published); or by 0."""
    num_blocks: int = Field(1, ge=0)
    """Resonant blocks."""
    block_init: Literal["residual", "torch"] = "residual"
    """Initial weights of the linear layers and convolutions in blocks and memories. `residual`: as in a backbone of
    `num_layers`, so small that a block adds nearly its normed input. `torch`: as torch draws them, as published."""
    alpha: float = Field(0.04, ge=0, le=1)
    """Weight of the phase embedding in the first block's phase signal."""
    gamma: float = Field(0.20, ge=0, lt=1)
    """Initial gate of the first block's phase signal; 0: no phase signal."""
    omega: float = 6.0
    """Radians per unit of (logarithmic) time, of the first block."""
    time: Time = "log"
    mixer: LocalMixer = "glu"
    causal: bool = True
    """Whether a convolution (`mixer: conv`) sees only the past."""
    learn_omega: bool = False
    omega_min: float = 5.6
    omega_max: float = 6.4
    omega_bounds: OmegaBounds = "moved"
    """`moved`: bounds of later blocks are moved as far as their ω is, which starts and stays within. `shared`, as
    published: of all blocks alike, and an ω outside, also at the start, is read as the nearest one without a
    gradient."""
    omega_learning_rate_factor: float = Field(1.0, gt=0)
    """Learning rate of ω as a multiple of the optimiser's; 1e-3 as published."""
    learn_phase: bool = True
    """Whether α and φ are trained by what they do; as published the code reads them as numbers."""
    cascade_lambda: float = 0.0
    """α is multiplied by e^-λ from block to block."""
    cascade_kappa: float = 0.0
    """γ is multiplied by e^-κ from block to block."""
    phase_delta: float = 0.0
    """Added to φ from block to block, and the final phase shift of each block in training, radians."""
    omega_delta: float = 0.0
    """Added to ω from block to block."""
    stillness: StillnessConfig | None = None
    block_warm_delta_steps: int = Field(0, ge=0)
    """Steps by which each block's phase signal starts later than that of the block before."""
    block_ramp_steps: int = Field(300, ge=0)
    """Steps in which each block's phase signal comes in; 0: at once, and as published, where 0 counts as 1, after
    the first pass."""
    phase_ramp_steps: int = Field(300, ge=0)
    counter: ScheduleCounter = "steps"
    """What the schedules count: optimiser steps, or, as published, forward passes in training."""
    phase_alignment_weight: float = Field(0.0, ge=0)
    """Weight of the mean square of the blocks' φ in the loss. It trains φ also where `learn_phase` is false."""
    pvm: PVMConfig | None = None
    plm: PLMConfig | None = None
    readout: ReadoutConfig | None = None
    query: QueryConfig = QueryConfig()
    ridge: RidgeConfig | None = None
    infonce: InfoNCEConfig | None = None

    @classmethod
    def with_defaults(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Fill in what `as_published` sets."""
        if fields.get("fidelity") != "as_published":
            return fields
        return completed(fields, cls.published)

    @model_validator(mode="after")
    def _parts_fit(self) -> ResonantConfig:
        if self.backbone not in {SCRATCH, PRETRAIN} and not self.is_hugging_face:
            raise ValueError(
                f"backbone={self.backbone}: write scratch, pretrain, hf:PATH, hf:OWNER/NAME or package:NAME"
            )
        if not self.is_hugging_face:
            self._has_fields_of_ours_only()
        if self.parameter_budget is not None and self.backbone != SCRATCH:
            raise ValueError("parameter_budget needs backbone=scratch: another one's width is given")
        if self.readout is not None:
            sources = {"pvm": ["pvm"], "plm": ["plm"], "both": ["pvm", "plm"]}[self.readout.source]
            missing = [name for name in sources if getattr(self, name) is None]
            if missing or self.num_blocks == 0:
                needed = " and ".join(missing) or "num_blocks"
                raise ValueError(f"readout.source={self.readout.source} needs {needed}: no such memory is there")
        if self.plm is not None and not self.is_hugging_face:
            cells = self.plm.grid_x * self.plm.grid_y
            if self.d_model % (2 * cells):
                raise ValueError(f"plm has {cells} cells: d_model={self.d_model} must be a multiple of {2 * cells}")
        for name in ("ridge", "infonce"):
            if getattr(self, name) is not None and self.readout is None:
                raise ValueError(f"{name} is about what is read: it needs a readout")
        if self.ridge is not None and self.readout is not None and self.readout.head == "separate":
            raise ValueError("ridge has no part with readout.head=separate, which maps what is read by itself")
        return self

    def _has_fields_of_ours_only(self) -> None:
        if self.quantisation != "none":
            raise ValueError(
                f"quantisation={self.quantisation} is for backbones hf:… and package:…; this one is {self.backbone}"
            )
        if self.train_head:
            raise ValueError(
                f"train_head is for backbones hf:… and package:…; this one is {self.backbone}: set tie_head"
            )

    @property
    def is_hugging_face(self) -> bool:
        """Whether the backbone is a Hugging Face model, from a folder, the hub or a package."""
        return is_source(self.backbone)

    @property
    def libraries_mib(self) -> float:
        """That of `transformers`, for a Hugging Face backbone."""
        return LIBRARIES_MIB if self.is_hugging_face else 0.0

    @property
    def is_frozen(self) -> bool:
        """Whether the backbone is not trained."""
        return self.backbone != SCRATCH if self.freeze_backbone is None else self.freeze_backbone

    def cascade(self, block: int) -> Cascade:
        """Return the parameters with which the phase signal of 0-based `block` starts."""
        return Cascade.of_block(
            block,
            alpha=self.alpha,
            gamma=self.gamma,
            omega=self.omega,
            cascade_lambda=self.cascade_lambda,
            cascade_kappa=self.cascade_kappa,
            phase_delta=self.phase_delta,
            omega_delta=self.omega_delta,
        )

    def phase_of_memory(self, block: int) -> tuple[float, float]:
        """Return ω and φ of the phase-vector memory in 0-based `block`."""
        assert self.pvm is not None
        own, given = self.cascade(block), self.pvm
        return (
            own.omega if given.omega is None else given.omega,
            own.phase if given.phase is None else given.phase,
        )

    @property
    def violates(self) -> frozenset[str]:
        """A symmetric convolution sees the next token; a readout of the first trace, another sequence."""
        broken = set()
        if self.num_blocks and self.mixer == "conv" and not self.causal:
            broken.add("causality")
        if self.readout is not None and self.readout.of == "first":
            broken.add("batch_independence")
        return frozenset(broken)

    @property
    def microbatch_invariant(self) -> bool:
        """False with counters or memories that persist across forward passes, or negatives drawn for each."""
        keeps_count = self.counter == "forward_passes" and self.num_blocks > 0 and self.gamma > 0
        keeps_state = self.pvm is not None and (not self.pvm.reset or self.pvm.counter == "global")
        decays = [memory.t2 for memory in (self.pvm, self.plm) if memory is not None and memory.t2 is not None]
        fades = any(t2.published and t2.fades_read for t2 in decays)
        still = self.stillness is not None and self.stillness.ema > 0
        return super().microbatch_invariant and not (keeps_count or keeps_state or fades or still or self.infonce)

    def canonical(self) -> dict[str, Any]:
        """Drop what cannot change the result, and identify a Hugging Face backbone by its weights.

        Dependencies between fields are in `search_spaces.resonant`.
        """
        fields = super().canonical()
        del fields["fidelity"], fields["freeze_backbone"]
        if self.pvm is not None:
            fields["pvm"] |= self._phases_of_memories()
        own = from_fields(
            {name: fields.pop(name) for name in ResonantConfig.__annotations__ if name in fields}, SEARCH
        )
        kept = SEARCH.canonical({name: own[name] for name in SEARCH if name in own})
        rest = {name: value for name, value in own.items() if name not in SEARCH and _group_is_kept(name, kept)}
        if self.mixer != "conv" or self.num_blocks == 0:
            del rest["causal"]
        if self.phase_alignment_weight == 0 and not self.learn_phase:
            kept.pop("phase_alignment_weight", None)  # without it φ is a number, as it was when ids were first made
        if "omega_min" not in kept:
            del rest["omega_learning_rate_factor"]
        if kept.get("readout.scale", 1.0) != 1.0:
            rest["readout.clamp"] = "last"  # it once came before the scale: such results are others
        rest["is_frozen"] = self.is_frozen
        if self.is_hugging_face:
            rest["backbone"] = HUGGING_FACE + source_hash(self.backbone)
            fields = {name: value for name, value in fields.items() if name not in self._without_effect(kept)}
        else:
            del rest["quantisation"], rest["backbone_dtype"], rest["train_head"]
        return {**fields, **to_fields({**kept, **rest}, SEARCH)}

    def _phases_of_memories(self) -> dict[str, Any]:
        """Return ω and φ of the phase-vector memories: a number, or a list if they differ from block to block."""
        phases = [self.phase_of_memory(block) for block in range(self.num_blocks or 1)]
        return {
            name: values[0] if len(set(values)) == 1 else list(values)
            for name, values in zip(("omega", "phase"), zip(*phases, strict=True), strict=True)
        }

    def _without_effect(self, kept: dict[str, Any]) -> set[str]:
        """Return the fields of our own backbone that neither a Hugging Face one nor the added modules read.

        Blocks may be initialised as in a model of `num_layers` layers, and local attention has `num_heads` heads.
        """
        read = {"num_layers", "residual_init"} if kept.get("block_init") == "residual" else set()
        if kept.get("pvm.local_attention"):
            read.add("num_heads")
        return set(OF_BACKBONE) - read

    @property
    def min_trained_parameters(self) -> int:
        """None of a backbone that is given, or frozen."""
        return 0 if self.is_hugging_face or self.is_frozen else super().min_trained_parameters

    @property
    def shardable(self) -> bool:
        """Never: gates are scalars, and blocks are called by `run`."""
        return False

    def with_absolute_paths(self) -> ResonantConfig:
        """Make the folder of a Hugging Face backbone absolute."""
        if not self.is_hugging_face:
            return self
        return self.model_copy(update={"backbone": absolute_source(self.backbone)})

    def check_files(self) -> None:
        """Check that a Hugging Face backbone is on this machine: a plan downloads nothing."""
        if self.is_hugging_face:
            find_source(self.backbone, fetch=False)

    def to_pretrain(self) -> ArchitectureConfig | None:
        """Return the transformer whose weights become the backbone."""
        if self.backbone != PRETRAIN:
            return None
        sizes = (*OF_BACKBONE, "dropout", "bias", "checkpoint_blocks")
        return TransformerConfig(**{name: getattr(self, name) for name in sizes})

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return each fidelity without a readout, and with all options."""
        memories = {"pvm": {}, "readout": {}, "ridge": {"unfreeze_step": 0}, "infonce": {"dim": 8, "negatives": 4}}
        options: list[dict[str, Any]] = [
            {},
            {"pvm": {}, "attention": "none", "mixer": "conv"},
            {"num_blocks": 2, "plm": {"grid_x": 2, "grid_y": 2}, **memories, "attention": "identity"},
        ]
        shape = {"d_model": 16, "num_layers": 1, "num_heads": 2, "block_ramp_steps": 0, **sizes}
        fidelities = ("corrected", "as_published")
        return [
            cls.model_validate({**shape, "fidelity": one, **option}) for one in fidelities for option in options
        ]

    def build_mixer(self, layer: int) -> Mixer:
        """Return the mixer of a backbone layer."""
        if self.attention == "kept":
            return super().build_mixer(layer)
        from trainables.layers.bypass import IdentityMixer, NoMixer

        return IdentityMixer() if self.attention == "identity" else NoMixer()

    def num_extra_parameters(self, vocab_size: int) -> int:
        """Return the number of parameters of blocks, readout and contrastive loss."""
        found: int = self.built_class().num_extra_parameters(self, vocab_size)
        return found
