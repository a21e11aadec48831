"""The groups of fields of the resonant family; all other fields are in `resonant.config.ResonantConfig`.

Defaults are those of `corrected`, with the values that the usage guide recommends. `resonant.config.PUBLISHED`
has those that `as_published` changes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trainables.schema import Schema


class StillnessConfig(Schema):
    """A low-pass filter of the phase signal over training steps."""

    ema: float = Field(ge=0, le=1)
    """Weight ρ of the new signal in the average; 0: no filter, only the steps before the signal."""
    floor: float = Field(0.0, ge=0, le=1)
    """Smallest weight of the average in the filtered signal."""
    warm_steps: int = Field(0, ge=0)
    """Steps before the phase signal is used at all."""


class T2Config(Schema):
    """A decay that depends on the position, instead of the memory's constant one."""

    mode: Literal["exp", "resonant"] = "exp"
    steps: float = Field(1500.0, gt=0)
    """Time constant of `exp`, in tokens."""
    k: float = Field(1e-3, ge=0)
    alpha: float = Field(0.08, ge=0, le=1)
    omega: float = 6.0
    phase: float = 1.0472
    """Radians."""
    fades_read: bool = True
    """Whether what is read is multiplied by it, too."""
    published: bool = False
    """Decays in training only; what is read by the number of forward passes."""


class PhaseChangeConfig(Schema):
    """A learned offset of what is read (PCM)."""

    gate_init: float = 0.5
    published: bool = False
    """Starts at 0, and is added in training only."""


class LocalAttentionConfig(Schema):
    """Windowed causal attention combined with the memory: the guide's hybrid."""

    window: int = Field(32, ge=1)
    """Tokens in the window."""
    weight: float = Field(0.3, ge=0, le=1)
    """Weight of the attention in the combined output."""


class PVMConfig(Schema):
    """Phase-vector memory in every block."""

    alpha: float = Field(0.3, ge=0)
    """Write strength."""
    beta: float = Field(0.85, ge=0, le=1)
    """Decay factor per token."""
    omega: float | None = 6.0
    """Radians per unit of (logarithmic) time; null: that with which its block starts, as published."""
    phase: float | None = 0.0
    """Radians; null: that with which its block starts, as published."""
    gate_init: float = -2.0
    """Initial value of the gate that adds what is read; its strength is the sigmoid."""
    input_scale: float = 4.0
    rotation: Rotation = "write"
    """What is rotated: what is written (as documented), what is read (`post`, as published), or nothing."""
    time: Time = "log"
    counter: Counter = "local"
    """Whether the phase counts positions, or also forward passes (`global`, as published)."""
    reset: bool = True
    """Whether every sequence starts with an empty memory; as published it starts with that of earlier batches."""
    t2: T2Config | None = None
    pcm: PhaseChangeConfig | None = None
    local_attention: LocalAttentionConfig | None = None


class PLMConfig(Schema):
    """Phase-lattice memory in every block, after the phase-vector memory if there is one."""

    grid_x: int = Field(4, ge=1)
    grid_y: int = Field(4, ge=1)
    alpha: float = Field(0.10, ge=0)
    beta: float = Field(0.90, ge=0, le=1)
    omega: float = 6.0
    kappa: float = Field(0.05, ge=0)
    gate_init: float = -2.0
    t2: T2Config | None = None
    pcm: PhaseChangeConfig | None = None


class ReadoutConfig(Schema):
    """How the memories add to the logits."""

    source: Literal["pvm", "plm", "both"] = "pvm"
    over: Over = "trace"
    """`trace` reads all past states, O(T·d) memory; `state` the current one, O(d)."""
    positions: Positions = "all"
    mask: Mask = "none"
    """Ids that pass: all, those of the last tokens, or, as published, those of the answer in the input."""
    window: int = Field(16, ge=1)
    """Tokens whose ids the mask lets through: the last ones, or the answer's first."""
    top_k: int = Field(0, ge=0)
    top_k_over: TopKOver = "trace"
    scale: float = Field(1.0, gt=0)
    """Factor of the added logits, before they are clamped to ±10."""
    head: Head = "shared"
    freeze_steps: int = Field(0, ge=0)
    uncalibrated: Uncalibrated = "trained"
    """The projection of what is read where there is no `ridge`: a random one that is trained, or, as published,
    one that stays as torch draws a linear layer (`frozen`)."""
    of: TraceOf = "own"
    """Whose trace a sequence reads; as published that of the batch's first sequence."""


class QueryConfig(Schema):
    """The query to the memories."""

    mode: QueryMode = "mean"
    window: int = Field(16, ge=1)
    """Last tokens that the query is computed from."""


class RidgeConfig(Schema):
    """The projection from what is read to an embedding (KISS-Ridge)."""

    projection: Projection = "ridge"
    """`random`, `identity` and `uniform`, torch's own draw, are the controls."""
    max_pairs: int = Field(512, ge=1)
    l2: float = Field(1e-3, gt=0)
    warmup_batches: int = Field(10, ge=0)
    """Forward passes in training before the first calibration; they matter only for counters of passes."""
    unfreeze_step: int | None = Field(100, ge=0)
    """First step that trains the projection; null: never."""
    recalibrate_every: int = Field(0, ge=0)
    """Steps; 0: never."""
    target: Literal["head", "embedding"] = "head"
    """What is predicted: the row of the output head, or, as published, of the input embedding."""
    query_of: CalibrationQuery = "hidden"
    """What the memory is asked with in the calibration: the readout's query of the last hidden states, or, as
    published, the mean of the last 16 embeddings that leave the blocks."""
    in_training: bool = False
    """Whether the pairs are collected in training mode, as published: these forward passes advance counters and
    memories that persist, so that ramps are further on at the first step."""


class InfoNCEConfig(Schema):
    """The contrastive loss between what is read and the answer."""

    weight: float = Field(0.3, gt=0)
    negatives: int = Field(128, ge=1)
    temperature: float = Field(0.08, gt=0)
    dim: int = Field(512, ge=1)
    embedding: Embedding = "projected"
    """How head rows are embedded; as published they are cut to their first `dim` numbers (`sliced`)."""


PRETRAIN, SCRATCH = "pretrain", "scratch"
"""Backbones of our own; the others are sources of pretrained models."""


OmegaBounds = Literal["moved", "shared"]


LocalMixer = Literal["glu", "conv", "mlp"]


Embedding = Literal["projected", "sliced"]


Time = Literal["log", "linear"]


Rotation = Literal["none", "post", "write"]


Counter = Literal["local", "global"]


QueryMode = Literal["mean", "ema", "phase_weighted", "mlp", "learned"]


Over = Literal["trace", "state"]


Positions = Literal["all", "last"]


Mask = Literal["none", "window", "answer"]


CalibrationQuery = Literal["hidden", "embeddings"]


Head = Literal["shared", "separate"]


Uncalibrated = Literal["trained", "frozen"]


TraceOf = Literal["own", "first"]


TopKOver = Literal["trace", "vocabulary"]


Projection = Literal["ridge", "random", "identity", "uniform"]


ScheduleCounter = Literal["steps", "forward_passes"]
