"""The usage guide's metrics, measured on a model of the `resonant` family.

Every value that a model without structure could also have is reported with its null; see `resonant.measures`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from trainables.architectures.base.model import ModelOutput
from trainables.architectures.gpt.model import BackboneModel
from trainables.architectures.pretrained.model import HuggingFaceBackbone
from trainables.architectures.resonant import curvature, measures
from trainables.architectures.resonant.block.block import AFRBBlock
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.memory.base import Memory
from trainables.randomness import generator

MAX_ROWS = 2048
"""Most hidden states for the effective rank, which needs a singular value decomposition."""


class Probed(Protocol):
    """The interface of a model that can be probed: a model of this family."""

    config: ResonantConfig
    backbone: BackboneModel | HuggingFaceBackbone
    answer_length: int | None

    def states(self, tokens_BT: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Return the last hidden states and each block's traces, by memory."""

    def resonant_blocks(self) -> Iterator[AFRBBlock]:
        """Yield the blocks."""

    def __call__(self, tokens_BT: Tensor) -> ModelOutput:
        """Run a forward pass."""


def measure(model: Probed, tokens_BT: Tensor) -> dict[str, float]:
    """Return `probe/<name>` for `tokens_BT`; the model must be in evaluation mode, without gradients."""
    h_BTD, traces = model.states(tokens_BT)
    found = _of_states(h_BTD)
    gammas = [block.gamma() for block in model.resonant_blocks() if block.embedding is not None]
    if gammas:
        gamma_N = torch.stack(gammas).float()
        found["gamma_mean"] = measures.gamma_mean(gamma_N)
        found["gamma_saturation"] = measures.gamma_saturation(gamma_N)
    found |= _of_memories(model, tokens_BT)
    found |= _of_traces(model, tokens_BT, traces)
    memories = [part for block in model.resonant_blocks() for part in block.memories if isinstance(part, Memory)]
    if memories:
        found["memory_state_bytes"] = float(sum(memory.state_bytes(1) for memory in memories))
    found |= _beyond_reach(model, tokens_BT)
    return {f"probe/{name}": float(value) for name, value in found.items()}


def _of_states(h_BTD: Tensor) -> dict[str, Tensor | float]:
    """Measure order and rank of the last hidden states, which exist without any block too."""
    null = measures.coherence_null(h_BTD.shape[1])
    coherence = measures.phase_coherence(h_BTD)
    rows_ND = h_BTD.flatten(0, 1)[:MAX_ROWS]
    found: dict[str, Tensor | float] = {
        "phase_coherence": coherence,
        "phase_coherence_null": null,
        "phase_coherence_above_null": measures.null_corrected(coherence, null),
        "phase_coherence_shuffled": measures.shuffled_coherence(h_BTD, generator(0, "probe", "coherence")),
        "effective_rank": measures.effective_rank(rows_ND),
        "effective_rank_null": measures.expected_effective_rank(*rows_ND.shape),
    }
    if h_BTD.shape[1] > 1:
        found["entropy_flow"] = measures.entropy_flow(h_BTD)
    return found


def _of_memories(model: Probed, tokens_BT: Tensor) -> dict[str, Tensor | float]:
    """Return the memories' own probes, the mean over blocks."""
    x_BTD = model.backbone.embed(tokens_BT)
    seen: dict[str, list[Tensor]] = {}
    for block in model.resonant_blocks():
        u_BTD: Tensor = block.mixer(block.norm_in(x_BTD))
        for memory in block.memories:
            assert isinstance(memory, Memory)
            for name, value in memory.probes(u_BTD).items():
                seen.setdefault(name, []).append(value.float())
            u_BTD = memory(u_BTD).y_BTD
        x_BTD = x_BTD + block.run(x_BTD).y_BTD
    return {name: torch.stack(values).mean() for name, values in seen.items()}


