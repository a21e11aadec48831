"""Small configurations and assignments that tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainables.config.trial import TrialConfig
from trainables.tasks.needle.config import NeedleConfig
from trainables.worker.assignment import Assignment

KURAMOTO: dict[str, Any] = {"name": "kuramoto", "phase_layers": [1], "num_oscillators": 8}
RESONANT: dict[str, Any] = {
    "name": "resonant",
    "block_ramp_steps": 5,
    "pvm": {},
    "readout": {},
    "ridge": {"max_pairs": 16, "warmup_batches": 1, "unfreeze_step": 5},
    "infonce": {"dim": 8, "negatives": 4},
}


def small_config(
    *,
    architecture: dict[str, Any] | None = None,
    task: dict[str, Any] | None = None,
    optimizer: dict[str, Any] | None = None,
    budget: dict[str, Any] | None = None,
    **others: Any,
) -> TrialConfig:
    """Return a two-layer model on synthetic text that trains for 12 steps in about a second."""
    return TrialConfig.model_validate(
        {
            "architecture": {"name": "transformer", "d_model": 16, "num_layers": 2, "num_heads": 2}
            | (architecture or {}),
            "task": {"name": "language", "corpus": "synthetic", "context_length": 16, "max_bytes": 20000}
            | (task or {}),
            "optimizer": {"learning_rate": 3e-3, "warmup_steps": 3} | (optimizer or {}),
            "budget": {"steps": 12, "batch_size": 6, "report_every": 5, "eval_sequences": 8} | (budget or {}),
            **others,
        }
    )


def small_needle(**fields: Any) -> NeedleConfig:
    """Return a needle of three tokens in a context of forty."""
    small = {"vocab_size": 32, "chunk_length": 10, "needle_length": 3, "num_val": 100, "num_test": 20}
    return NeedleConfig.model_validate({**small, **fields})


def small_assignment(folder: Path, **changes: Any) -> Assignment:
    """Return the assignment of a small configuration, which keeps its files in `folder`/seed=0."""
    config = small_config()
    fields: dict[str, Any] = {
        "config_id": "abc",
        "seed": 0,
        "config": config.model_dump(mode="json"),
        "data_hash": config.task.build(None).data_hash,
        "data_dir": None,
        "replicate_dir": str(folder / "seed=0"),
        "device": "cpu",
        "threads": 1,
        "micro_batch_size": None,
        "deterministic": True,
        "report_timeout_seconds": 600.0,
    }
    return Assignment(**{**fields, **changes})
