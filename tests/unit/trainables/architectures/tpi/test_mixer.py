"""Temporal phase integration against its closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.architectures.controls.diagonal_ssm import diagonal_ssm
from trainables.architectures.tpi.associative_memory import recall
from trainables.architectures.tpi.mixer import TemporalPhaseMixer
from trainables.architectures.tpi.phases import PhaseForm, full_turns, saturation
from trainables.layers.angles import wrap
from trainables.layers.mixer import MixerOutput
from trainables.layers.phase_scan import Pair
from trainables.randomness import initialise

D = 6
PARTED = {"to_query_frequency": "decoupling", "to_offset": "query_offset", "to_start": "phase_init"}
"""Maps that part phases, and the field that asks for each."""


def mixer(phases: dict[str, Any] | None = None, *, seed: int = 0, **fields: Any) -> TemporalPhaseMixer:
    """Return an initialised mixer in float64, with turns of about a radian so that phases matter."""
    form = PhaseForm(**{"frequency_scale": 1.0, **(phases or {})})
    built = TemporalPhaseMixer(D, form, **{"init_std": 0.5, **fields})
    initialise(built, seed)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(25.0)
    return built.double().eval().requires_grad_(False)


def inputs(seq_len: int = 100) -> Tensor:
    return torch.randn(2, seq_len, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def features(built: TemporalPhaseMixer, x_BTD: Tensor) -> Tensor:
    """Return what the output map is given."""
    seen: list[Tensor] = []
    handle = built.out.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    built(x_BTD)
    handle.remove()
    return seen[0]


def retrieved(built: TemporalPhaseMixer, x_BTD: Tensor) -> Tensor:
    """Return r as a complex tensor."""
    return torch.complex(*features(built, x_BTD)[..., -2 * D :].split(D, dim=-1))


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("decay", ["none", "learned"])
@pytest.mark.parametrize("frequency", ["linear", "gated", "fixed", "atan2"])
def test_without_its_normaliser_it_is_a_diagonal_complex_state_space_model(frequency: str, decay: str) -> None:
    """r_t = λ e^{−iω'} r_{t−1} + m x: the frequency turns the state, whatever the phase is by then."""
    built, x_BTD = (
        mixer({"frequency": frequency}, normalise="none", decay=decay, decay_init_window=8.0),
        inputs(200),
    )
    frequency_BTD = built.phases.frequency(x_BTD)
    assert frequency_BTD is not None
    factor = torch.polar(torch.ones_like(x_BTD), -frequency_BTD.expand_as(x_BTD))
    factor = factor * (1 - 1 / 8 if decay == "learned" else 1.0)
    written = 5 * torch.sigmoid(built.to_magnitude(x_BTD)) * x_BTD  # type: ignore[misc]
    state, states = torch.zeros(2, D, dtype=torch.complex128), []
    for t in range(200):
        state = factor[:, t] * state + written[:, t]
        states.append(state)
    torch.testing.assert_close(retrieved(built, x_BTD), torch.stack(states, 1), rtol=1e-6, atol=1e-6)
    if decay == "none":  # the decay's logit is a float32 parameter, so that λ is not 7/8 to all digits
        close(retrieved(built, x_BTD), torch.stack(states, 1))


def test_with_fixed_frequencies_it_is_the_control_of_that_name() -> None:
    built, x_BTD = mixer({"frequency": "fixed"}, normalise="none", magnitude="none"), inputs()
    state, _ = diagonal_ssm(x_BTD, None, -built.phases.frequency_D)
    close(retrieved(built, x_BTD), torch.complex(state.re, state.im))


def test_the_control_decays_and_turns() -> None:
    impulse = torch.zeros(1, 5, 1, dtype=torch.float64)
    impulse[0, 0] = 2.0
    state, _ = diagonal_ssm(
        Pair(impulse, 0 * impulse), math.log(0.5), torch.tensor([math.pi / 2], dtype=torch.float64)
    )
    close(state.re.flatten(), torch.tensor([2, 0, -0.5, 0, 0.125], dtype=torch.float64))
    close(state.im.flatten(), torch.tensor([0, 1, 0, -0.25, 0], dtype=torch.float64))


def test_phases_of_long_sequences_keep_float32s_digits() -> None:
    """Added up in float32, these turns are off by more than a thousandth of a radian in the end."""
    turn_TD = torch.full((16_384, D), 1.1)
    phase_TD, _ = mixer().phases.accumulated(turn_TD)
    assert phase_TD is not None and phase_TD.dtype == torch.float32
    assert float(wrap(phase_TD.double() - turn_TD.double().cumsum(0)).abs().max()) < 1e-6


@pytest.mark.parametrize("window", [100, 101, 5000])
def test_a_window_of_the_whole_sequence_is_none(window: int) -> None:
    close(mixer(window=window)(inputs()).y_BTD, mixer()(inputs()).y_BTD)


def test_a_window_sees_what_is_in_it_only() -> None:
    """And reads of it what it would read were there nothing before: only differences of phases count."""
    x_BTD = inputs()
    long, cut = retrieved(mixer(window=16), x_BTD), retrieved(mixer(), x_BTD[:, 61:77])
    close(long[:, 76], cut[:, -1])
    assert not torch.allclose(long[:, 76], retrieved(mixer(), x_BTD)[:, 76], atol=1e-3)


def test_a_decay_of_1_is_none() -> None:
    built = mixer(decay="learned")
    built.decay_logit.fill_(40.0)  # type: ignore[union-attr]
    close(built(inputs()).y_BTD, mixer()(inputs()).y_BTD)


def test_without_phases_it_is_an_average() -> None:
    x_BTD = inputs()
    mean_BTD = x_BTD.cumsum(1) / torch.arange(1, 101).view(-1, 1)
    found = features(mixer({"frequency": "none"}, magnitude="none"), x_BTD)
    torch.testing.assert_close(
        found, torch.cat((x_BTD, mean_BTD), -1), rtol=1e-7, atol=1e-7
    )  # 1e-8 in the normaliser
    built = mixer({"frequency": "none"}, magnitude="none", normalise="none", decay="learned", decay_init_window=4.0)
    sums = [x_BTD[:, 0]]
    for t in range(1, 100):
        sums.append(0.75 * sums[-1] + x_BTD[:, t])
    torch.testing.assert_close(features(built, x_BTD)[..., D:], torch.stack(sums, 1), rtol=1e-6, atol=1e-6)


def test_a_scale_of_0_is_no_phase() -> None:
    turning, still = mixer(), mixer({"frequency": "none"})
    turning.phases.scale_D.zero_()
    x_BTD = inputs()
    zero = torch.zeros_like(x_BTD)
    x, r = features(still, x_BTD).split(D, dim=-1)
    close(features(turning, x_BTD), torch.cat((x, zero, r, zero), -1))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("to_offset", "read"),
        ("to_offset", "trajectory"),
        ("to_start", "linear"),
        ("to_query_frequency", "constrained"),
    ],
)
def test_a_part_whose_weights_are_0_is_absent(part: str, value: str) -> None:
    built = mixer({PARTED[part]: value})
    x_BTD = inputs()
    assert not torch.allclose(features(built, x_BTD), features(mixer(), x_BTD), atol=1e-3)
    getattr(built.phases, part).weight.zero_()
    close(features(built, x_BTD), features(mixer(), x_BTD))


