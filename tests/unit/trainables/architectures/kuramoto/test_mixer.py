from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.architectures.kuramoto.mixer import (
    Coherence,
    KuramotoMixer,
    coupling_sum,
    evolve,
    num_coupled,
    pairwise_coupling,
)
from trainables.contract.architectures import REFERENCE_LENGTHS, compare_with_reference
from trainables.layers import order_parameters
from trainables.layers.angles import wrap
from trainables.randomness import initialise

DEFAULTS: dict[str, Any] = {
    "init_std": 0.02,
    "coupling": 1.0,
    "learn_coupling": True,
    "frequency_std": 0.1,
    "sign": "attractive",
    "causal": True,
    "num_steps": 10,
    "dt": 0.1,
    "readout": "cos_sin",
}


def mixer(d_model: int = 6, num_heads: int = 2, num_oscillators: int = 2, **fields: Any) -> KuramotoMixer:
    """Return an initialised float64 mixer whose phases spread over the whole circle."""
    layer = KuramotoMixer(d_model, num_heads, num_oscillators, **{**DEFAULTS, **fields})
    initialise(layer, 0)
    with torch.no_grad():
        layer.to_phase.weight.mul_(30)
    return layer.double()


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def spread_phases(*shape: int) -> Tensor:
    return math.pi * torch.tanh(0.8 * inputs(*shape))


@pytest.mark.parametrize(
    ("causal", "sign", "readout"),
    list(itertools.product((True, False), ("attractive", "repulsive"), ("angle", "cos_sin"))),
)
def test_equals_reference_all_around_the_circle(causal: bool, sign: str, readout: str) -> None:
    """The contract compares at every length, but with the small phases of a model that has not trained."""
    layer = mixer(causal=causal, sign=sign, readout=readout, num_steps=2, dt=0.3, bias=True)
    compare_with_reference(layer, inputs(2, 100, 6))


@pytest.mark.parametrize("readout", ["angle", "cos_sin"])
def test_one_wrap_at_the_end_equals_a_wrap_at_every_step(readout: str) -> None:
    layer = mixer(readout=readout, dt=1.5)
    layer.frequency_HN.data.mul_(50)  # several turns
    assert layer.phases(inputs(2, 20, 6)).abs().max() > 3 * math.pi
    compare_with_reference(layer, inputs(2, 20, 6))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("seq_len", REFERENCE_LENGTHS)
def test_mean_field_equals_pairwise_sum(seq_len: int, causal: bool) -> None:
    phase = spread_phases(3, seq_len)
    fast = coupling_sum(phase, causal=causal) / num_coupled(phase, causal=causal)
    torch.testing.assert_close(fast, pairwise_coupling(phase, causal=causal), rtol=0, atol=1e-13)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("seq_len", REFERENCE_LENGTHS)
def test_padding_pulls_nobody_in_either_form(seq_len: int, causal: bool) -> None:
    layer = mixer(causal=causal, num_steps=2)
    x_BTD = inputs(2, seq_len, 6)
    real_BT = torch.rand(2, seq_len, generator=torch.Generator().manual_seed(1)) < 0.7
    real_BT[1] = False
    fast, slow = layer(x_BTD, real_BT).y_BTD, layer.reference(x_BTD, real_BT)
    parameters = list(layer.parameters())
    direction = torch.randn_like(fast)
    gradients = [torch.autograd.grad((y * direction).sum(), parameters, retain_graph=True) for y in (fast, slow)]
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
    if seq_len > 1:
        assert not torch.allclose(fast[0], layer(x_BTD).y_BTD[0])


def test_pairwise_sum_is_the_textbook_definition() -> None:
    phase = spread_phases(5)
    expected = [sum(math.sin(phase[j] - phase[i]) for j in range(5)) / 5 for i in range(5)]
    torch.testing.assert_close(pairwise_coupling(phase, causal=False), torch.tensor(expected).double())
    causal = [sum(math.sin(phase[j] - phase[i]) for j in range(i + 1)) / (i + 1) for i in range(5)]
    torch.testing.assert_close(pairwise_coupling(phase, causal=True), torch.tensor(causal).double())


def test_without_coupling_phases_advance_by_their_frequencies_alone() -> None:
    layer = mixer(coupling=0.0, learn_coupling=False, num_steps=7, dt=0.2)
    x_BTD = inputs(2, 9, 6)
    start = math.pi * layer.to_phase(x_BTD).tanh().transpose(1, 2).unflatten(1, (2, 2))
    advance_HN1 = (layer.phases(x_BTD) - start) - 7 * 0.2 * layer.frequency_HN.unsqueeze(-1)
    assert advance_HN1.abs().max() < 1e-14
    assert "coupling_H" not in dict(layer.named_parameters())


