"""Small trial configurations that tests share."""

from __future__ import annotations

from typing import Any

from trainables.config.trial import TrialConfig

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
