"""The memory estimate against a real GPU: bytes that PyTorch's allocator reserves, the context measured by itself.

Imports trainables, cluster.memory.estimate, pydantic, torch and pytest only, so it runs on a bare GPU machine.
"""

from __future__ import annotations

import gc
import os
import statistics
from typing import Any

import pytest
import torch

from cluster.memory.estimate import estimate
from trainables.config.trial import TrialConfig
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics
from trainables.worker.peak_memory import PeakMemory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.timeout(600),
]

MIB = 2**20
HEADROOM = 0.10
"""What a request adds to the estimate; no prediction may be lower than the need by more."""

CONTROL = {"name": "transformer"}
KURAMOTO = {"name": "kuramoto"}
PUBLISHED = {"name": "kuramoto", "fidelity": "as_published"}
POOL = {"name": "mean_pool"}

# (width, depth, batch, micro-batch, length, optimiser, precision); the first of each
# family is measured, to scale the others
SIZES: dict[str, tuple[dict[str, Any], list[tuple[int, int, int, int, int, str, str]]]] = {
    "transformer": (
        CONTROL,
        [
            (512, 6, 32, 32, 512, "adamw", "float32"),
            (768, 6, 32, 16, 512, "adamw", "float32"),
            (256, 4, 64, 64, 1024, "adamw", "float32"),
            (512, 12, 64, 32, 512, "adamw", "bfloat16"),
            (1024, 4, 16, 16, 1024, "adamw", "bfloat16"),
        ],
    ),
    "kuramoto": (
        KURAMOTO,
        [
            (256, 4, 32, 32, 512, "adamw", "float32"),
            (384, 6, 32, 16, 512, "adamw", "float32"),
            (256, 4, 64, 64, 512, "adamw", "bfloat16"),
            (512, 4, 16, 16, 1024, "adamw", "float32"),
        ],
    ),
    "kuramoto as published": (
        PUBLISHED,
        [
            (256, 4, 32, 32, 512, "adamw", "float32"),
            (384, 6, 64, 32, 512, "adamw", "float32"),
            (512, 4, 32, 32, 512, "adamw", "bfloat16"),
        ],
    ),
    "mean pool": (
        POOL,
        [
            (256, 4, 64, 64, 512, "adamw", "float32"),
            (512, 6, 32, 16, 512, "adamw", "float32"),
            (384, 8, 64, 64, 256, "adamw", "bfloat16"),
        ],
    ),
}


def trial(
    architecture: dict[str, Any], width: int, depth: int, batch: int, length: int, optimizer: str, precision: str
) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "architecture": {"d_model": width, "num_layers": depth, **architecture},
            "task": {
                "name": "language",
                "tokenizer": "byte",
                "context_length": length,
                "max_bytes": 2 * (256 * length + 2),
                "val_fraction": 0.5,
            },
            "optimizer": {"name": optimizer},
            "budget": {"steps": 2, "batch_size": batch, "report_every": 2, "precision": precision},
        }
    )


def reserved_mib(config: TrialConfig, micro: int) -> float:
    """Return the most that the allocator reserved for a trial, beyond what stays when nothing is left of it."""
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved() / MIB
    peak = PeakMemory("cuda")
    numerics = Numerics(device="cuda", micro_batch_size=micro)
    last = list(Trainer(config, 0, config.task.build(None), numerics).reports())[-1]
    assert last.outcome == "finished"
    return peak.mib() - before


def predicted_mib(config: TrialConfig, micro: int) -> float:
    found = estimate(
        config,
        vocab_size=256,
        context_length=config.task.context_length,  # type: ignore[attr-defined]
        micro_batch_size=micro,
        process_mib=0.0,
        device="cuda",
    )
    return found.total_mib


@pytest.fixture(scope="module")
def warm() -> None:
    """Let libraries take what they keep: kernels, and workspaces of cuBLAS in both threads that use it."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    for precision in ("float32", "bfloat16"):
        for architecture in (CONTROL, KURAMOTO):
            reserved_mib(trial(architecture, 32, 2, 2, 16, "adamw", precision), 2)


def test_predictions_scaled_by_one_measurement_of_a_family_are_near(warm: None) -> None:
    raw: list[str] = []
    errors: list[float] = []
    for family, (architecture, sizes) in SIZES.items():
        scale = 1.0
        for index, (width, depth, batch, micro, length, optimizer, precision) in enumerate(sizes):
            config = trial(architecture, width, depth, batch, length, optimizer, precision)
            said, took = predicted_mib(config, micro), reserved_mib(config, micro)
            if index == 0:
                scale = took / said
            else:
                errors.append(scale * said / took - 1)
            raw.append(f"{family} {sizes[index]}: said {said:.0f}, took {took:.0f} MiB, scale {scale:.3f}")
    table = "\n".join(raw)
    print(table)
    assert len(raw) >= 12 and len(errors) >= 11
    absolute = sorted(abs(error) for error in errors)
    assert statistics.quantiles(absolute, n=20, method="inclusive")[-1] <= 0.10, table
    assert min(errors) >= -HEADROOM, table


def test_the_context_is_beside_what_the_allocator_reserves(warm: None) -> None:
    """The GPU gives more than the allocator knows of: what a cap has to leave out."""
    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    taken_mib = (total - free) / MIB
    assert taken_mib > torch.cuda.memory_reserved() / MIB + 100
