from __future__ import annotations

import itertools
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from trainables.contract.architectures import REFERENCE_LENGTHS
from trainables.layers.decayed_sum import ScanState, decayed_sum
from trainables.layers.fields import Normalise
from trainables.layers.phase_scan import Pair, phase_scan
from trainables.layers.phase_scan_reference import phase_scan_pairwise, phase_scan_recurrence

BATCH, WIDTH = 2, 3
DECAYS = ("none", "number", "scalar", "channel", "position", "token", "token_and_channel")
WINDOWS = (None, 7, 64)
PHASES = ("none", "write", "read", "both")


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def log_decay(kind: str, length: int) -> Tensor | float | None:
    shapes: dict[str, tuple[int, ...]] = {
        "scalar": (),
        "channel": (WIDTH,),
        "position": (length, 1),
        "token": (BATCH, length, 1),
        "token_and_channel": (BATCH, length, WIDTH),
    }
    if kind == "none":
        return None
    return math.log(0.85) if kind == "number" else -0.3 * draw(*shapes[kind], seed=1).abs()


def case(
    length: int, decay: str, window: int | None, phases: str, *, paired: bool, normalise: Normalise
) -> dict[str, Any]:
    """Return the arguments of one class of scans; every tensor among them can be differentiated by."""
    shape = (BATCH, length, WIDTH)
    value = Pair(draw(*shape, seed=2), draw(*shape, seed=3)) if paired else draw(*shape, seed=2)
    return {
        "values": value,
        "log_decay": log_decay(decay, length),
        "write_phase": 3 * draw(*shape, seed=4) if phases in {"write", "both"} else None,
        "read_phase": 3 * draw(length, 1, seed=5) if phases in {"read", "both"} else None,
        "magnitude": draw(*shape, seed=6).abs() if normalise != "none" else None,
        "window": window,
        "normalise": normalise,
    }


def parts(arguments: dict[str, Any], span: slice) -> dict[str, Any]:
    """Return the arguments of the same scan over a part of the time."""

    def cut(value: Any) -> Any:
        if isinstance(value, Pair):
            return Pair(*(cut(half) for half in value))
        return value[..., span, :] if isinstance(value, Tensor) and value.ndim > 1 else value

    return {name: cut(value) for name, value in arguments.items()}


def outputs_and_gradients(function: Any, arguments: dict[str, Any]) -> list[Tensor]:
    """Return y, and its gradients by every tensor among the arguments."""
    leaves: list[Tensor] = []

    def leaf(value: Any) -> Any:
        if isinstance(value, Pair):
            return Pair(*(leaf(half) for half in value))
        if not isinstance(value, Tensor):
            return value
        leaves.append(value.clone().requires_grad_())
        return leaves[-1]

    found = function(**{name: leaf(value) for name, value in arguments.items()})
    y = found if isinstance(found, Pair) else found[0]
    score = (y.re * draw(*y.re.shape, seed=7).to(y.re) + y.im * draw(*y.im.shape, seed=8).to(y.im)).sum()
    gradients = torch.autograd.grad(score, leaves, allow_unused=True, materialize_grads=True)
    return [y.re.detach(), y.im.detach(), *gradients]


def assert_same(one: list[Tensor], other: list[Tensor], tolerance: float = 1e-10) -> None:
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-9, atol=tolerance)


def assert_equals_the_definition(**choices: Any) -> None:
    arguments = case(**choices)
    assert_same(outputs_and_gradients(phase_scan, arguments), outputs_and_gradients(phase_scan_pairwise, arguments))


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("window", WINDOWS)
def test_every_decay_and_window_equals_the_definition_with_gradients(decay: str, window: int | None) -> None:
    for normalise in get_args(Normalise):
        assert_equals_the_definition(
            length=70, decay=decay, window=window, phases="both", paired=normalise == "none", normalise=normalise
        )


@pytest.mark.parametrize("phases", PHASES)
@pytest.mark.parametrize("paired", [False, True])
def test_every_use_of_phases_equals_the_definition_with_gradients(phases: str, paired: bool) -> None:
    for window, normalise in itertools.product((None, 9), get_args(Normalise)):
        assert_equals_the_definition(
            length=40, decay="scalar", window=window, phases=phases, paired=paired, normalise=normalise
        )


@pytest.mark.parametrize("length", REFERENCE_LENGTHS)
@pytest.mark.parametrize("decay", ["none", "scalar", "channel", "token_and_channel"])
def test_equals_the_recurrence_with_gradients_at_every_length(length: int, decay: str) -> None:
    for window in (None, 37) if length < 513 else (None,):
        arguments = case(length, decay, window, "both", paired=False, normalise="sum")
        assert_same(
            outputs_and_gradients(phase_scan, arguments), outputs_and_gradients(phase_scan_recurrence, arguments)
        )


@pytest.mark.parametrize("window", [100, 256])
def test_long_windows_equal_the_definition_with_gradients(window: int) -> None:
    assert_equals_the_definition(
        length=300, decay="token_and_channel", window=window, phases="both", paired=False, normalise="sum"
    )


