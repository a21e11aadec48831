"""Offloaded weights, with the CPU in the place of the GPU: nothing but their place changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cluster.memory.dry_run import dry_run
from tests.support.models.configs import small_config
from tests.support.models.pretrained import VOCAB, built, logits, relative, tokens
from trainables.architectures.pretrained.offloading import largest_part, offload


@pytest.mark.parametrize("quantisation", ["none", "8bit", "4bit"])
def test_the_logits_stay_and_the_weights_leave(quantisation: str, tmp_path: Path) -> None:
    built(d_model=64, num_heads=2).model.save_pretrained(tmp_path)
    fields: dict[str, Any] = {
        "model": f"hf:{tmp_path}",
        "quantisation": quantisation,
        "adapter": {"last_layers": 1},
    }
    model = built(**fields, encoding={"scheme": "yarn", "scale": 2.0})
    before = logits(model, tokens())
    offload(model.model, torch.device("cpu"))
    weights = [value for name, value in model.model.named_parameters()]
    assert {value.device.type for value in weights} == {"meta"}
    assert quantisation == "none" or any(value.is_meta for value in model.model.buffers())
    assert relative(logits(model, tokens()), before) < 1e-6
    with torch.no_grad():
        last_BV, _ = model.prefill(tokens())
    assert relative(last_BV, before[:, -1]) < 1e-5


def test_only_the_largest_part_is_on_the_device_at_a_time(tmp_path: Path) -> None:
    model = built(d_model=64, num_heads=2, ffn_multiplier=8.0, trained="nothing", offload=True)
    found = model.on_device()
    assert [tuple(value.shape) for value in found] == [(512, 64)]
    assert len(built().on_device()) == len([*built().parameters(), *built().buffers()])


def test_an_estimate_for_a_gpu_counts_only_that(tmp_path: Path) -> None:
    found = {}
    for offloaded in (False, True):
        architecture = {"name": "pretrained", "d_model": 64, "num_layers": 3, "num_heads": 2}
        architecture |= {"trained": "nothing", "offload": offloaded}
        config = small_config(architecture=architecture, budget={"steps": 0})
        found[offloaded] = dry_run(
            config,
            vocab_size=VOCAB,
            context_length=16,
            micro_batch_size=2,
            held_out_sequences=4,
            device="cuda",
        ).parameters
    assert found[True] == 4 * 256 * 64 < found[False] / 8


def test_a_cpu_keeps_everything() -> None:
    model = built(trained="nothing", offload=True)
    assert model.to(torch.device("cpu")) is model
    assert not any(value.is_meta for value in model.parameters())
    assert largest_part(model.model)[0].device.type == "cpu"
