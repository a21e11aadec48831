from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.unit.trainables.architectures.resonant.memories import (
    EVERY,
    PUBLISHED,
    D,
    assert_streams,
    hybrid,
    inputs,
    lattice,
    passed,
    pvm,
    ready,
)
from trainables.architectures.resonant.memory.decay import PhaseChangeOffset, T2Decay
from trainables.architectures.resonant.memory.phase_lattice import PhaseLatticeMemory
from trainables.architectures.resonant.memory.phase_vector import HybridMemory, PhaseVectorMemory, turned
from trainables.contract.architectures import REFERENCE_LENGTHS, compare_with_reference
from trainables.layers.angles import wrap
from trainables.layers.local_attention import LocalAttention

ROTATIONS, TIMES, COUNTERS = ("none", "post", "write"), ("log", "linear"), ("local", "global")


def test_pvm_is_a_sum_of_decayed_inputs_then_turned() -> None:
    """m̃_t = R(θ_t) Σ_j β^{t−j} α s x_j, from a T×T matrix."""
    memory, x_BTD = pvm(rotation="post"), inputs(2, 40, D)
    time_T = torch.arange(40, dtype=torch.float64)
    weight_TT = (0.85 ** (time_T[:, None] - time_T)).tril()
    sum_BTD = 0.3 * 4.0 * weight_TT @ x_BTD
    theta_T1 = (6.0 * torch.log1p(time_T + 1)).unsqueeze(-1)
    re, im = sum_BTD.chunk(2, -1)
    closed_BTD = torch.cat(
        (theta_T1.cos() * re - theta_T1.sin() * im, theta_T1.sin() * re + theta_T1.cos() * im), -1
    )
    output = memory.run(x_BTD)
    torch.testing.assert_close(output.trace_BTD, closed_BTD)
    torch.testing.assert_close(output.y_BTD, x_BTD + closed_BTD / (1 + math.exp(2)))


def test_impulse_response_of_the_published_constants() -> None:
    """α β^k for an impulse, and the constant input's gain α/(1 − β) = 2."""
    memory = pvm(rotation="none", input_scale=1.0)
    impulse_BTD = torch.zeros(1, 200, D, dtype=torch.float64)
    impulse_BTD[:, 0] = 1
    trace_T = memory.run(impulse_BTD).trace_BTD[0, :, 0].detach()
    assert float(trace_T[10] / trace_T[0]) == pytest.approx(0.19687, abs=5e-6)
    gained_D = memory.run(torch.ones_like(impulse_BTD)).trace_BTD[0, -1]
    torch.testing.assert_close(gained_D, torch.full_like(gained_D, 2.0))


@pytest.mark.parametrize(
    ("rotation", "time", "counter"), list(itertools.product(ROTATIONS, TIMES, COUNTERS)), ids="-".join
)
def test_pvm_equals_its_reference_and_itself_step_by_step(rotation: str, time: str, counter: str) -> None:
    memory = pvm(rotation=rotation, time=time, counter=counter, reset=False, phase=0.4)
    passed(memory, inputs(3, 7, D, seed=1), times=2)
    for length in (1, 63):
        compare_with_reference(memory, inputs(2, length, D))
    assert_streams(memory, inputs(2, 40, D))


@pytest.mark.parametrize("name", list(EVERY))
def test_every_memory_streams_and_equals_its_reference(name: str) -> None:
    memory = EVERY[name]()
    width = memory.pvm.d_model if isinstance(memory, HybridMemory) else memory.d_model
    for length in (1, 63):
        compare_with_reference(memory, inputs(2, length, width))
    assert_streams(memory, inputs(2, 40, width))


@pytest.mark.parametrize(
    "name", ["t2-resonant-pcm", "hybrid", "lattice", "lattice-t2-pcm", "lattice-t2-resonant", "odd-t2-pcm"]
)
def test_long_references(name: str) -> None:
    memory = EVERY[name]()
    width = memory.pvm.d_model if isinstance(memory, HybridMemory) else memory.d_model
    for length in REFERENCE_LENGTHS[2:]:
        compare_with_reference(memory, inputs(1, length, width))


def thetas(memory: PhaseVectorMemory, length: int) -> list[float]:
    return memory.phases(torch.arange(1, length + 1)).tolist()


def turned_by(x_BTD: Tensor, angles: list[float]) -> Tensor:
    return torch.stack([turned(x_BD, angle) for x_BD, angle in zip(x_BTD.unbind(1), angles, strict=True)], 1)


