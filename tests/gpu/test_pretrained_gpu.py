"""Pretrained models on a GPU: schemes, few bits, offloading and fine-tuning give what they give on a CPU.

Imports trainables, torch, transformers and pytest only, so it runs on a bare GPU machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.models.configs import small_config
from tests.support.models.pretrained import built, logits, relative, tokens
from trainables.training.loop import train
from trainables.training.numerics import Numerics

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

GPU = torch.device("cuda")
SCHEMES: list[dict[str, Any]] = [
    {},
    {"encoding": {"scheme": "yarn", "scale": 4.0}},
    {"encoding": {"scheme": "spiral", "constant": "prng_table"}, "adapter": {"last_layers": 1}},
    {"encoding": {"scheme": "alibi"}, "attention_window": 9},
    {"attractor": {"last_layers": 1}},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    built(d_model=128, num_heads=2, num_layers=3).model.save_pretrained(path)
    return path


@torch.no_grad()
def streamed(model: Any, tokens_BT: Tensor) -> Tensor:
    found, state = [], None
    for part_BT in tokens_BT.split((17, 1, 1, 21), dim=1):
        logits_BTV, state = model.stream(part_BT, state)
        found.append(logits_BTV)
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("fields", SCHEMES, ids=str)
def test_schemes_are_those_of_a_cpu_and_are_read_on_from_a_state(fields: dict[str, Any]) -> None:
    expected_BTV = logits(built(**fields), tokens())
    model = built(**fields).to(GPU)
    assert relative(logits(model, tokens().to(GPU)).cpu(), expected_BTV) < 1e-3
    assert relative(streamed(model, tokens().to(GPU)).cpu(), expected_BTV) < 1e-3


@pytest.mark.parametrize("quantisation", ["none", "8bit", "4bit"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_few_bits_are_those_of_a_cpu(quantisation: str, dtype: str, folder: Path) -> None:
    fields: dict[str, Any] = {"model": f"hf:{folder}", "quantisation": quantisation, "dtype": dtype}
    fields["encoding"] = {"scheme": "ntk", "scale": 2.0}
    expected_BTV = logits(built(**fields), tokens())
    model = built(**fields).to(GPU)
    found_BTV = logits(model, tokens().to(GPU))
    assert found_BTV.dtype == torch.float32
    assert relative(found_BTV.cpu(), expected_BTV) < (1e-3 if dtype == "float32" else 0.1)
    assert relative(streamed(model, tokens().to(GPU)), found_BTV) < (1e-3 if dtype == "float32" else 0.1)


@pytest.mark.parametrize("quantisation", ["none", "8bit", "4bit"])
def test_offloaded_weights_give_the_same_and_take_less_of_the_gpu(quantisation: str, folder: Path) -> None:
    fields: dict[str, Any] = {"model": f"hf:{folder}", "quantisation": quantisation, "adapter": {"last_layers": 1}}
    expected_BTV = logits(built(**fields), tokens())
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model = built(**fields, offload=True).to(GPU)
    held = torch.cuda.memory_allocated() - before
    whole = sum(value.nbytes for value in [*built(**fields).parameters(), *built(**fields).buffers()])
    assert held < whole / 10
    assert relative(logits(model, tokens().to(GPU)).cpu(), expected_BTV) < 1e-3
    assert relative(streamed(model, tokens().to(GPU)).cpu(), expected_BTV) < 1e-3


@pytest.mark.parametrize("quantisation", ["none", "8bit", "4bit"])
def test_lora_trains_and_repeats_bit_for_bit(quantisation: str, folder: Path) -> None:
    architecture = {"name": "pretrained", "model": f"hf:{folder}", "quantisation": quantisation, "trained": "lora"}
    config = small_config(architecture=architecture, budget={"precision": "bfloat16", "steps": 12})
    config = config.model_copy(
        update={"architecture": config.architecture.model_copy(update={"dtype": "bfloat16"})}
    )
    runs = []
    for _ in range(2):
        reports = list(train(config, 0, config.task.build(None), numerics=Numerics(device="cuda")))
        runs.append([{k: v for k, v in report.metrics.items() if "second" not in k} for report in reports])
    assert runs[0] == runs[1]
    assert runs[0][-1]["val_subset/bits_per_char"] < runs[0][0]["val_subset/bits_per_char"]