def _of_traces(model: Probed, tokens_BT: Tensor, traces: list[dict[str, Tensor]]) -> dict[str, Tensor | float]:
    """Return the entropy of each memory's curvature, and where that of the phase-vector memory is large."""
    found: dict[str, Tensor | float] = {}
    if tokens_BT.shape[1] <= 3:
        return found
    for name in ("pvm", "plm"):
        kappas = [curvature.curvature(trace[name]) for trace in traces if name in trace]
        if kappas:
            found[f"{name}_curvature_entropy"] = curvature.curvature_entropy(torch.cat(kappas))
            found[f"{name}_curvature_entropy_null"] = curvature.curvature_entropy_null(
                kappas[0].shape[1], model.backbone.d_model
            )
        if kappas and name == "pvm" and model.answer_length is not None:
            start_B = curvature.needle_starts(tokens_BT, model.answer_length)
            found |= _at_needle(kappas, start_B)
    return found


def _at_needle(kappas: list[Tensor], start_B: Tensor) -> dict[str, Tensor | float]:
    """Return where the curvature is large, beside its null, the mean over blocks."""
    found: dict[str, list[Tensor]] = {}
    for kappa_BU in kappas:
        for measure, value_B in curvature.at_needle(kappa_BU, start_B).items():
            found.setdefault(f"pvm_curvature_{measure}", []).append(value_B.mean())
        for measure, null in curvature.at_needle_null(kappa_BU, start_B).items():
            found.setdefault(f"pvm_curvature_{measure}_null", []).append(null)
    return {name: torch.stack(values).mean() for name, values in found.items()}


def _decays(model: Probed) -> list[float]:
    """Return the decay per token of each memory of a block; for a lattice, that of its slowest wave."""
    return [memory.beta for memory in (model.config.pvm, model.config.plm) if memory is not None]


def _reach(model: Probed) -> int | None:
    """Return after how many tokens the memories have lost 99 % of one; None if their decay is not constant.

    Sequential stages add up: blocks, their memories, and a mixer that looks back. Local attention is parallel to
    the phase-vector memory: the longer of the two counts.
    """
    pvm, decays = model.config.pvm, _decays(model)
    fades = any(memory is not None and memory.t2 is not None for memory in (pvm, model.config.plm))
    if fades or not decays or not all(0 < decay < 1 for decay in decays) or model.config.num_blocks == 0:
        return None
    reaches = [measures.reach(decay) for decay in decays]
    if pvm is not None and pvm.local_attention is not None:
        reaches[0] = max(reaches[0], pvm.local_attention.window - 1)
    return sum(sum(reaches) + block.mixer.num_recent for block in model.resonant_blocks())


def _beyond_reach(model: Probed, tokens_BT: Tensor) -> dict[str, Tensor | float]:
    """Measure how much the last logits depend on tokens that memories of constant decay have forgotten.

    All tokens beyond the memories' reach (1 % left) are replaced, then all others but the last: the result is the
    change of the last logits in the first case, relative to the second. The last state of such a memory has almost
    no information about the far tokens; a larger value comes from a leak, from the backbone's attention, or from a
    readout over the trace, which is an attention over all past states, each of which has information about its own
    tokens. It is meaningless if sequences end in padding, because then only padding is near.
    """
    reach, seq_len = _reach(model), tokens_BT.shape[1]
    if reach is None:
        return {}
    slowest = max(_decays(model))
    found: dict[str, Tensor | float] = {
        "memory_reach_tokens": float(reach),
        "memory_readable_tokens": measures.readable_tokens(model.backbone.d_model, slowest),
    }
    if seq_len < reach + 2:
        return found
    near = slice(seq_len - 1 - reach, seq_len - 1)
    shuffled_BT = tokens_BT.roll(1, 0) if len(tokens_BT) > 1 else tokens_BT.flip(1)
    far_BT, near_BT = shuffled_BT.clone(), tokens_BT.clone()
    far_BT[:, near.start :] = tokens_BT[:, near.start :]
    near_BT[:, near] = shuffled_BT[:, near]
    last_BV, far_BV, near_BV = (model(one).logits_BTV[:, -1] for one in (tokens_BT, far_BT, near_BT))
    change = (far_BV - last_BV).norm(dim=-1).mean() / (near_BV - last_BV).norm(dim=-1).mean().clamp(min=1e-12)
    found["influence_beyond_reach"] = change
    return found