PUBLISHED_SPREAD = 0.55
"""Scale of the normal draw under π·tanh that gives the start of the published sign, R = .30."""


@pytest.mark.parametrize(("strength", "order_after"), [(-1.0, 0.17), (-2.0, 0.09), (1.0, 0.50), (2.0, 0.74)])
def test_published_sign_desynchronises_and_textbook_sign_synchronises(strength: float, order_after: float) -> None:
    start = math.pi * torch.tanh(PUBLISHED_SPREAD * inputs(4, 4, 32, 512))
    assert float(order_parameters.over_positions(start).mean()) == pytest.approx(0.30, abs=0.01)
    frequency = 0.1 * inputs(4, 32, 1, seed=1)
    end, _ = evolve(start, frequency, torch.tensor(strength), dt=0.1, num_steps=10, causal=False)
    assert float(order_parameters.over_positions(end).mean()) == pytest.approx(order_after, abs=0.03)


def test_attractive_oscillators_synchronise_and_repulsive_ones_do_not() -> None:
    """The words of the configuration mean what they say: `attractive` is the textbook's sign."""

    def order(**fields: Any) -> float:
        layer = mixer(causal=False, **fields)
        layer.to_phase.weight.data.mul_(0.3)
        return float(order_parameters.over_positions(layer.phases(inputs(4, 128, 6)).detach()).mean())

    repelled, alone, attracted = order(sign="repulsive"), order(coupling=0.0), order(sign="attractive")
    assert repelled < alone - 0.05
    assert attracted > alone + 0.05


def mean_order(frequency_T: Tensor, strength: float, *, dt: float, warmup: int, rounds: int, pause: int) -> float:
    """Simulate positions as the oscillators of one population; return the time average of R."""
    phase_T = 2 * math.pi * torch.rand(len(frequency_T), generator=torch.Generator().manual_seed(0)).double()
    dynamics: dict[str, Any] = {"dt": dt, "causal": False}
    coupling = torch.tensor(strength, dtype=torch.float64)
    phase_T, _ = evolve(phase_T, frequency_T, coupling, num_steps=warmup, **dynamics)
    orders = []
    for _ in range(rounds):
        phase_T, _ = evolve(phase_T, frequency_T, coupling, num_steps=pause, **dynamics)
        orders.append(float(order_parameters.resultant(phase_T, 0)))
    return sum(orders) / rounds


def test_two_oscillators_lock_as_the_closed_form_says() -> None:
    frequency_T = torch.tensor([-0.5, 0.5], dtype=torch.float64)
    order = mean_order(frequency_T, 2.0, dt=0.05, warmup=400, rounds=1, pause=1)
    assert order == pytest.approx(math.sqrt((1 + math.sqrt(1 - 0.25)) / 2), abs=1e-6)
    assert order == pytest.approx(0.965926, abs=1e-6)


@pytest.mark.parametrize("strength", [2.0, 4.0])
def test_lorentzian_population_reaches_the_kuramoto_order(strength: float) -> None:
    half_width, count = 0.5, 2000
    quantile = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    frequency_T = half_width * torch.tan(math.pi * (quantile - 0.5))
    order = mean_order(frequency_T, strength, dt=0.02, warmup=1500, rounds=60, pause=10)
    assert order == pytest.approx(math.sqrt(1 - 2 * half_width / strength), abs=0.01)


@pytest.mark.parametrize("learn_coupling", [True, False])
def test_every_head_starts_at_its_coupling(learn_coupling: bool) -> None:
    layer = mixer(coupling=0.75, learn_coupling=learn_coupling)
    assert layer.coupling_H.tolist() == [0.75, 0.75]
    assert ("coupling_H" in dict(layer.named_parameters())) is learn_coupling


def test_frequencies_start_near_a_tenth() -> None:
    layer = KuramotoMixer(6, 4, 1000, **DEFAULTS)
    initialise(layer, 0)
    assert float(layer.frequency_HN.detach().std()) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("control", ["phase_noise", "frequency_jitter"])