@pytest.mark.parametrize("decay", ["scalar", "channel", "token"])
@pytest.mark.parametrize("window", [None, 1, 9])
def test_token_by_token_equals_the_scan(decay: str, window: int | None) -> None:
    arguments = case(20, decay, window, "both", paired=True, normalise="sum")
    whole, end = phase_scan(**arguments)
    state, steps = None, []
    for t in range(20):
        y, state = phase_scan(**parts(arguments, slice(t, t + 1)), state=state)
        steps.append(y)
    assert state is not None
    assert_same([*whole], [torch.cat([y.re for y in steps], 1), torch.cat([y.im for y in steps], 1)])
    torch.testing.assert_close(state.memory, end.memory, rtol=0, atol=1e-10)


def test_gradients_cross_from_part_to_part() -> None:
    def in_two(**arguments: Any) -> tuple[Pair, ScanState]:
        head, state = phase_scan(**parts(arguments, slice(0, 41)))
        tail, state = phase_scan(**parts(arguments, slice(41, None)), state=state)
        return Pair(torch.cat((head.re, tail.re), 1), torch.cat((head.im, tail.im), 1)), state

    for window in (None, 12):
        arguments = case(100, "token_and_channel", window, "both", paired=False, normalise="sum")
        assert_same(outputs_and_gradients(in_two, arguments), outputs_and_gradients(phase_scan, arguments))


@pytest.mark.parametrize("decay", ["scalar", "channel", "token"])
@pytest.mark.parametrize("window", [None, 50])
def test_the_future_does_not_reach_a_single_bit(decay: str, window: int | None) -> None:
    arguments = case(150, decay, window, "both", paired=True, normalise="sum")
    changed = parts(arguments, slice(None))
    for name in ("write_phase", "magnitude", "read_phase"):
        changed[name] = torch.cat((changed[name][..., :90, :], 1e3 + 0 * changed[name][..., 90:, :]), -2)
    for one, other in zip(phase_scan(**arguments)[0], phase_scan(**changed)[0], strict=True):
        assert torch.equal(one[:, :90], other[:, :90])
        assert not torch.equal(one[:, 90:], other[:, 90:])


def test_unnormalised_tpi_is_a_diagonal_complex_recurrence() -> None:
    """r_t = e^{−iω'_t} r_{t−1} + m_t x_t: the identity of families 3.1."""
    frequency, magnitude, x = draw(2, 200, 3, seed=1), draw(2, 200, 3, seed=2).abs(), draw(2, 200, 3)
    phase = frequency.cumsum(1)
    y, _ = phase_scan(x, write_phase=phase, read_phase=phase, magnitude=magnitude)
    r = torch.zeros(2, 3, dtype=torch.complex128)
    for t in range(200):
        r = torch.exp(-1j * frequency[:, t]) * r + magnitude[:, t] * x[:, t]
        torch.testing.assert_close(torch.complex(y.re[:, t], y.im[:, t]), r, rtol=0, atol=1e-11)


def test_pvm_is_its_closed_form_then_rotated() -> None:
    """m_t = Σ β^{t−j} α s x_j, then the pairs (k, k + D/2) turn by θ_t = ω log(1 + t)."""
    alpha, beta, scale = 0.12, 0.88, 4.0
    x = draw(2, 90, 6)
    time = torch.arange(90, dtype=torch.float64)
    theta = 6 * torch.log1p(time).unsqueeze(-1)
    y, _ = phase_scan(Pair.of_halves(alpha * scale * x), log_decay=math.log(beta), read_phase=-theta)
    weight = (beta ** (time[:, None] - time).clamp(min=0)).tril()
    memory = torch.einsum("tj,bjd->btd", weight, alpha * scale * x)
    turned = torch.complex(*memory.chunk(2, dim=-1)) * torch.exp(1j * theta)
    torch.testing.assert_close(y.joined(), torch.cat((turned.real, turned.imag), -1), rtol=0, atol=1e-12)


def test_exponential_memory_has_its_textbook_gain_and_impulse() -> None:
    """.3/.85: gain 2.0 at zero frequency, .32432 at the highest, and b¹⁰ = .19687 (evaluation F2)."""
    ones = torch.full((1, 2000, 1), 0.3, dtype=torch.float64)
    alternating = ones * torch.tensor([1.0, -1.0]).repeat(1000).view(1, -1, 1)
    impulse = torch.zeros_like(ones)
    impulse[:, 0] = 1
    gains = [decayed_sum(x, log_decay=math.log(0.85))[0] for x in (ones, alternating, impulse)]
    assert float(gains[0][0, -1, 0]) == pytest.approx(2.0, abs=1e-10)
    assert float(0.3 / 1.85) == pytest.approx(float(gains[1][0, -2, 0]), abs=1e-10)
    assert float(gains[2][0, 10, 0]) == pytest.approx(0.19687, abs=5e-6)


