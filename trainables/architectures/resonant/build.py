"""Builds the modules that the resonant family adds to its backbone, from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from trainables.architectures.resonant.block.block import AFRBBlock, Stillness
from trainables.architectures.resonant.block.schedule import BlockSchedule
from trainables.architectures.resonant.config import ResonantConfig
from trainables.architectures.resonant.fields import PhaseChangeConfig, PVMConfig, T2Config
from trainables.architectures.resonant.memory.base import Memory
from trainables.architectures.resonant.memory.decay import PhaseChangeOffset, T2Decay
from trainables.architectures.resonant.memory.phase_lattice import PhaseLatticeMemory
from trainables.architectures.resonant.memory.phase_vector import HybridMemory, PhaseVectorMemory
from trainables.architectures.resonant.phase_embedding import PhaseEmbedding
from trainables.architectures.resonant.readout.infonce import InfoNCE
from trainables.architectures.resonant.readout.query import build_query
from trainables.architectures.resonant.readout.readout import Readout
from trainables.architectures.resonant.readout.ridge import RidgeProjection
from trainables.layers.local_attention import LocalAttention
from trainables.randomness import INIT_STD, start_as_torch


@dataclass(frozen=True)
class Parts:
    """The trained modules that are added to a backbone."""

    blocks: nn.ModuleList
    readout: Readout | None
    infonce: InfoNCE | None

    def modules(self) -> list[nn.Module]:
        """Return the modules that exist."""
        return [part for part in (self.blocks, self.readout, self.infonce) if part is not None]


def build_parts(config: ResonantConfig, d_model: int, vocab_size: int) -> Parts:
    """Return the modules for a backbone of width `d_model`.

    Raises:
        ValueError: If a module cannot have that width.
    """
    blocks = nn.ModuleList(_block(config, d_model, index) for index in range(config.num_blocks))
    if config.block_init == "torch":
        start_as_torch(blocks)
    return Parts(blocks, _readout(config, d_model, vocab_size), _infonce(config, d_model))


def _block(config: ResonantConfig, d_model: int, index: int) -> AFRBBlock:
    own = config.cascade(index)
    embedding = PhaseEmbedding(
        d_model,
        alpha=own.alpha,
        omega=own.omega,
        phase=own.phase,
        time=config.time,
        omega_range=_omega_range(config, own.omega) if config.learn_omega else None,
        confined=config.omega_bounds == "moved",
        learn_phase=config.learn_phase,
        aligned=config.phase_alignment_weight > 0,
        bias=config.bias,
    )
    still = config.stillness
    schedule = BlockSchedule(
        warm_steps=(still.warm_steps if still else 0) + index * config.block_warm_delta_steps,
        ramp_steps=config.block_ramp_steps,
        phase_ramp_steps=config.phase_ramp_steps,
        phase_glide=config.phase_delta,
        counter=config.counter,
    )
    return AFRBBlock(
        d_model,
        embedding=embedding if config.gamma > 0 else None,
        gamma=own.gamma,
        mixer=config.mixer,
        causal=config.causal,
        memories=_memories(config, d_model, index),
        schedule=schedule,
        stillness=_stillness(config),
        bias=config.bias,
        init_std=config.residual_std,
    )


def _stillness(config: ResonantConfig) -> Stillness | None:
    given = config.stillness
    if given is None or given.ema == 0 or config.gamma == 0:
        return None
    return Stillness(ema=given.ema, floor=given.floor)


def _omega_range(config: ResonantConfig, omega: float) -> tuple[float, float]:
    """Return the range of a block's learned ω."""
    moved = omega - config.omega if config.omega_bounds == "moved" else 0.0
    return config.omega_min + moved, config.omega_max + moved


def _memories(config: ResonantConfig, d_model: int, index: int) -> list[Memory]:
    memories: list[Memory] = []
    if config.pvm is not None:
        memories.append(_pvm(config, config.pvm, d_model, index))
    if config.plm is not None:
        memories.append(
            PhaseLatticeMemory(
                d_model,
                init_std=config.residual_std,
                bias=config.bias,
                t2=_t2(config.plm.t2),
                pcm=_pcm(config.plm.pcm, d_model),
                **config.plm.model_dump(exclude={"t2", "pcm"}),
            )
        )
    return memories


def _pvm(config: ResonantConfig, pvm: PVMConfig, d_model: int, index: int) -> Memory:
    omega, phase = config.phase_of_memory(index)
    memory = PhaseVectorMemory(
        d_model,
        t2=_t2(pvm.t2),
        pcm=_pcm(pvm.pcm, d_model),
        omega=omega,
        phase=phase,
        **pvm.model_dump(exclude={"omega", "phase", "t2", "pcm", "local_attention"}),
    )
    local = pvm.local_attention
    if local is None:
        return memory
    attention = LocalAttention(
        d_model,
        config.num_heads,
        local.window,
        init_std=config.residual_std,
        dropout=config.dropout,
        bias=config.bias,
    )
    return HybridMemory(memory, attention, weight=local.weight)


def _t2(given: T2Config | None) -> T2Decay | None:
    return None if given is None else T2Decay(**given.model_dump())


def _pcm(given: PhaseChangeConfig | None, d_model: int) -> PhaseChangeOffset | None:
    if given is None:
        return None
    init_std = 0.0 if given.published else INIT_STD
    return PhaseChangeOffset(d_model, gate_init=given.gate_init, init_std=init_std, published=given.published)


def _readout(config: ResonantConfig, d_model: int, vocab_size: int) -> Readout | None:
    given, ridge = config.readout, config.ridge
    if given is None:
        return None
    if ridge is not None:
        collected = {"warmup_batches", "target", "query_of", "in_training"}
        projection = RidgeProjection(d_model, **ridge.model_dump(exclude=collected))
    elif given.uncalibrated == "frozen":
        projection = RidgeProjection(d_model, projection="uniform", unfreeze_step=None)
    else:
        projection = RidgeProjection(d_model, projection="random", unfreeze_step=0)
    return Readout(
        d_model,
        vocab_size,
        query=build_query(config.query.mode, d_model, config.query.window),
        projection=projection,
        **given.model_dump(exclude={"source", "uncalibrated"}),
    )


def _infonce(config: ResonantConfig, d_model: int) -> InfoNCE | None:
    given = config.infonce
    if given is None:
        return None
    return InfoNCE(
        d_model,
        dim=given.dim,
        num_negatives=given.negatives,
        temperature=given.temperature,
        embedding=given.embedding,
    )
