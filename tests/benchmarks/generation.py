"""Tokens a second of generation: from a model's state against passing the whole sequence for every token.

`python -m tests.benchmarks.generation --device cuda` measures the GPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.randomness import initialise
from trainables.registry import ARCHITECTURES
from trainables.tasks.generation import Continuation

LENGTHS = (64, 256, 1024)
"""Tokens that stand before the one that is generated."""
SIZES = {"d_model": 128, "num_layers": 4, "num_heads": 4}
VOCAB_SIZE, BATCH_SIZE = 256, 8
NUM_STEPS, NUM_WHOLE = 30, 3
"""Tokens of which the fastest counts: from the state, and from the whole sequence."""
WAVES = {"positions": "sinusoidal"}
FAMILIES: dict[str, dict[str, Any]] = {
    "tpi": WAVES,
    "diagonal_ssm": WAVES,
    "gru": WAVES,
    "mean_pool": WAVES,
    "kuramoto": WAVES,
    "resonant": WAVES,
    "transformer": WAVES,
    "pi_spiral": {"positions": "none", "attractor": {}},
    "pretrained": {},
}
"""What each has beside the sizes. The last one is an untrained Llama."""


def _model(name: str, device: str) -> LanguageModel:
    config = ARCHITECTURES.parse({"name": name, **SIZES, **FAMILIES[name]})
    model = config.build(vocab_size=VOCAB_SIZE, max_seq_len=max(LENGTHS) + NUM_STEPS)
    initialise(model, 0)
    return model.to(device).eval()


def best_seconds(call: Callable[[], Tensor], repeats: int, device: str) -> float:
    """Return the least time of a call: of the processor, which other work does not lengthen, or by the clock."""
    now = time.perf_counter if device == "cuda" else time.process_time
    seconds = []
    for _ in range(repeats):
        start = now()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(now() - start)
    return min(seconds)


@torch.no_grad()
def measure(name: str, length: int, device: str) -> tuple[float, float]:
    """Return the seconds of the token after `length` tokens: from the state, and from the whole sequence."""
    model = _model(name, device)
    tokens_BT = torch.zeros(BATCH_SIZE, length + NUM_STEPS, dtype=torch.long, device=device)
    continuation = Continuation(model)
    continuation.logits(tokens_BT[:, :length])
    lengths = iter(range(length + 1, length + NUM_STEPS + 1))
    streamed = best_seconds(lambda: continuation.logits(tokens_BT[:, : next(lengths)]), NUM_STEPS, device)
    return streamed, best_seconds(lambda: model(tokens_BT[:, :length]).logits_BTV[:, -1], NUM_WHOLE, device)


def _cells(name: str, length: int, device: str) -> list[str]:
    streamed, whole = measure(name, length, device)
    return [f"{BATCH_SIZE / streamed:,.0f}", f"{BATCH_SIZE / whole:,.0f}", f"{whole / streamed:.1f}×"]


def report(device: str) -> str:
    """Return the benchmark as Markdown."""
    torch.set_num_threads(1)
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU, 1 thread"
    clock = "wall time" if device == "cuda" else "processor time"
    heads = [f"{kind}, T {length:,}" for length in LENGTHS for kind in ("state", "whole", "ratio")]
    rows = [[name, *(cell for length in LENGTHS for cell in _cells(name, length, device))] for name in FAMILIES]
    return "\n".join(
        [
            f"**Generation, tokens a second after T tokens** (B {BATCH_SIZE}, {SIZES['num_layers']} layers, D "
            f"{SIZES['d_model']}, float32, {where}, torch {torch.__version__}; {clock}; from the state "
            "against the whole sequence for every token)",
            "",
            "| family | " + " | ".join(heads) + " |",
            "|---|" + "---:|" * len(heads),
            *("| " + " | ".join(row) + " |" for row in rows),
        ]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    print(report(parser.parse_args().device))


if __name__ == "__main__":
    main()