@pytest.mark.parametrize("shape", [None, (), (3,), (80, 1), (2, 80, 3)])
def test_decay_zero_forgets_all_and_decay_one_nothing(shape: tuple[int, ...] | None) -> None:
    def decay(value: float) -> Any:
        return value if shape is None else torch.full(shape, value, dtype=torch.float64)

    for window in (None, 30):
        arguments = case(80, "none", window, "both", paired=True, normalise="none")
        nothing = phase_scan(**{**arguments, "log_decay": decay(0.0)})[0]
        assert_same([*nothing], [*phase_scan(**arguments)[0]])
        arguments["log_decay"] = decay(-math.inf)
        found = outputs_and_gradients(phase_scan, arguments)
        turn = arguments["write_phase"] - arguments["read_phase"]
        assert_same(found[:2], [*arguments["values"].rotated(turn)])
        assert all(bool(gradient.isfinite().all()) for gradient in found)


def test_a_reset_in_the_middle_is_a_fresh_start() -> None:
    arguments = case(150, "token_and_channel", None, "both", paired=True, normalise="sum")
    arguments["log_decay"][:, 70] = -math.inf
    fresh = phase_scan(**parts(arguments, slice(70, None)))[0]
    whole = phase_scan(**arguments)[0]
    assert_same([part[:, 70:] for part in whole], [*fresh])


@pytest.mark.parametrize("window", [80, 81, 1000])
def test_a_window_as_long_as_the_sequence_is_none(window: int) -> None:
    arguments = case(80, "channel", None, "both", paired=False, normalise="sum")
    assert_same([*phase_scan(**{**arguments, "window": window})[0]], [*phase_scan(**arguments)[0]])


def test_a_windowed_sum_forgets_large_terms_to_the_last_digit() -> None:
    """The difference of two running sums would be off by hundreds here."""
    x = torch.ones(1, 1000, 1)
    x[:, 100:200] = 1e9
    sums, _ = decayed_sum(x, window=64)
    assert torch.equal(sums[0, 263:, 0], torch.full((737,), 64.0))
    assert torch.equal(sums[0, :64, 0], torch.arange(1.0, 65.0))


def test_strong_decays_neither_overflow_nor_stop_the_gradient() -> None:
    x, log = draw(2, 600, 3, dtype=torch.float32), torch.full((2, 600, 3), -80.0)
    for window in (None, 100):
        arguments = {"values": x, "log_decay": log, "window": window}
        found = outputs_and_gradients(phase_scan, arguments)
        torch.testing.assert_close(found[0], x)
        assert all(bool(gradient.isfinite().all()) for gradient in found)


@pytest.mark.parametrize("decay", ["scalar", "channel", "token_and_channel"])
def test_second_derivatives_exist(decay: str) -> None:
    x, log, phase = (
        tensor.requires_grad_() for tensor in (draw(2, 70, 3), log_decay(decay, 70), draw(70, 1, seed=3))
    )

    def scan(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        y, _ = phase_scan(tensors[0], log_decay=tensors[1], write_phase=tensors[2], read_phase=2 * tensors[2])
        return y.re[:, ::23].sum(0), y.im[:, -1]

    assert torch.autograd.gradgradcheck(scan, (x, log, phase), fast_mode=True)


def test_what_training_keeps_grows_linearly() -> None:
    def kept(length: int) -> int:
        saved: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            saved[tensor.data_ptr()] = tensor.numel()
            return tensor

        arguments = case(length, "token_and_channel", 64, "both", paired=False, normalise="sum")
        arguments["values"].requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            phase_scan(**arguments)
        return sum(saved.values())

    assert kept(4096) / kept(1024) == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(("window", "terms"), [(None, 1), (64, 63)])
def test_the_state_has_one_size_at_every_length(window: int | None, terms: int) -> None:
    x = torch.zeros(8, 500, 128)
    sizes = {decayed_sum(x[:, :length], log_decay=-0.1, window=window)[1].num_bytes for length in (1, 63, 500)}
    assert sizes == {8 * 128 * 4 * terms}
    pairs = phase_scan(x, write_phase=x, read_phase=x, normalise="sum", window=window)[1]
    assert pairs.num_bytes == 3 * 8 * 128 * 4 * terms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_decay": 0.1}, "at most 0"),
        ({"window": 0}, "at least 1"),
        ({"normalise": "none"}, "same kind of values"),
        ({"values": draw(2, 10, 4)}, "same kind of values"),
        ({"window": 5}, "same window"),
        ({"log_decay": -draw(2, 10, 1).abs()}, "kind of decay"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"values": draw(2, 10, 3), "normalise": "sum", "window": 4, "log_decay": -0.1}
    _, state = phase_scan(**arguments)
    with pytest.raises(ValueError, match=message):
        phase_scan(**{**arguments, **change}, state=state)


def test_an_odd_number_of_channels_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="even, got 3"):
        Pair.of_halves(draw(2, 3))


def test_halves_pair_and_join() -> None:
    x = draw(5, 6)
    assert torch.equal(Pair.of_halves(x).joined(), x)
    quarter = Pair.of_halves(x).rotated(torch.tensor(math.pi / 2, dtype=torch.float64))
    torch.testing.assert_close(quarter.joined(), torch.cat((-x[:, 3:], x[:, :3]), -1))
