"""The attractor as one phase scan against the published loop over positions: forward + backward.

`python -m tests.benchmarks.attractor --device cuda` measures the GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from tests.benchmarks.generation import best_seconds
from trainables.layers.encodings.attractor import AttractorState
from trainables.layers.encodings.fields import AttractorConfig

LENGTHS = (64, 256, 1024)
BATCH_SIZE, WIDTH = 4, 64
REPEATS = 3


def _loss_of_scan(state: AttractorState, h_BTD: Tensor) -> Tensor:
    s_BTS = state(h_BTD)
    return s_BTS.re.square().sum() + s_BTS.im.square().sum()


def _loss_of_loop(state: AttractorState, h_BTD: Tensor) -> Tensor:
    """Form the published matrix of S × D at every position, one after the other."""
    return state.reference(h_BTD).square().sum()


def _seconds(loss: Callable[[AttractorState, Tensor], Tensor], length: int, device: str) -> float:
    state = AttractorState(AttractorConfig(), WIDTH).to(device)
    h_BTD = torch.randn(BATCH_SIZE, length, WIDTH, device=device, requires_grad=True)

    def once() -> Tensor:
        found = loss(state, h_BTD)
        found.backward()
        return found

    return best_seconds(once, REPEATS, device)


def report(device: str) -> str:
    """Return the benchmark as Markdown."""
    torch.set_num_threads(1)
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU, 1 thread"
    rows = []
    for length in LENGTHS:
        scan, loop = (_seconds(loss, length, device) for loss in (_loss_of_scan, _loss_of_loop))
        rows.append(f"| {length:,} | {1e3 * scan:.1f} ms | {1e3 * loop:.0f} ms | {loop / scan:.0f}× |")
    return "\n".join(
        [
            f"**Attractor, forward and backward** (B {BATCH_SIZE}, D {WIDTH}, float32, {where}, torch "
            f"{torch.__version__}; {'wall' if device == 'cuda' else 'processor'} time)",
            "",
            "| positions | one phase scan, 2·D numbers | loop over positions, D × D as published | ratio |",
            "|---:|---:|---:|---:|",
            *rows,
        ]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    print(report(parser.parse_args().device))


if __name__ == "__main__":
    main()
