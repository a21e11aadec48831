"""Weights before training: their statistics, and what an untrained block adds, over seeds."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tests.parity.resonant.passes import FIXED, NAMES, blocks_of
from tests.parity.row import Row
from tests.parity.vectors import Vectors
from trainables.architectures.resonant.block.block import AFRBBlock
from trainables.architectures.resonant.config import ResonantConfig
from trainables.randomness import initialise

_SEEDS = range(20)
_SAMPLING_ERRORS = 5.0
"""Tolerance: means over seeds may be this many standard errors of their difference apart."""
_ROUNDING = 1e-6
"""Of numbers that are no draws: theirs are float32."""


def _block(seed: int, d_model: int, *, memory: bool = True, num_layers: int = 22) -> AFRBBlock:
    """Return an untrained block; `num_layers`, of the backbone, must not matter."""
    config = ResonantConfig(
        fidelity="as_published",
        d_model=d_model,
        num_layers=num_layers,
        num_heads=1,
        pvm={"alpha": 0.3, "beta": 0.85} if memory else None,  # type: ignore[arg-type]
    )
    (block,) = blocks_of(config, d_model)
    block.float()
    initialise(block, seed)
    return block


def _statistics(value: Tensor) -> Tensor:
    spread = value.std() if value.numel() > 1 else value.new_zeros(())
    return torch.stack((value.mean(), spread, value.min(), value.max())).double()


def _weights(d_model: int) -> dict[str, float]:
    """Return by how many standard errors mean, deviation, least and largest value of the parameters differ."""
    theirs = Vectors("afrb_initial_weights").under(f"init/D{d_model}/")
    cosine_N = theirs.pop("cosine_of_addition_with_layer_norm_of_x")
    blocks = [dict(_block(seed, d_model).named_parameters()) for seed in _SEEDS]
    apart = {}
    for name, theirs_N4 in theirs.items():
        if name not in FIXED:
            ours_N4 = torch.stack([_statistics(block[NAMES[name][0]].detach()) for block in blocks])
            apart[name] = max(_apart(*pair) for pair in zip(ours_N4.T, theirs_N4.T, strict=True))
    ours_N = torch.tensor([_cosine(seed, d_model, 32, 8000, "train", batch_size=4) for seed in _SEEDS])
    return {"weights": max(apart.values()), "cosine": _apart(ours_N.double(), cosine_N)}


def _apart(ours_N: Tensor, theirs_N: Tensor) -> float:
    """Return how many standard errors two means are apart; without any spread 0, or infinity if they differ."""
    gap = float((ours_N.mean() - theirs_N.mean()).abs())
    error = math.sqrt(float(ours_N.var()) / len(ours_N) + float(theirs_N.var()) / len(theirs_N))
    if error < _ROUNDING * gap or error == 0:
        return 0.0 if gap < _ROUNDING else math.inf
    return gap / error


def _cosines(d_model: int) -> dict[str, float]:
    """Return by how many standard errors the cosine of what a block adds with LN(x) differs, by length and mode."""
    found = {}
    theirs = Vectors("afrb_initial_cosine").under(f"D{d_model}/")
    for name, theirs_N in theirs.items():
        length, counter, mode = name.split("/")
        seeds = range(len(theirs_N))
        ours_N = torch.tensor(
            [_cosine(seed, d_model, int(length[1:]), int(counter.removeprefix("counter")), mode) for seed in seeds]
        )
        found[f"{length} {mode}"] = max(found.get(f"{length} {mode}", 0.0), _apart(ours_N.double(), theirs_N))
    return found


@torch.no_grad()
def _cosine(seed: int, d_model: int, length: int, counter: int, mode: str, *, batch_size: int = 2) -> float:
    block = _block(seed, d_model, memory=mode != "eval_no_memory")
    block.step.fill_(counter)
    for memory in block.memories:
        memory.get_buffer("passes").fill_(counter)
    block.train(mode == "train")
    x_BTD = torch.randn(batch_size, length, d_model, generator=torch.Generator().manual_seed(seed))
    cosine_BT = functional.cosine_similarity(
        block.run(x_BTD).y_BTD, functional.layer_norm(x_BTD, (d_model,)), dim=-1
    )
    return float(cosine_BT.mean())


def _row(what: str, d_model: int, measure: object) -> Row:
    assert callable(measure)
    return Row(
        what=f"{what}, D {d_model}",
        measure=partial(measure, d_model),
        tolerance=_SAMPLING_ERRORS,
        statistic="standard errors",
    )


ROWS = tuple(
    _row(what, d_model, measure)
    for d_model in (64, 256)
    for what, measure in (
        ("initial weights of an AFRB block", _weights),
        ("cosine of what an untrained AFRB block adds, by length T and mode", _cosines),
    )
)