@pytest.mark.parametrize("time", TIMES)
def test_reading_turned_is_writing_turned_back(time: str) -> None:
    """R(θ_t) Σ β^{t−j} x_j = R(θ_t) Σ β^{t−j} R(θ_j) [R(−θ_j) x_j]: post[x] = R(θ) write[R(−θ) x]."""
    x_BTD, post, write = inputs(2, 30, D), pvm(rotation="post", time=time), pvm(rotation="write", time=time)
    angles = thetas(post, 30)
    written_BTD = write.run(turned_by(x_BTD, [-angle for angle in angles])).trace_BTD
    torch.testing.assert_close(turned_by(written_BTD, angles), post.run(x_BTD).trace_BTD)


def test_published_rotation_also_turns_what_was_written_before() -> None:
    """post: p_t = β R(θ_t − θ_{t−1}) p_{t−1} + α s R(θ_t) x_t; write: the same with R(0); equal at ω = 0 only."""
    x_BTD, post, write = inputs(1, 30, D), pvm(rotation="post"), pvm(rotation="write")
    angles = [0.0, *thetas(post, 30)]
    post_BD = write_BD = torch.zeros(1, D, dtype=torch.float64)
    for t, x_BD in enumerate(x_BTD.unbind(1), start=1):
        written_BD = 1.2 * turned(x_BD, angles[t])
        post_BD = 0.85 * turned(post_BD, angles[t] - angles[t - 1]) + written_BD
        write_BD = 0.85 * write_BD + written_BD
    torch.testing.assert_close(post.run(x_BTD).trace_BTD[:, -1], post_BD)
    torch.testing.assert_close(write.run(x_BTD).trace_BTD[:, -1], write_BD)
    assert not torch.allclose(post_BD, write_BD)
    still = {"omega": 0.0, "phase": 0.7}
    torch.testing.assert_close(
        pvm(rotation="post", **still).run(x_BTD).trace_BTD, pvm(rotation="write", **still).run(x_BTD).trace_BTD
    )


def test_rotations_keep_norms() -> None:
    """What is read turned has the norm of what is read as it is; one write has that of its input times α s."""
    x_BTD = inputs(2, 30, D)
    plain, post = (pvm(rotation=kind).run(x_BTD).trace_BTD.norm(dim=-1) for kind in ("none", "post"))
    torch.testing.assert_close(plain, post)
    torch.testing.assert_close(pvm(beta=0.0).run(x_BTD).trace_BTD.norm(dim=-1), 1.2 * x_BTD.norm(dim=-1))


def test_published_phases_draw_together_as_forward_passes_are_counted() -> None:
    """Over 534 positions 33.5 rad at first, .39 rad after 8,000 passes; local ones stay as they are."""
    for counter, expected in (("local", (33.53, 33.53)), ("global", (33.53, 0.387))):
        memory = pvm(counter=counter)
        for passes, span in zip((0, 8000), expected, strict=True):
            memory.passes.fill_(passes)
            turns = torch.tensor(thetas(memory, 534), dtype=torch.float64).diff()
            assert float(wrap(turns).sum()) == pytest.approx(span, abs=0.005)


def test_published_counter_counts_training_passes_before_it_is_used() -> None:
    memory, x_BTD = pvm(**PUBLISHED), inputs(1, 4, D)
    assert thetas(memory, 1) == [pytest.approx(6 * math.log(2))]
    memory.train()
    first = memory.run(x_BTD)
    assert int(memory.passes) == 1
    torch.testing.assert_close(first.trace_BTD[:, 0], turned(1.2 * x_BTD[:, 0], 6 * math.log(3)))
    memory.eval()
    memory.run(x_BTD)
    assert int(memory.passes) == 1


def test_samples_do_not_see_each_other_and_published_they_do() -> None:
    x_BTD, others_BTD = inputs(1, 9, D), inputs(3, 9, D, seed=5)
    reset, carried = pvm(), pvm(reset=False)
    alone_BTD = reset.run(x_BTD).y_BTD
    for memory in (reset, carried):
        passed(memory, others_BTD)
    assert torch.equal(reset.run(x_BTD).y_BTD, alone_BTD)
    torch.testing.assert_close(reset.run(torch.cat((others_BTD, x_BTD))).y_BTD[3:], alone_BTD)
    last_BD = reset.run(others_BTD).state.memory_BD
    torch.testing.assert_close(carried.carried_D, last_BD.mean(0))
    assert not torch.allclose(carried.run(x_BTD).y_BTD, alone_BTD)
    before = carried.carried_D.clone()
    carried.run(others_BTD)
    assert torch.equal(carried.carried_D, before), "evaluation must leave the carried memory alone"
    assert not carried.carried_D.requires_grad