@pytest.mark.parametrize("phase_init", ["none", "linear"])
def test_free_decoupling_with_equal_maps_is_none(phase_init: str) -> None:
    built = mixer({"decoupling": "free", "phase_init": phase_init})
    built.phases.to_query_frequency.weight.copy_(built.phases.to_frequency.weight)
    close(features(built, inputs()), features(mixer({"phase_init": phase_init}), inputs()))


def test_an_offset_is_read_by_and_seen_only_where_it_is_asked() -> None:
    x_BTD = inputs()
    plain = features(mixer(), x_BTD)
    read, whole = (features(mixer({"query_offset": form}), x_BTD) for form in ("read", "trajectory"))
    close(read[..., : 2 * D], plain[..., : 2 * D])
    close(read[..., 2 * D :], whole[..., 2 * D :])
    assert not torch.allclose(whole[..., : 2 * D], plain[..., : 2 * D], atol=1e-3)


def test_frequencies_are_what_their_names_say() -> None:
    x_BTD = inputs()

    def applied(linear: torch.nn.Linear) -> Tensor:
        return x_BTD @ linear.weight.mT

    for scale in (0.3, -0.3):  # the factor counts by its absolute value
        gated, constrained = mixer({"frequency": "gated"}).phases, mixer({"decoupling": "constrained"}).phases
        for phases in (gated, constrained):
            phases.scale_D.fill_(scale)
        gate_BTD = 1 / (1 + (-applied(gated.to_gate)).exp())
        close(gated.frequency(x_BTD), abs(scale) * gate_BTD * applied(gated.to_frequency))  # type: ignore[arg-type]
        adjusted_BTD = applied(constrained.to_frequency) + 0.1 * applied(constrained.to_query_frequency)
        close(constrained.query_frequency(x_BTD), abs(scale) * adjusted_BTD)  # type: ignore[arg-type]


