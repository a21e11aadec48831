"""How a model is trained: the ranges shared by all families."""

from __future__ import annotations

from search_spaces.dimensions import Choice, Integer, LogReal, Real
from search_spaces.space import SearchSpace

TRAINING = SearchSpace(
    {
        "optimizer.learning_rate": LogReal(
            1e-4,
            1e-2,
            unit="parameter change a step, relative",
            meaning="Peak learning rate of AdamW.",
            source="around nanoGPT's 1e-3 for small character models and PhaseGPT's 3e-4",
        ),
        "optimizer.warmup_steps": Integer(
            0,
            500,
            unit="optimiser steps",
            meaning="Linear warm-up.",
            source="nanoGPT and PhaseGPT Phase A use 100, Phase B 500",
        ),
        "optimizer.weight_decay": Real(
            0.0,
            0.3,
            meaning="Decoupled weight decay, multiplied by the learning rate.",
            source="nanoGPT and PhaseGPT Phase A use .1, Phase B .01",
        ),
        "budget.batch_size": Choice(
            (8, 16, 32, 64, 128),
            unit="sequences",
            meaning="Sequences in one optimiser step.",
            source="nanoGPT on a CPU uses 12, PhaseGPT 8 to 128",
        ),
    }
)
"""Dotted names are fields of a trial's configuration."""

SPACES = {"": TRAINING}