def test_a_carried_memory_is_saved_and_gets_no_gradient_over_passes() -> None:
    memory, x_BTD = pvm(**PUBLISHED).train(), inputs(2, 5, D)
    for _ in range(2):
        memory(x_BTD).y_BTD.sum().backward()
    restored = pvm(**PUBLISHED)
    restored.load_state_dict(memory.state_dict())
    assert torch.equal(restored(x_BTD).y_BTD, memory.eval()(x_BTD).y_BTD)


@pytest.mark.parametrize(
    ("fields", "stateful"),
    [
        ({}, False),
        ({"t2": T2Decay()}, False),
        ({"t2": T2Decay(published=True)}, True),
        ({"t2": T2Decay(published=True, fades_read=False)}, False),
        ({"reset": False}, True),
        ({"counter": "global"}, True),
    ],
)
def test_says_whether_it_depends_on_earlier_passes(fields: dict[str, Any], stateful: bool) -> None:
    memory, x_BTD = pvm(**fields), inputs(2, 6, D)
    memory.train()
    first, second = (memory.run(x_BTD).y_BTD for _ in range(2))
    assert memory.stateful is stateful
    assert torch.equal(first, second) is not stateful


def test_t2_decay_by_position_and_as_published() -> None:
    """One impulse: after k positions d(2)⋯d(k+1) of it is left, and d(k + 1) of that is read."""
    x_BTD = torch.zeros(1, 6, D, dtype=torch.float64)
    x_BTD[:, 0] = 1
    decay = T2Decay(steps=10.0)
    d = [math.exp(-u / 10) for u in range(1, 7)]
    read = [1.2 * math.prod(d[1 : k + 1]) * d[k] for k in range(6)]
    corrected = pvm(rotation="none", t2=decay)
    for memory in (corrected, corrected.train()):
        torch.testing.assert_close(memory.run(x_BTD).trace_BTD[0, :, 0], torch.tensor(read, dtype=torch.float64))
    published = pvm(rotation="none", t2=T2Decay(steps=10.0, published=True))
    constant_BTD = pvm(rotation="none").run(x_BTD).trace_BTD
    assert torch.equal(published.run(x_BTD).trace_BTD, constant_BTD), "off in evaluation"
    published.train().passes.fill_(99)
    by_pass = [1.2 * math.prod(d[1 : k + 1]) * math.exp(-(k + 1 + 100 + 1) / 10) for k in range(6)]
    torch.testing.assert_close(published.run(x_BTD).trace_BTD[0, :, 0], torch.tensor(by_pass, dtype=torch.float64))


def test_t2_may_leave_alone_what_is_read() -> None:
    """As PCM alone does as published: only the memory itself fades, by d(2)⋯d(k+1) after k positions."""
    x_BTD = torch.zeros(1, 6, D, dtype=torch.float64)
    x_BTD[:, 0] = 1
    memory = pvm(rotation="none", t2=T2Decay(steps=10.0, fades_read=False))
    kept = [1.2 * math.exp(-sum(range(2, k + 2)) / 10) for k in range(6)]
    torch.testing.assert_close(memory.run(x_BTD).trace_BTD[0, :, 0], torch.tensor(kept, dtype=torch.float64))


def test_the_last_channel_of_an_odd_width_is_not_turned() -> None:
    x_BTD = inputs(2, 30, 7)
    turned_BTD, plain_BTD = (pvm(7, rotation=kind).run(x_BTD).trace_BTD for kind in ("post", "none"))
    torch.testing.assert_close(turned_BTD[..., 6], plain_BTD[..., 6])
    angles = thetas(pvm(), 30)
    even_BTD = turned_by(plain_BTD[..., :6], angles)
    torch.testing.assert_close(turned_BTD[..., :6], even_BTD)


def test_published_t2_erases_what_is_read_after_8000_passes() -> None:
    assert float(T2Decay().decay(torch.tensor(8000))) == pytest.approx(0.0048, abs=1e-4)
    resonant = T2Decay(mode="resonant").decay(torch.tensor([1, 10]))
    expected = [math.exp(-1e-3 * u) * (1 + 0.08 * math.sin(6 * math.log(u) + 1.0472)) for u in (1, 10)]
    torch.testing.assert_close(resonant, torch.tensor(expected, dtype=torch.float64))
    assert float(T2Decay(mode="resonant", alpha=2.0, phase=-math.pi / 2).decay(torch.tensor(1))) == 0.0