def test_published_turns_are_angles_and_published_phases_saturate() -> None:
    built, x_BTD = mixer({"frequency": "atan2", "squash": True}), inputs(400)
    sine_BTD, cosine_BTD = (x_BTD @ built.phases.to_frequency.weight.mT).chunk(2, dim=-1)
    close(built.phases.frequency(x_BTD), torch.complex(cosine_BTD, sine_BTD).angle())  # type: ignore[arg-type]
    written = built.phases(x_BTD).written
    assert written is not None and float(written.abs().max()) <= 10
    turned = torch.tensor([[0.0, 10 * math.atanh(0.94), 10 * math.atanh(0.96), -1e4]]).view(1, 4, 1)
    assert float(saturation(turned)) == 0.5
    assert float(full_turns(turned)) == pytest.approx(1e4 / (2 * math.pi))


def test_two_layers_to_a_phase_have_a_gelu_between() -> None:
    phases, x_BTD = mixer({"frequency": "none", "phase_init": "mlp"}).phases, inputs()
    first, _, second = phases.to_start
    hidden_BTD = x_BTD @ first.weight.mT
    gelu_BTD = hidden_BTD * (1 + torch.special.erf(hidden_BTD / math.sqrt(2))) / 2
    written_BTD = phases(x_BTD).written
    assert written_BTD is not None
    close(written_BTD, gelu_BTD @ second.weight.mT)


@pytest.mark.parametrize("options", [{"decay": "learned"}, {"window": 5}])
def test_fused_seeds_of_a_mixer_equal_one_after_the_other(options: dict[str, Any]) -> None:
    mixers = [
        mixer({"query_offset": "trajectory", "phase_init": "linear"}, seed=seed, **options) for seed in (0, 1)
    ]
    x_BTD = inputs(40)
    parameters, _ = torch.func.stack_module_state(mixers)

    def squared(of_one: dict[str, torch.Tensor]) -> torch.Tensor:
        found: MixerOutput = torch.func.functional_call(mixers[0], of_one, (x_BTD,))
        return found.y_BTD.square().sum()

    fused = torch.func.vmap(torch.func.grad(squared))(parameters)
    for index, one in enumerate(mixers):
        alone = torch.func.grad(squared)(dict(one.named_parameters()))
        for name, gradient in alone.items():
            close(fused[name][index], gradient)


def test_the_diversity_penalty_is_1_for_equal_phases_and_0_for_spread_ones() -> None:
    built = mixer(diversity_weight=0.1)
    x_BTD = inputs(8)
    built.phases.scale_D.zero_()
    assert float(built(x_BTD).penalty) == pytest.approx(0.1)
    built.phases.scale_D.fill_(2 * math.pi / 8)
    built.phases.to_frequency.weight.zero_()
    built.phases.to_frequency.weight[:, 0] = 1.0
    assert float(built(torch.ones_like(x_BTD)).penalty) == pytest.approx(0.0, abs=1e-12)
    assert mixer({"frequency": "fixed"}, diversity_weight=0.1)(x_BTD).penalty is None


def test_orthonormal_keys_are_recalled_exactly() -> None:
    draw = torch.Generator().manual_seed(0)
    key_NN = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64, generator=draw))[0]
    value_NN = torch.randn(8, 8, dtype=torch.float64, generator=draw)
    asked = [3, 0, 7]
    keys = torch.cat((key_NN, torch.zeros(3, 8, dtype=torch.float64)))
    values = torch.cat((value_NN, torch.ones(3, 8, dtype=torch.float64)))
    queries = torch.cat((torch.zeros(8, 8, dtype=torch.float64), key_NN[asked]))
    close(recall(queries, keys, values)[0][8:], value_NN[asked])


def test_probes_of_a_mixer() -> None:
    built = mixer({"frequency": "atan2", "squash": True}, decay="learned", decay_init_window=16.0)
    found = {name: float(value) for name, value in built.probes(inputs()).items()}
    assert found["tpi_window"] == pytest.approx(16.0)
    assert found["tpi_phase_variance_null"] == pytest.approx(1 - math.sqrt(math.pi / 400), abs=1e-3)
    phase_BTD = built.phases(inputs()).written
    assert phase_BTD is not None
    together = torch.exp(1j * phase_BTD).mean(1).abs().mean()
    assert found["tpi_phase_variance"] == pytest.approx(1 - float(together))
    turn_BTD = built.phases.frequency(inputs()).cumsum(1)  # type: ignore[union-attr]
    assert found["tpi_full_turns"] == pytest.approx(float(turn_BTD.abs().amax((1, 2)).mean()) / (2 * math.pi))
    assert found["tpi_phase_saturation"] == float((phase_BTD.abs() > 9.5).double().mean())
    still = mixer({"frequency": "none"})
    assert still.probes(inputs()) == {}
    spread = mixer({"frequency": "linear"})
    spread.phases.scale_D.zero_()
    assert float(spread.probes(inputs())["tpi_phase_variance"]) == pytest.approx(0.0, abs=1e-12)
