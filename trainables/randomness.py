"""Named random streams: each draw's stream is a hash of the seed and a name, and never depends on earlier draws.

So seeds are paired across arms: a parameter that two architectures share by name and shape starts equal in
both, whatever other parameters they have. Draws in a forward pass (dropout, noise) are paired less: they come
from one stream for each step and micro-batch, consumed in the order of the layers, so two arms have equal masks
only up to the first layer in which they draw differently.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

INIT_STD = 0.02
HAS_OWN_WEIGHTS = "keeps_its_parameters"
"""A module with this attribute true, such as a pretrained model, keeps its parameters, submodules included."""


@dataclass(frozen=True)
class Normal:
    """Draw from a normal distribution with mean 0."""

    std: float


@dataclass(frozen=True)
class Constant:
    """Set every element to one value, without random draws."""

    value: float


@dataclass(frozen=True)
class Uniform:
    """Draw from the uniform distribution between -bound and bound."""

    bound: float


Initializer = Normal | Constant | Uniform
"""Initialisation of a parameter. A module declares `initializers: dict[str, Initializer]` for its own
parameters."""

_BY_TYPE: tuple[tuple[type[nn.Module], dict[str, Initializer]], ...] = (
    (nn.Linear, {"weight": Normal(INIT_STD), "bias": Constant(0.0)}),
    (nn.Embedding, {"weight": Normal(INIT_STD)}),
    (nn.LayerNorm, {"weight": Constant(1.0), "bias": Constant(0.0)}),
)


def start_as_torch(model: nn.Module) -> None:
    """Declare torch's own initialisation for every linear layer and convolution in `model`, biases included.

    Uniform with the bound 1 / sqrt(inputs of an output), so with a standard deviation of 1 / sqrt(3 inputs).
    """
    for part in model.modules():
        if isinstance(part, nn.Linear | nn.Conv1d):
            declared: Any = part
            rule = Uniform(1 / math.sqrt(part.weight[0].numel()))
            declared.initializers = {"weight": rule, "bias": rule}


def stream_seed(seed: int, *names: str) -> int:
    """Return the 63-bit seed of the stream called `names` under `seed`.

    Names are hashed with their lengths, so ("a", "bc") and ("ab", "c") are different streams. PyTorch's CPU
    generator (MT19937) uses only the low 32 bits: there, some two of n streams coincide with a probability
    of about n² / 2³³ (0.002 for 2,000 steps), which repeats a draw, for example in two distant steps.
    """
    text = "".join(f"{len(name)}:{name}" for name in (str(seed), *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator at the start of the stream called `names` under `seed`."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, *names))


def seed_forward(device: torch.device, seed: int) -> None:
    """Seed the generators of a forward pass on `device`: dropout and noise of modules, which take no generator.

    Like `torch.manual_seed`, but without the devices that are not used. On CUDA two generators matter: the GPU's
    for masks, and the CPU's for draws on the host.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


@torch.no_grad()
def initialise(model: nn.Module, seed: int) -> None:
    """Set every parameter of `model`, each from its own stream (seed, "init", parameter name).

    A tied parameter is drawn once, under the first of its names. Draws are made on the CPU in float32
    whatever the parameter's device and dtype, so that a model starts equal on every node. A module's own
    `initializers` take precedence over the defaults (GPT-2's: normal with std 0.02, biases 0, norms 1 and 0).

    Raises:
        ValueError: If a parameter has no rule; the message names it.

    Source:
        Radford et al. (2019), "Language models are unsupervised multitask learners", section 2.3.
    """
    for name, parameter, rule in _rules(model):
        stream = generator(seed, "init", name)
        match rule:
            case Normal(std):
                parameter.copy_(torch.randn(parameter.shape, generator=stream) * std)
            case Uniform(bound):
                parameter.copy_((2 * torch.rand(parameter.shape, generator=stream) - 1) * bound)
            case Constant(value):
                parameter.fill_(value)


def _rules(model: nn.Module) -> Iterator[tuple[str, Tensor, Initializer]]:
    """Yield (name, parameter, rule) for every parameter, tied ones once."""
    seen: set[int] = set()
    kept = {
        inner for module in model.modules() if getattr(module, HAS_OWN_WEIGHTS, False) for inner in module.modules()
    }
    for prefix, module in model.named_modules():
        if module in kept:
            continue
        declared: dict[str, Initializer] = getattr(module, "initializers", {})
        defaults = next((rules for kind, rules in _BY_TYPE if isinstance(module, kind)), {})
        for local_name, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{local_name}" if prefix else local_name
            rule = declared.get(local_name, defaults.get(local_name))
            if rule is None:
                raise ValueError(
                    f"parameter '{name}' has no initialiser: declare one in `initializers` of "
                    f"{type(module).__qualname__}"
                )
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter, rule