def test_pcm_offset_is_a_gated_mean_and_published_in_training_only() -> None:
    x_BTD = torch.zeros(1, 2, D, dtype=torch.float64)
    memory = pvm(pcm=PhaseChangeOffset(D, gate_init=0.5, init_std=1.0))
    assert memory.pcm is not None
    share = 1 / (1 + math.exp(-0.5))
    offset_D = share * memory.pcm.crystalline_D + (1 - share) * memory.pcm.amorphous_D
    torch.testing.assert_close(memory.run(x_BTD).trace_BTD[0, 1], offset_D)
    published = pvm(pcm=PhaseChangeOffset(D, init_std=1.0, published=True))
    assert not published.run(x_BTD).trace_BTD.any()
    assert published.train().run(x_BTD).trace_BTD.any()


def test_phases_stay_apart_in_bfloat16() -> None:
    memory = PhaseVectorMemory(D).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(set(thetas(memory, 534))) == 534
        output = memory.run(inputs(1, 600, D).bfloat16())
    assert output.y_BTD.dtype == torch.bfloat16
    assert output.trace_BTD.dtype == output.state.memory_BD.dtype == torch.float32
    exact = pvm().run(inputs(1, 600, D).bfloat16().double()).trace_BTD
    torch.testing.assert_close(output.trace_BTD.double(), exact, rtol=0.01, atol=0.02)


def test_state_takes_512_times_less_than_a_cache_of_512_positions() -> None:
    """D numbers a sequence, whatever the length; the guide compares 2,048 numbers with 512 × 2,048."""
    assert PhaseVectorMemory(2048).state_bytes(1) == 2048 * 4
    assert hybrid().state_bytes(3) == 3 * (D * 4 + 4 * D * 4)


def test_hybrid_is_a_weighted_mean_and_attention_sees_its_window_only() -> None:
    memory, x_BTD = hybrid(window=4), inputs(1, 20, D)
    expected_BTD = 0.7 * memory.pvm(x_BTD).y_BTD + 0.3 * memory.attention(x_BTD).y_BTD
    torch.testing.assert_close(memory(x_BTD).y_BTD, expected_BTD)
    x_BTD.requires_grad_()
    memory.attention(x_BTD).y_BTD[0, 11].sum().backward()
    assert x_BTD.grad is not None
    assert [t for t in range(20) if x_BTD.grad[0, t].any()] == [8, 9, 10, 11]


@pytest.mark.parametrize("window", [1, 4, 7, 63, 200])
def test_local_attention_equals_its_reference(window: int) -> None:
    attention = ready(LocalAttention(D, 2, window, init_std=0.3, dropout=0.0, bias=True))
    for length in (1, 6, 63, 100):
        compare_with_reference(attention, inputs(2, length, D))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PhaseVectorMemory(D, beta=1.1), "beta must be in"),
        (lambda: PhaseLatticeMemory(40, init_std=0.02, bias=True), "multiple of 32"),
        (lambda: PhaseLatticeMemory(32, init_std=0.02, bias=True, kappa=0.12), r"kappa=0.12 in \[0, 0.1125\]"),
        (lambda: LocalAttention(D, 3, 4, init_std=0.02, dropout=0.0, bias=True), "must divide"),
        (lambda: LocalAttention(D, 2, 0, init_std=0.02, dropout=0.0, bias=True), "at least 1"),
        (lambda: HybridMemory(pvm(), hybrid().attention, weight=1.5), "weight must be in"),
    ],
)
def test_refuses_what_cannot_be(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_probes_measure_gate_and_memory() -> None:
    x_BTD = inputs(2, 9, D)
    found = pvm().probes(x_BTD)
    memory_BD = pvm().run(x_BTD).state.memory_BD
    assert float(found["pvm_gate_strength"]) == pytest.approx(0.1192, abs=1e-4)
    torch.testing.assert_close(found["pvm_memory_norm"], memory_BD.square().sum(-1).sqrt().mean())
    assert set(lattice().probes(inputs(1, 3, 64))) == {"plm_gate_strength", "plm_memory_norm"}
    assert hybrid().probes(x_BTD).keys() == found.keys()
