"""Cascades of AFRB blocks with their memories, through training passes and in evaluation."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from tests.parity.row import Row
from tests.parity.vectors import Target, Vectors, as_it_is, difference, load_exactly, ours_of, transposed
from trainables.architectures.resonant.block.block import AFRBBlock
from trainables.architectures.resonant.build import build_parts
from trainables.architectures.resonant.config import ResonantConfig

_NAMES: dict[str, Target] = {
    "gamma_raw": ("gate", as_it_is),
    "norm1.weight": ("norm_in.weight", as_it_is),
    "norm1.bias": ("norm_in.bias", as_it_is),
    "norm2.weight": ("norm_out.weight", as_it_is),
    "norm2.bias": ("norm_out.bias", as_it_is),
    "mixer.0.weight": ("mixer.linear.weight", as_it_is),
    "mixer.0.bias": ("mixer.linear.bias", as_it_is),
    "mixer.weight": ("mixer.weight", as_it_is),
    "mixer.bias": ("mixer.bias", as_it_is),
    "phase_embed.proj.weight": ("embedding.projection_2D", transposed),
    "phase_embed.proj.bias": ("embedding.bias_D", as_it_is),
    "phase_embed.omega_param": ("embedding.omega", as_it_is),
    "pvm.gate": ("memories.0.gate", as_it_is),
    "pvm.input_scale": ("memories.0.input_scale", as_it_is),
    "pvm.phase_buffer.pcm_gate": ("memories.0.pcm.gate", as_it_is),
    "pvm.phase_buffer.phase_cryst": ("memories.0.pcm.crystalline_D", as_it_is),
    "pvm.phase_buffer.phase_amorph": ("memories.0.pcm.amorphous_D", as_it_is),
}
_FIXED = {"alpha", "phi_base"}
"""Parameters of theirs that no gradient reaches: numbers in ours."""


def _parameters(vectors: Vectors, prefix: str) -> dict[str, Tensor]:
    values = {name: value for name, value in vectors.under(prefix).items() if name not in _FIXED}
    return ours_of(values, _NAMES)


def _blocks(config: ResonantConfig, vectors: Vectors, d_model: int, counter: int) -> list[AFRBBlock]:
    built = build_parts(config, d_model, vocab_size=8).blocks.double()
    blocks = [block for block in built if isinstance(block, AFRBBlock)]
    for index, block in enumerate(blocks):
        load_exactly(block, _parameters(vectors, f"param/{index}/"))
        block.step.fill_(counter)
        for memory in block.memories:
            memory.passes.fill_(counter)
        block.train()
    return blocks


def _run(blocks: list[AFRBBlock], x_BTD: Tensor) -> Tensor:
    for block in blocks:
        x_BTD = x_BTD + block.run(x_BTD).y_BTD
    return x_BTD


def measure(file: str, *, counter: int = 0, **architecture: Any) -> dict[str, float]:
    """Return the largest differences through the passes of `file`, built from a configuration."""
    vectors = Vectors(file)
    num_passes = sum(key.startswith("y/") and key[2:].isdigit() for key in vectors)
    d_model = vectors["x/0"].shape[-1]
    config = ResonantConfig(fidelity="as_published", d_model=d_model, num_heads=1, **architecture)
    blocks = _blocks(config, vectors, d_model, counter)
    found = {"out": 0.0, "grad": 0.0}
    for index in range(num_passes):
        x_BTD = vectors[f"x/{index}"].clone().requires_grad_()
        for block in blocks:
            block.zero_grad()
        y_BTD = _run(blocks, x_BTD)
        (y_BTD * vectors[f"functional/{index}"]).sum().backward()
        found["out"] = max(found["out"], difference(y_BTD, vectors[f"y/{index}"]))
        found["grad"] = max(found["grad"], difference(x_BTD.grad, vectors[f"grad_x/{index}"]))
    for index, block in enumerate(blocks):
        own = dict(block.named_parameters())
        for name, value in _parameters(vectors, f"grad/{index}/").items():
            found["grad"] = max(found["grad"], difference(own[name].grad, value))
        block.eval()
    with torch.no_grad():
        found["evaluation"] = difference(_run(blocks, vectors["x/eval"]), vectors["y/eval"])
    return found


def _row(file: str, what: str, *, section: str = "", **given: Any) -> Row:
    return Row(what=what, section=section, measure=partial(measure, file, **given))


_CASCADE = {"alpha": 0.5, "phase_delta": 0.1, "block_ramp_steps": 3, "num_blocks": 3}

ROWS = (
    _row("afrb_glu", "AFRB block, gated linear unit"),
    _row("afrb_conv", "AFRB block, convolution", mixer="conv"),
    _row("afrb_pvm", "AFRB block with memory", pvm={"alpha": 0.3, "beta": 0.85}),
    _row("afrb_pvm_step8000", "the same from counter 8000", counter=8000, pvm={"alpha": 0.3, "beta": 0.85}),
    _row(
        "cascade_no_pvm",
        "three blocks without memory",
        **_CASCADE | {"phase_ramp_steps": 4, "omega_delta": 0.5, "cascade_lambda": 0.3, "cascade_kappa": 0.2},
    ),
    _row(
        "afrb_stillness",
        "stillness filter",
        alpha=0.5,
        block_ramp_steps=4,
        stillness={"ema": 0.9, "floor": 0.4, "warm_steps": 2},
    ),
)
