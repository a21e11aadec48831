"""A long text read in chunks on a GPU: the memory of tensors grows with the state, and not with a window."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trainables.randomness import initialise
from trainables.registry import ARCHITECTURES
from trainables.tasks.text.config import StreamConfig
from trainables.tasks.text.long_stream import LongStream
from trainables.units import MIB

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SMALL: dict[str, Any] = {
    "name": "pretrained",
    "model": "untrained:llama",
    "d_model": 64,
    "num_layers": 2,
    "num_heads": 2,
}


def test_tensors_on_the_gpu_grow_with_the_state_alone() -> None:
    found = {}
    for window in (256, None):
        config = ARCHITECTURES.parse({**SMALL, "attention_window": window})
        model = config.build(vocab_size=256, max_seq_len=128)
        initialise(model, 0)
        model = model.to("cuda").eval()
        for length in (4096, 16384):
            stream = LongStream(StreamConfig(length=length), torch.arange(256, dtype=torch.uint8))
            found[window, length] = stream.score(model, torch.device("cuda"))
    state, memory = "val/stream_state_bytes", "val/stream_memory_mib"
    assert found[256, 4096][state] == found[256, 16384][state]
    assert found[256, 4096][memory] == pytest.approx(found[256, 16384][memory], rel=0.05)
    grown = found[None, 16384][memory] - found[None, 4096][memory]
    assert grown == pytest.approx((found[None, 16384][state] - found[None, 4096][state]) / MIB, rel=0.2)
