"""Which weights of a pretrained model are trained: none, the projections to queries and keys, LoRA, or all."""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from trainables.architectures.pretrained.fields import LoraConfig
from trainables.architectures.pretrained.quantised_linear import QuantisedLinear, silence_advice
from trainables.randomness import Constant, Initializer, Uniform

if TYPE_CHECKING:
    from trainables.architectures.pretrained.config import PretrainedConfig


def choose_trained(config: PretrainedConfig, model: Any) -> None:
    """Freeze a model but for what `config.trained` names, which is added for LoRA.

    Raises:
        ValueError: If the model has no such projections, or `peft` is not installed.
    """
    model.requires_grad_(config.trained == "everything")
    if config.trained == "query_key":
        for projection in _projections(config.model, model, "qk"):
            projection.requires_grad_()
    elif config.trained == "lora":
        _add_lora(config.model, model, config.lora)


def _projections(source: str, model: nn.Module, wanted: Iterable[str]) -> list[nn.Module]:
    """Return the modules of these projections in all layers."""
    names = tuple(f"{one}_proj" for one in wanted)
    found = [module for name, module in model.named_modules() if name.rpartition(".")[2] in names]
    if not found:
        raise ValueError(
            f"model '{source}' has no projections {', '.join(names)}: {type(model).__name__} computes queries, "
            "keys and values together; choose a model built as Llama, Qwen2 or Mistral are, or trained=everything"
        )
    return found


def _add_lora(source: str, model: Any, lora: LoraConfig) -> None:
    """Put low-rank additions at the projections; `initialise` draws A as `peft` does, and B is 0."""
    if importlib.util.find_spec("peft") is None:
        raise ValueError(
            "trained=lora needs the package peft, of the extra longcontext: pip install 'phasesweep[longcontext]'"
        )
    silence_advice()  # which peft imports, whatever the weights are
    import peft

    _projections(source, model, lora.projections)
    wanted = peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=[f"{one}_proj" for one in lora.projections],
    )
    wanted._register_custom_module({QuantisedLinear: peft.tuners.lora.Linear})
    # Without data, so that nothing is drawn from a stream that is not ours, and nothing is moved.
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unsupported layer type")  # ours, which it is told of in the line above
        peft.inject_adapter_in_model(wanted, model)
    for module in model.modules():
        if isinstance(module, peft.tuners.lora.LoraLayer):
            for first, second in zip(module.lora_A.values(), module.lora_B.values(), strict=True):
                _declare(first, Uniform(1 / math.sqrt(first.in_features)))
                _declare(second, Constant(0.0))


def _declare(layer: Any, rule: Initializer) -> None:
    """Give a layer a weight in float32, and say how it is drawn."""
    layer.weight = nn.Parameter(torch.empty(layer.weight.shape))
    layer.initializers = {"weight": rule}
