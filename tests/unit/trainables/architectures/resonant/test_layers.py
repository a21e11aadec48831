from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from trainables.architectures.resonant.block.block import AFRBBlock, BlockState, Stillness
from trainables.architectures.resonant.block.schedule import BlockSchedule
from trainables.architectures.resonant.cascade import Cascade
from trainables.architectures.resonant.memory.base import Memory
from trainables.architectures.resonant.memory.phase_lattice import PhaseLatticeMemory
from trainables.architectures.resonant.memory.phase_vector import HybridMemory, PhaseVectorMemory
from trainables.architectures.resonant.phase_embedding import PROJECTION_STD, PhaseEmbedding, phase_at
from trainables.contract.architectures import REFERENCE_LENGTHS, compare_with_reference
from trainables.layers.local_attention import LocalAttention
from trainables.randomness import initialise

D = 16
AT_ONCE = BlockSchedule(ramp_steps=0)


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def embedding(d_model: int = D, **fields: Any) -> PhaseEmbedding:
    return PhaseEmbedding(d_model, **{"alpha": 0.04, "omega": 6.0, **fields})


def ready(module: Any) -> Any:
    """Draw the parameters, make small ones count, and go to float64 and evaluation mode."""
    initialise(module, 0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(("projection_2D", "bias_D")):
                parameter.copy_(inputs(*parameter.shape, seed=7))
    return module.double().eval()


def block(*memories: Memory, **fields: Any) -> AFRBBlock:
    chosen: dict[str, Any] = {
        "embedding": embedding(),
        "gamma": 0.2,
        "mixer": "glu",
        "causal": True,
        "schedule": AT_ONCE,
        "stillness": None,
        "bias": True,
        "init_std": 0.2,
        **fields,
    }
    return ready(AFRBBlock(D, memories=memories, **chosen))


def all_memories() -> tuple[Memory, Memory]:
    attention = LocalAttention(D, 2, 5, init_std=0.2, dropout=0.0, bias=True)
    lattice = PhaseLatticeMemory(D, init_std=0.2, bias=True, grid_x=2, grid_y=4)
    return HybridMemory(PhaseVectorMemory(D), attention, weight=0.3), lattice


def test_phase_grows_with_the_logarithm_of_the_position() -> None:
    layer = embedding(phase=0.5)
    phase_T = layer.phases(4, torch.device("cpu"), phase_shift=0.25, start=2)
    expected = [(6 * math.log(1 + t) + 0.75) % (2 * math.pi) for t in range(2, 6)]
    torch.testing.assert_close(phase_T, torch.tensor(expected, dtype=torch.float64))
    far = phase_at(torch.tensor(10**6), 6.0, 0.0, "linear")
    assert float(far) == pytest.approx((6 * 10**6) % (2 * math.pi), abs=1e-8)


def test_embedding_blends_the_projected_phase() -> None:
    layer, x_BTD = ready(embedding(alpha=0.3, phase=0.5)), inputs(2, 9, D)
    phase_T1 = (6 * torch.arange(1, 10, dtype=torch.float64).log() + 0.5).unsqueeze(-1)
    projected_TD = torch.cat((phase_T1.cos(), phase_T1.sin()), -1) @ layer.projection_2D + layer.bias_D
    torch.testing.assert_close(layer(x_BTD), 0.7 * x_BTD + 0.3 * projected_TD)


def test_embedding_without_alpha_is_the_identity_and_learns_nothing() -> None:
    layer, x_BTD = embedding(alpha=0.0), inputs(2, 9, D)
    assert torch.equal(layer(x_BTD), x_BTD)
    assert torch.equal(layer.reference(x_BTD), x_BTD)
    assert not list(layer.parameters())


def test_projection_starts_small() -> None:
    layer = embedding(4096)
    initialise(layer, 0)
    assert float(layer.projection_2D.detach().std()) == pytest.approx(PROJECTION_STD, rel=0.03)
    assert layer.bias_D is not None
    assert not layer.bias_D.any()


@pytest.mark.parametrize("time", ["log", "linear"])
@pytest.mark.parametrize("learned", [True, False])
def test_embedding_equals_its_definition(time: Any, learned: bool) -> None:
    fields = {"omega_range": (5.6, 6.4), "learn_phase": True} if learned else {}
    layer, x_BTD = ready(embedding(time=time, phase=0.2, **fields)), inputs(2, 30, D)
    torch.testing.assert_close(layer(x_BTD, phase_shift=0.1), layer.reference(x_BTD, phase_shift=0.1))
    torch.testing.assert_close(layer(x_BTD[:, 10:], start=10), layer(x_BTD)[:, 10:])


def test_published_alpha_and_phase_get_no_gradient_and_learned_ones_do() -> None:
    names = {name for name, _ in embedding().named_parameters()}
    assert names == {"projection_2D", "bias_D"}
    layer = ready(embedding(learn_phase=True, omega_range=(5.6, 6.4)))
    layer(inputs(2, 9, D)).square().sum().backward()
    for parameter in (layer.alpha, layer.phase, layer.omega):
        assert parameter.grad is not None
        assert parameter.grad.abs() > 1e-6


def test_learned_omega_stays_in_its_range_and_can_come_back() -> None:
    layer = ready(embedding(omega_range=(5.6, 6.4)))
    with torch.no_grad():
        layer.omega.fill_(9.0)
    assert float(layer.current_omega().detach()) == pytest.approx(6.4)
    layer(inputs(1, 9, D)).square().sum().backward()
    assert float(layer.omega.grad) == 0, "beyond the edge a gradient cannot lead back, so confine() must"
    layer.confine()
    assert float(layer.omega.detach()) == pytest.approx(6.4)
    layer(inputs(1, 9, D)).square().sum().backward()
    assert float(layer.omega.grad) != 0


def test_a_published_omega_is_clamped_where_it_is_read_only() -> None:
    layer = ready(embedding(omega=7.0, omega_range=(5.6, 6.4), confined=False))
    at_edge = ready(embedding(omega=6.4, omega_range=(5.6, 6.4)))
    x_BTD = inputs(1, 9, D)
    torch.testing.assert_close(layer(x_BTD), at_edge(x_BTD), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(layer(x_BTD), layer.reference(x_BTD))
    layer.confine()
    layer(x_BTD).square().sum().backward()
    assert float(layer.omega.detach()) == 7.0
    assert float(layer.omega.grad) == 0


def test_534_positions_have_534_phases_in_bfloat16() -> None:
    """Computed in bfloat16, as published, they have 390 at most: positions themselves collapse."""
    layer = embedding(learn_phase=True, omega_range=(5.6, 6.4)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert len(set(layer.phases(534, torch.device("cpu")).tolist())) == 534
        assert layer(inputs(1, 534, D).bfloat16()).dtype == torch.bfloat16
    assert len(set(torch.arange(534, dtype=torch.bfloat16).tolist())) == 390


def test_cascade() -> None:
    fields = {"alpha": 0.04, "gamma": 0.2, "omega": 6.0, "cascade_lambda": 0.5, "cascade_kappa": 0.1}
    first, third = (Cascade.of_block(i, **fields, phase_delta=0.3, omega_delta=0.05) for i in (0, 2))
    assert first == (0.04, 0.2, 6.0, 0.0)
    assert third == pytest.approx((0.04 * math.exp(-1.0), 0.2 * math.exp(-0.2), 6.1, 0.6))


@pytest.mark.parametrize(
    ("step", "ramp", "shift"), [(0, 0, 0), (100, 0, 0), (250, 0.5, 1 - math.exp(-1)), (700, 1, 1 - math.exp(-4))]
)
def test_signal_ramps_up_and_glides(step: int, ramp: float, shift: float) -> None:
    schedule = BlockSchedule(warm_steps=100, ramp_steps=300, phase_ramp_steps=150, phase_glide=0.4)
    assert float(schedule.ramp(torch.tensor(step))) == pytest.approx(ramp)
    assert float(schedule.phase_shift(torch.tensor(step))) == pytest.approx(0.4 * shift)


def test_ramp_of_no_steps_is_a_switch() -> None:
    schedule = BlockSchedule(warm_steps=5, ramp_steps=0)
    assert [float(schedule.ramp(torch.tensor(step))) for step in (4, 5)] == [0, 1]


def test_block_without_signal_is_the_block_with_a_signal_that_is_off() -> None:
    """γ·ramp = 0 at step 0 of the default ramp: what is left is the control without an embedding."""
    ramped, control = (
        block(PhaseVectorMemory(D), schedule=BlockSchedule()),
        block(PhaseVectorMemory(D), embedding=None),
    )
    x_BTD = inputs(2, 9, D)
    assert torch.equal(ramped(x_BTD).y_BTD, control(x_BTD).y_BTD)
    ramped.set_step(150)
    assert float(ramped.strength().detach()) == pytest.approx(0.1)
    assert not torch.allclose(ramped(x_BTD).y_BTD, control(x_BTD).y_BTD)
    assert "gate" not in dict(control.named_parameters())
    assert float(control.gamma()) == float(control.strength()) == 0


def test_block_from_its_definition() -> None:
    layer, x_BTD = block(embedding=embedding(alpha=0.3)), inputs(2, 9, D)
    normed_BTD = layer.norm_in(x_BTD)
    value_BTD, gate_BTD = layer.mixer.linear(normed_BTD).chunk(2, -1)
    summed_BTD = value_BTD * gate_BTD.sigmoid() + 0.2 * layer.embedding(normed_BTD)
    torch.testing.assert_close(layer(x_BTD).y_BTD, layer.norm_out(summed_BTD), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("mixer", ["glu", "conv"])
@pytest.mark.parametrize("causal", [True, False])
def test_block_equals_its_reference(mixer: Any, causal: bool) -> None:
    learned = embedding(learn_phase=True, omega_range=(5.6, 6.4))
    schedule = BlockSchedule(phase_glide=0.5)
    layer = block(*all_memories(), mixer=mixer, causal=causal, embedding=learned, schedule=schedule)
    layer.set_step(120)
    for length in REFERENCE_LENGTHS[: 3 if causal else 2]:
        compare_with_reference(layer, inputs(1, length, D))


@pytest.mark.parametrize(("causal", "leaks"), [(True, False), (False, True)])
def test_convolution_sees_the_future_only_as_published(causal: bool, leaks: bool) -> None:
    layer, x_BTD = block(*all_memories(), mixer="conv", causal=causal), inputs(1, 9, D)
    other_BTD = x_BTD.clone()
    other_BTD[:, 6, 0] += 1
    change_T = (layer(other_BTD).y_BTD - layer(x_BTD).y_BTD).abs().amax((0, 2))
    assert bool(change_T[5] > 1e-6) is leaks
    assert float(change_T[:5].detach().max()) < 1e-12


@pytest.mark.parametrize("mixer", ["glu", "conv"])
def test_block_streams(mixer: Any) -> None:
    layer, x_BTD = block(*all_memories(), mixer=mixer), inputs(2, 24, D)
    whole = layer.run(x_BTD)
    state: BlockState | None = None
    for position in range(24):
        output = layer.run(x_BTD[:, position : position + 1], state)
        state = output.state
        torch.testing.assert_close(output.y_BTD[:, 0], whole.y_BTD[:, position])
        for name, trace_BTD in output.traces.items():
            torch.testing.assert_close(trace_BTD[:, 0], whole.traces[name][:, position])
    assert state is not None
    assert state.recent_BND.shape[1] == (2 if mixer == "conv" else 0)
    torch.testing.assert_close(layer.run(x_BTD[:, 9:], layer.run(x_BTD[:, :9]).state).y_BTD, whole.y_BTD[:, 9:])


def test_a_convolution_that_looks_ahead_cannot_be_continued() -> None:
    layer = block(mixer="conv", causal=False)
    with pytest.raises(ValueError, match="not causal"):
        layer.run(inputs(1, 1, D), layer.run(inputs(1, 4, D)).state)


def test_traces_carry_the_memories_names() -> None:
    output = block(*all_memories()).run(inputs(2, 9, D))
    assert {name: tuple(trace.shape) for name, trace in output.traces.items()} == {
        "pvm": (2, 9, D),
        "plm": (2, 9, D),
    }
    with pytest.raises(ValueError, match="a name of its own"):
        block(PhaseVectorMemory(D), PhaseVectorMemory(D))
    with pytest.raises(ValueError, match="gamma must be in"):
        block(gamma=0.0)


def test_published_counter_counts_training_passes_only() -> None:
    layer, x_BTD = block(schedule=BlockSchedule(counter="forward_passes")), inputs(1, 3, D)
    layer.set_step(77)
    layer(x_BTD)
    assert not layer.strength()
    layer.train()
    layer(x_BTD)
    layer(x_BTD)
    assert float(layer.strength().detach()) == pytest.approx(0.2 * 2 / 300)


def test_stillness_weights_the_average_by_one_minus_rho() -> None:
    """First p̄ = p₁. Then, with ρ = .1, p̄ = .9·p₁ + .1·p₂, and .9·p̄ + .1·p₂ is used: a tenth of the gradient."""
    layer = block(embedding=embedding(alpha=0.0), stillness=Stillness(ema=0.1), gamma=0.5)
    filter_ = layer.stillness.train()
    on, first_BTD, second_BTD = torch.tensor(True), inputs(2, 3, D), inputs(2, 3, D, seed=1).requires_grad_()
    torch.testing.assert_close(filter_(first_BTD, on), first_BTD)
    filtered_BTD = filter_(second_BTD, on)
    average_BTD = 0.9 * first_BTD + 0.1 * second_BTD.detach()
    torch.testing.assert_close(filtered_BTD, 0.9 * average_BTD + 0.1 * second_BTD)
    filtered_BTD.sum().backward()
    torch.testing.assert_close(second_BTD.grad, torch.full_like(second_BTD, 0.1))
    other_BTD = inputs(1, 5, D)
    torch.testing.assert_close(filter_(other_BTD, on), other_BTD, msg="another shape starts again")
    assert Stillness(ema=0.3, floor=0.8).share == 0.8


def test_stillness_waits_for_the_signal_is_off_in_evaluation_and_is_saved() -> None:
    fields = {"stillness": Stillness(ema=0.1), "schedule": BlockSchedule(warm_steps=2, ramp_steps=0)}
    layer, plain = block(**fields).train(), block(schedule=fields["schedule"]).train()
    batches = [inputs(2, 3, D, seed=seed) for seed in range(4)]
    for step, x_BTD in enumerate(batches):
        layer.set_step(step)
        plain.set_step(step)
        same = torch.allclose(layer(x_BTD).y_BTD, plain(x_BTD).y_BTD)
        assert same is (step <= 2), "before the signal comes in, and with the first batch of the average"
    restored = block(**fields).train()
    restored.load_state_dict(layer.state_dict())
    assert torch.equal(restored(batches[0]).y_BTD, layer(batches[0]).y_BTD)
    torch.testing.assert_close(layer.eval()(batches[0]).y_BTD, plain.eval()(batches[0]).y_BTD)


def test_parameter_counts_are_those_of_the_logs() -> None:
    """One block with PVM 8,407,045; two with PVM and PLM 33,599,564; α and φ, never trained, are counted there."""

    def count(*kinds: str) -> int:
        with torch.device("meta"):
            memories: list[Memory] = [PhaseVectorMemory(2048)] if "pvm" in kinds else []
            if "plm" in kinds:
                memories.append(PhaseLatticeMemory(2048, init_std=0.02, bias=True))
            layer = AFRBBlock(
                2048,
                embedding=embedding(2048, learn_phase=True),
                gamma=0.2,
                mixer="glu",
                causal=True,
                memories=memories,
                schedule=BlockSchedule(),
                stillness=None,
                bias=True,
                init_std=0.02,
            )
        return sum(parameter.numel() for parameter in layer.parameters())

    assert count("pvm") == 8_407_045
    assert 2 * count("pvm", "plm") == 33_599_564


def test_block_runs_where_tensors_are_only_pretended() -> None:
    """The memory estimate does so: nothing may depend on a value."""
    with FakeTensorMode():
        layer = AFRBBlock(
            D,
            embedding=embedding(omega_range=(5.6, 6.4)),
            gamma=0.2,
            mixer="conv",
            causal=True,
            memories=all_memories(),
            schedule=BlockSchedule(counter="forward_passes"),
            stillness=Stillness(ema=0.1),
            bias=True,
            init_std=0.02,
        ).train()
        layer.set_step(3)
        layer(torch.randn(2, 20, D, requires_grad=True)).y_BTD.sum().backward()


@pytest.mark.parametrize("learned", [True, False])
def test_every_parameter_gets_a_gradient(learned: bool) -> None:
    fields = {"omega_range": (5.6, 6.4), "learn_phase": True} if learned else {}
    layer = block(*all_memories(), mixer="conv", embedding=embedding(**fields)).train()
    (layer(inputs(2, 9, D)).y_BTD * inputs(2, 9, D, seed=3)).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"alpha": 1.2}, "alpha must be in"), ({"omega": 6.5, "omega_range": (5.6, 6.4)}, "starts outside")],
)
def test_embedding_refuses_what_cannot_be(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        embedding(**fields)
