"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from trainables.architectures.base.model import LanguageModel
    from trainables.config.training import OptimizerConfig


EMBEDDINGS = ("token_embedding", "position_embedding")
"""Names of the backbone's embeddings."""


def learning_rate_at(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """Return the learning rate of optimiser step `step` (the first is 0) of `total_steps`.

    Linear warm-up from peak/(warmup+1), or from 0, then constant, a half cosine, or a line down to
    `final_fraction` of the peak at `total_steps`; or a half cosine toward 0 that is cut off at that fraction.

    Source:
        The warm-up from above 0 and the cosine are nanoGPT's `get_lr`; that from 0 and the cut are PhaseGPT's.
    """
    peak, warmup = config.at(step).learning_rate, config.warmup_steps
    if step < warmup:
        return peak * (step / warmup if config.warmup_from == "zero" else (step + 1) / (warmup + 1))
    if config.schedule == "constant":
        return peak
    floor = peak * config.final_fraction
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    remaining = 1.0 - progress if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    if config.schedule == "cosine_cut":
        return max(floor, remaining * peak)
    return floor + remaining * (peak - floor)


def parameter_groups(model: LanguageModel, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Split the parameters into groups with and without weight decay.

    `matrices` decays the weights of linear layers and embeddings only. `all_but_bias` decays everything whose name
    does not end in `bias`, and so couplings, frequencies and norms. `all_but_bias_and_embeddings` spares token and
    position embeddings besides. None decays the model's `no_weight_decay`.

    Returns:
        The two groups, then two more for each of the model's `learning_rate_factors`, with that factor as
        `learning_rate_factor` and without empty ones.
    """
    factors, exempt = model.learning_rate_factors, model.no_weight_decay
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if config.weight_decay_on == "matrices":
            decays = name.endswith("weight") and parameter.dim() >= 2
        else:
            spared = EMBEDDINGS if config.weight_decay_on == "all_but_bias_and_embeddings" else ()
            decays = not name.endswith("bias") and not any(part in spared for part in name.split("."))
        key = (factors.get(name, 1.0), decays and name not in exempt)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": config.weight_decay if decays else 0.0}
        | ({} if factor == 1.0 else {"learning_rate_factor": factor})
        for (factor, decays), parameters in groups.items()
    ]


def build_optimizer(model: LanguageModel, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimiser; `set_step` sets what changes before every step."""
    groups = parameter_groups(model, config)
    groups = [group for group in groups if group["params"]] or groups[:1]  # a model may have nothing to train
    betas = (config.beta1, config.beta2)
    if config.name == "adamw_8bit":
        import bitsandbytes as bnb

        # The library annotates this base class differently; it is a torch.optim.Optimizer.
        optimizer: torch.optim.Optimizer = bnb.optim.AdamW8bit(
            groups, lr=config.learning_rate, betas=betas, eps=config.eps
        )
        return optimizer
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.eps, fused=True)


def set_step(optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int, total_steps: int) -> None:
    """Give the groups of an optimiser the learning rate of a step, and its weight decay."""
    rate, decay = learning_rate_at(config, step, total_steps), config.at(step).weight_decay
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("learning_rate_factor", 1.0)
        if group["weight_decay"]:
            group["weight_decay"] = decay
