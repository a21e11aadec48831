"""AFRB blocks through the passes of a file: training passes one after the other, evaluations between them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from tests.parity.vectors import Target, Vectors, as_it_is, difference, load_exactly, ours_of, transposed
from trainables.architectures.resonant.block.block import AFRBBlock, BlockOutput
from trainables.architectures.resonant.build import build_parts
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.memory.phase_vector import PhaseVectorMemory

NAMES: dict[str, Target] = {
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
FIXED = {"alpha", "phi_base"}
"""Parameters of theirs that no gradient reaches here: numbers in ours."""


def ours(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a block's published parameters or gradients under our names, without those that are numbers."""
    return ours_of({name: value for name, value in published.items() if name not in FIXED}, NAMES)


class Passes:
    """A file of AFRB vectors, whichever of the two layouts it has, with what `afrb_carried_state` adds to it."""

    def __init__(self, file: str) -> None:
        self.vectors = Vectors(file)
        self.count = sum(key.startswith("y/") and key[2:].isdigit() for key in self.vectors)
        self.every_pass = "counter/0" in self.vectors
        """Whether the file itself has gradients and state of every pass, not of the last one only."""
        self.carried = {} if self.every_pass else Vectors("afrb_carried_state").under(f"{file}/")

    def parameters(self, block: int) -> dict[str, Tensor]:
        """Return a block's parameters under our names."""
        return ours(self.vectors.under(f"param/{block}/"))

    def gradients(self, index: int, block: int) -> dict[str, Tensor]:
        """Return the gradients of a block's parameters in a pass, as far as they were kept."""
        if self.every_pass:
            return ours(self.vectors.under(f"grad/{index}/{block}/"))
        if index == self.count - 1:
            return ours(self.vectors.under(f"grad/{block}/"))
        grads = {name[5:]: value for name, value in self.carried.items() if name.startswith("grad/")}
        return ours({name: value[index, block] for name, value in grads.items()})

    def counters(self, index: int) -> Tensor:
        """Return the blocks' counters after a training pass."""
        return self.vectors[f"counter/{index}"] if self.every_pass else self.carried["counter"][index]

    def memory(self, index: int, block: int) -> Tensor | None:
        """Return the memory that is carried on from a training pass, if there is one."""
        if self.every_pass:
            return self.vectors.get(f"memory/{index}/{block}")
        return self.carried["memory"][index, block] if "memory" in self.carried else None

    def evaluations(self, passed: int) -> list[str]:
        """Return the names of the evaluations after `passed` training passes."""
        names = [f"eval{passed}", *(["eval"] if passed == self.count else [])]
        return [name for name in names if f"x/{name}" in self.vectors]


def blocks_of(config: ResonantConfig, d_model: int) -> list[AFRBBlock]:
    """Return the blocks of a configuration in float64."""
    built = build_parts(config, d_model, vocab_size=8).blocks.double()
    return [block for block in built if isinstance(block, AFRBBlock)]


def measure(file: str, *, counter: int = 0, **architecture: Any) -> dict[str, float]:
    """Return the largest differences over all passes of `file`, our blocks being built from a configuration."""
    passes = Passes(file)
    d_model = passes.vectors["x/0"].shape[-1]
    config = ResonantConfig(fidelity="as_published", d_model=d_model, num_heads=1, **architecture)
    blocks = blocks_of(config, d_model)
    for index, block in enumerate(blocks):
        load_exactly(block, passes.parameters(index))
        for count in (block.step, *(memory.passes for memory in _memories(block))):
            count.fill_(counter)
    found: dict[str, float] = defaultdict(float)
    _evaluate(blocks, passes, 0, found)
    for index in range(passes.count):
        _train(blocks, passes, index, found)
        _evaluate(blocks, passes, index + 1, found)
        _compare_state(blocks, passes, index, found)
    return dict(found)


def _run(blocks: list[AFRBBlock], x_BTD: Tensor) -> tuple[Tensor, list[BlockOutput]]:
    outputs = []
    for block in blocks:
        outputs.append(block.run(x_BTD))
        x_BTD = x_BTD + outputs[-1].y_BTD
    return x_BTD, outputs


def _train(blocks: list[AFRBBlock], passes: Passes, index: int, found: dict[str, float]) -> None:
    """Make one training pass, and compare output, gradients and what is read of the first sequence."""
    vectors = passes.vectors
    x_BTD = vectors[f"x/{index}"].clone().requires_grad_()
    for block in blocks:
        block.train().zero_grad()
    y_BTD, outputs = _run(blocks, x_BTD)
    (y_BTD * vectors[f"functional/{index}"]).sum().backward()
    _note(found, "out", y_BTD, vectors[f"y/{index}"])
    _note(found, "grad", x_BTD.grad, vectors[f"grad_x/{index}"])
    for place, (block, output) in enumerate(zip(blocks, outputs, strict=True)):
        own = dict(block.named_parameters())
        for name, value in passes.gradients(index, place).items():
            _note(found, "grad", own[name].grad, value)
        if (trace_TD := vectors.get(f"trace/{index}/{place}")) is not None:
            _note(found, "trace", output.traces["pvm"][0], trace_TD)


@torch.no_grad()
def _evaluate(blocks: list[AFRBBlock], passes: Passes, passed: int, found: dict[str, float]) -> None:
    """Compare the evaluations after `passed` training passes."""
    for name in passes.evaluations(passed):
        for block in blocks:
            block.eval()
        y_BTD, outputs = _run(blocks, passes.vectors[f"x/{name}"])
        _note(found, "evaluation", y_BTD, passes.vectors[f"y/{name}"])
        for trace_TD, output in zip(passes.vectors.get(f"trace/{name}", ()), outputs, strict=False):
            _note(found, "trace", output.traces["pvm"][0], trace_TD)


def _compare_state(blocks: list[AFRBBlock], passes: Passes, index: int, found: dict[str, float]) -> None:
    """Compare counters and carried memories after a training pass and the evaluations that follow it."""
    for place, (block, count) in enumerate(zip(blocks, passes.counters(index), strict=True)):
        _note(found, "counter", block.step, count)
        for memory in _memories(block):
            carried_D = passes.memory(index, place)
            assert carried_D is not None
            _note(found, "counter", memory.passes, count)
            _note(found, "memory", memory.carried_D, carried_D)


def _memories(block: AFRBBlock) -> list[PhaseVectorMemory]:
    return [memory for memory in block.memories if isinstance(memory, PhaseVectorMemory)]


def _note(found: dict[str, float], name: str, ours: Tensor | None, theirs: Tensor) -> None:
    found[name] = max(found[name], difference(ours, theirs))