def test_noise_acts_in_training_only(control: str) -> None:
    layer, x_BTD = mixer(**{control: 0.3}), inputs(1, 5, 6)
    assert not torch.equal(layer(x_BTD).y_BTD, layer(x_BTD).y_BTD)
    quiet = layer.eval()(x_BTD).y_BTD
    assert torch.equal(quiet, layer(x_BTD).y_BTD)
    assert torch.equal(quiet, mixer()(x_BTD).y_BTD)


def test_phase_noise_has_its_declared_size_at_every_step() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        end, _ = evolve(
            torch.zeros(1, 1, 1, 20_000, dtype=torch.float64),
            torch.zeros(1, 1, 1, dtype=torch.float64),
            torch.zeros((), dtype=torch.float64),
            dt=0.1,
            num_steps=9,
            causal=True,
            phase_noise=0.03,
        )
    assert float(end.std()) == pytest.approx(0.03 * 3, rel=0.02)


@pytest.mark.parametrize(
    ("form", "order", "expected"),
    [
        ("ceiling", 0.65, 0.04),
        ("ceiling", 0.25, 0.0),
        ("centre", 0.65, 0.04),
        ("centre", 0.25, 0.04),
        ("band", 0.65, 0.01),
        ("band", 0.25, 0.01),
        ("band", 0.54, 0.0),
        ("band", 0.36, 0.0),
    ],
)
def test_regulariser_forms(form: Any, order: float, expected: float) -> None:
    penalty = Coherence(weight=2.0, target=0.45, form=form).penalty(torch.tensor(order, dtype=torch.float64))
    assert float(penalty) == pytest.approx(2 * expected, abs=1e-12)


def test_regulariser_teaches_unless_its_phases_are_detached() -> None:
    coherence = Coherence(weight=1.0, target=0.0, form="centre")
    live = mixer(coherence=coherence)
    live(inputs(2, 5, 6)).penalty.backward()
    assert live.to_phase.weight.grad is not None
    assert live.to_phase.weight.grad.abs().max() > 1e-4
    inert = mixer(coherence=coherence, coherence_has_gradient=False)(inputs(2, 5, 6)).penalty
    assert float(inert) > 0
    assert not inert.requires_grad
    assert mixer()(inputs(2, 5, 6)).penalty is None


def test_descending_the_regulariser_lowers_the_order() -> None:
    layer, x_BTD = (
        mixer(num_oscillators=8, coherence=Coherence(weight=1.0, target=0.1, form="ceiling")),
        inputs(2, 5, 6),
    )
    first = last = float("nan")
    for step in range(5):
        penalty = layer(x_BTD).penalty
        first, last = (float(penalty.detach()) if step == 0 else first), float(penalty.detach())
        layer.zero_grad()
        penalty.backward()
        with torch.no_grad():
            layer.to_phase.weight -= layer.to_phase.weight.grad
    assert last < 0.9 * first


@pytest.mark.parametrize("causal", [True, False])
def test_only_the_causal_mean_field_hides_the_future(causal: bool) -> None:
    phase = spread_phases(1, 1, 3, 40)
    changed = phase.clone()
    changed[..., 20:] += 1.0
    dynamics: dict[str, Any] = {"dt": 0.1, "num_steps": 4, "causal": causal}
    one = torch.ones((), dtype=torch.float64)
    past, other = (evolve(start, one, one, **dynamics)[0][..., :20] for start in (phase, changed))
    assert torch.equal(past, other) is causal


class _LargestTensor(TorchDispatchMode):
    """Records the most elements any operation returns."""

    num_elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.num_elements = max(self.num_elements, result.numel())
        return result


@pytest.mark.parametrize("causal", [True, False])
def test_memory_is_linear_in_length(causal: bool) -> None:
    layer = mixer(causal=causal)
    with _LargestTensor() as largest:
        layer(inputs(1, 4096, 6)).y_BTD.sum().backward()
    assert largest.num_elements <= 3 * 4096 * 6


def test_phases_stay_wide_under_autocast() -> None:
    layer = mixer().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.phases(inputs(1, 300, 6).float()).dtype == torch.float32
    layer.to(torch.bfloat16)
    assert layer(inputs(1, 300, 6).bfloat16()).y_BTD.dtype == torch.bfloat16


def test_wrap_keeps_the_angle() -> None:
    phase = 20 * inputs(1000)
    wrapped = wrap(phase)
    assert -math.pi <= float(wrapped.min()) < float(wrapped.max()) < math.pi
    torch.testing.assert_close(torch.polar(torch.ones(1000).double(), wrapped), torch.exp(1j * phase))
