"""Loading a Hugging Face causal LM: with its weights, or without them if only shapes count."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from trainables.architectures.pretrained.fields import Dtype, Quantisation
from trainables.architectures.pretrained.quantised_linear import (
    TYPE_4BIT,
    from_bitsandbytes,
    silence_advice,
    unfilled,
)
from trainables.data.pretrained_files import find_source, first_line, quiet_transformers, weight_files

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_CAUSAL = ("ForCausalLM", "LMHeadModel", "Model")
"""Suffixes of the names of classes with a causal LM; a model without a head may have it tied to the embedding."""


class LoadedModel(NamedTuple):
    """A model, in evaluation mode and without dropout."""

    model: Any
    """A model of `transformers`; its quantised layers are `QuantisedLinear`."""
    has_data: bool
    """Whether its weights were read; false on the meta device and on fake tensors."""
    is_mapped: bool
    """Whether its weights are the pages of a file, which stay in memory until all of them are let go."""


def load_pretrained(source: str, *, quantisation: Quantisation, dtype: Dtype) -> LoadedModel:
    """Load a causal LM on the current default device.

    Args:
        source: A local folder, a hub repository or a package; see `find_source`.
        quantisation: For the linear layers that `transformers` would replace: all but the head.
        dtype: Of the other weights, and of the computation.

    Raises:
        ValueError: If there is no such model, it is no causal LM, or its weights do not match its configuration.
    """
    if quantisation != "none":
        silence_advice()
    probe = torch.empty(0)
    has_data = not (probe.is_meta or isinstance(probe, FakeTensor))
    folder = find_source(source, weights=not probe.is_meta, fetch=has_data)
    config = _read_config(source, folder)
    # Before a model is built: that changes the configuration's dtype.
    is_mapped = quantisation == "none" and config.dtype == DTYPES[dtype]
    if has_data:
        model = _load(source, folder, config, quantisation, DTYPES[dtype])
        return LoadedModel(model, has_data, is_mapped)
    with torch.device("meta"):
        model = _build(config, DTYPES[dtype])
        _replace_unfilled(model, quantisation)
    if not probe.is_meta:
        files = torch.empty(0 if is_mapped else _size_of(weight_files(folder)), dtype=torch.uint8)
        _allocate(model)
        del files
    return LoadedModel(model.eval(), has_data, is_mapped)


def _read_config(source: str, folder: Path) -> Any:
    """Read a model's configuration, and disable its dropout."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"backbone '{source}': cannot read {folder / 'config.json'}: {first_line(error)}"
        ) from None
    if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False):
        raise ValueError(
            f"backbone '{source}' is of type '{config.model_type}', an encoder: each of its positions sees the "
            "tokens after it, so that to predict the next one it need only look; choose a causal LM"
        )
    saved_as = config.architectures or ["Model"]
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or not saved_as[0].endswith(_CAUSAL):
        what = f"a {config.architectures[0]}" if config.architectures else f"of type '{config.model_type}'"
        raise ValueError(
            f"backbone '{source}' is {what}, no causal LM; choose a model that predicts the next token, such as "
            "GPT-2, Llama, Qwen2 or Mistral"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise ValueError(
            f"backbone '{source}' was saved with quantised weights; name the original, and choose "
            "quantisation '8bit' or '4bit'"
        )
    for name, value in config.to_dict().items():
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)
    return config


def _build(config: Any, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config, dtype=dtype)


def _load(source: str, folder: Path, config: Any, quantisation: Quantisation, dtype: torch.dtype) -> Any:
    """Read a model and its weights, quantising one tensor at a time."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    options = {} if quantisation == "none" else {"quantization_config": _asked(quantisation, dtype)}
    with quiet_transformers():
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported in the message below
                device_map="cpu",
                **options,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"backbone '{source}': cannot read the weights in {folder}: {first_line(error)}"
            ) from None
    if lacking := sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}):
        raise ValueError(
            f"backbone '{source}': the weights in {folder} do not fit its config.json: {len(lacking)} tensors "
            f"are missing or of another shape, such as {lacking[0]}; save the whole causal LM"
        )
    for name, module in list(model.named_modules()):
        if type(module).__module__.startswith("bitsandbytes."):
            model.set_submodule(name, from_bitsandbytes(module))
    if quantisation != "none":
        _leave_files(model)
    return model


def _leave_files(model: nn.Module) -> None:
    """Copy tensors that are still memory-mapped: the embedding alone would keep a whole file mapped."""
    for module in model.modules():
        for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            if tensor.is_floating_point():  # codes were created here
                tensor.data = tensor.data.clone()


def _size_of(files: list[Path]) -> int:
    """Return the bytes of the files, which are mapped while a model is copied from them."""
    return sum(path.stat().st_size for path in files)


def _asked(quantisation: Quantisation, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_8bit=quantisation == "8bit",
        load_in_4bit=quantisation == "4bit",
        bnb_4bit_quant_type=TYPE_4BIT,
        bnb_4bit_compute_dtype=dtype,
    )


def _replace_unfilled(model: Any, quantisation: Quantisation) -> None:
    """Put layers without data where `_load` would put quantised ones."""
    if quantisation == "none":
        return
    from transformers.pytorch_utils import Conv1D
    from transformers.quantizers.base import HfQuantizer
    from transformers.quantizers.quantizers_utils import should_convert_module

    kept = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    for name, module in list(model.named_modules()):
        if not (isinstance(module, Conv1D) or type(module) is nn.Linear) or not should_convert_module(name, kept):
            continue
        outputs, inputs = reversed(module.weight.shape) if isinstance(module, Conv1D) else module.weight.shape
        bias_dtype = None if module.bias is None else module.bias.dtype
        layer = unfilled(quantisation, outputs=outputs, inputs=inputs, bias_dtype=bias_dtype)
        model.set_submodule(name, layer)


def _allocate(model: nn.Module) -> None:
    """Allocate CPU memory for every tensor of a model on the meta device, tied ones once; values are unset."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    empty = torch.empty_like(tensor, device="cpu")
                    made[id(tensor)] = nn.Parameter(empty) if isinstance(tensor, nn.Parameter) else empty
                tensors[name] = made[id(tensor)]  # type: ignore[assignment]
