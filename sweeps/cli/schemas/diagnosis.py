"""Types of what `diagnose --json` prints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on only

from sweeps.cli.schemas.planning import Amount, Count, Positive, StudyName, Text
from trainables.diagnostics.diagnosis import EncodingDiagnosis


class PositionLossJson(TypedDict):
    """The mean loss at each position, and its trend over the later ones."""

    num_sequences: Positive
    nats: Annotated[list[float], Field(min_length=1)]
    """At each scored position, mean over sequences."""
    positions: Annotated[list[Count], Field(min_length=1)]
    """Which positions those are; 0 is the first token."""
    measured_from: Count
    """The first position of the trend: where training sequences end, or half of a sequence that is not longer."""
    slope: float | None
    """Of the loss over position from there on, in nats per 1,000 tokens; null if too few positions are scored."""
    slope_error: float | None
    """Its standard error, by least squares."""
    period: float | None
    """The strongest period of what the trend leaves, in positions."""
    period_share: float | None
    """Its share of the variance."""
    period_share_of_noise: float | None
    """The share that the strongest period of white noise has on average."""


class AttentionMapJson(TypedDict):
    """The attention weights of one layer, mean over heads."""

    layer: Count
    """Number of the call of softmax attention, from 0."""
    weights_TS: list[list[float]]
    """Of each query (row) over the keys, both in bins of neighbouring positions; a row sums to 1."""
    distance: Amount
    """How far back it looks, in tokens: the mean over queries."""
    distance_of_uniform: Amount
    """The same of attention that looks at all of the past alike."""


class LengthCostJson(TypedDict):
    """What has been spent when so many tokens of one sequence have been read in chunks."""

    length: Positive
    seconds: Amount
    """Since the first token."""
    tokens_per_second: Amount
    """Since the length before."""
    peak_memory_mib: Amount
    """The highest so far, of the process or of the GPU."""
    state_bytes: Count
    """What is carried from one pass to the next."""


class ModelDiagnosisJson(TypedDict):
    """What was measured of a model."""

    study: StudyName
    scale: Text
    arm: Text
    seed: Count
    is_trained: bool
    """False: no weights were kept, so this is the model as it starts."""
    device: Literal["cpu", "cuda"]
    sequence_length: Positive
    """Tokens of the sequences whose loss and attention were measured."""
    window: Positive | None
    """Tokens that attention sees; null: all."""
    loss: PositionLossJson
    attention: list[AttentionMapJson]
    """Empty if no layer computes softmax attention over the whole sequence."""
    cost: list[LengthCostJson]
    cost_ends: str
    """Why no longer sequence was read; empty if all were."""


class DiagnoseJson(TypedDict):
    """Encodings in closed form, or a model."""

    encodings: list[EncodingDiagnosis]
    """Empty if a model was measured."""
    model: ModelDiagnosisJson | None
