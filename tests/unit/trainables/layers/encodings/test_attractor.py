"""The attractor: one phase scan that is the published matrix, and what it can say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.layers.decayed_sum import decayed_sum
from trainables.layers.encodings.attractor import Attractor, AttractorState
from trainables.layers.encodings.fields import AttractorConfig
from trainables.randomness import initialise

WIDTH, HEADS = 8, 2


def attractor(**fields: Any) -> Attractor:
    built = Attractor(AttractorConfig(**fields), WIDTH, HEADS, init_std=0.3, bias=True, dropout=0.0)
    initialise(built, 0)
    return built.double()


def inputs(seq_len: int, size: int = 1) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seq_len)
    h, y = torch.randn(2, size, seq_len, WIDTH, dtype=torch.float64, generator=draw)
    return h.requires_grad_(), y.requires_grad_()


POLICIES: list[dict[str, Any]] = [
    {"policy": "fixed"},
    *({"policy": "exp_c_over_n", "c": c} for c in (1.0, math.e, 5.0)),
    {"policy": "exp_c_over_n", "length": None, "read": "final"},
    {"policy": "learned", "decay": 0.5, "constant": "golden"},
]


@pytest.mark.parametrize("seq_len", [1, 63, 100, 513])
@pytest.mark.parametrize("injection", ["cross_attention", "residual", "projection"])
def test_one_scan_adds_what_the_published_matrices_add(injection: str, seq_len: int) -> None:
    for fields in POLICIES:
        one, (h, y) = attractor(injection=injection, **fields), inputs(seq_len)
        direction = torch.randn(1, seq_len, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        sources = [h, *([y] if injection == "cross_attention" else []), *one.parameters()]
        results = []
        for added in (one(h, y), one.reference(h, y)):
            results.append([added, *torch.autograd.grad((added * direction).sum(), sources)])
        torch.testing.assert_close(*results, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("fields", [POLICIES[0], POLICIES[1], POLICIES[-1]])
@torch.no_grad()
def test_a_sequence_may_come_in_parts(fields: dict[str, Any]) -> None:
    one, (h, y) = attractor(**fields), inputs(50, size=3)
    parts, start, state = [], 0, None
    for size in (1, 30, 1, 18):
        found = one.stream(h[:, start : start + size], y[:, start : start + size], start, state)
        assert found is not None
        added, state = found
        parts.append(added)
        start += size
        assert state.num_bytes == 2 * 3 * WIDTH * 8, "2·d numbers a sequence, whatever its length"
    torch.testing.assert_close(torch.cat(parts, 1), one(h, y), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("fields", [{"read": "final"}, {"length": None}])
def test_what_needs_the_whole_input_cannot_be_continued(fields: dict[str, Any]) -> None:
    assert attractor(**fields).stream(*inputs(3), 0, None) is None


@torch.no_grad()
def test_the_published_matrix_has_rank_2_and_so_has_its_mean_row() -> None:
    one, (h, y) = attractor(injection="residual"), inputs(200)
    assert set(torch.linalg.matrix_rank(one.state.reference(h)[0, 2:]).tolist()) == {2}
    without_bias = one(h, y)[0] - one.injection.out.bias  # type: ignore[union-attr, operator]
    assert torch.linalg.matrix_rank(without_bias) == 2
    assert torch.linalg.matrix_rank(attractor(injection="projection")(h, y)[0]) == WIDTH


@pytest.mark.parametrize(
    ("fields", "half_life"),
    [
        ({"policy": "exp_c_over_n", "length": 1000}, 220.6),
        ({"policy": "fixed", "decay": 0.99}, 68.97),
        ({"policy": "learned", "decay": 0.5}, 1.0),
    ],
)
@torch.no_grad()
def test_half_lives_of_the_policies(fields: dict[str, Any], half_life: float) -> None:
    log_decay = AttractorState(AttractorConfig(**fields), WIDTH).log_decay(7)
    assert math.log(0.5) / float(log_decay) == pytest.approx(half_life, rel=1e-3)


@torch.no_grad()
def test_published_decay_leaves_the_first_of_n_tokens_its_weight() -> None:
    """e^{−π} of it at the end of N positions, whatever N."""
    for seq_len in (64, 512):
        log_decay = AttractorState(AttractorConfig(length=None), WIDTH).log_decay(seq_len)
        assert (
            math.exp(seq_len * float(log_decay))
            == pytest.approx(math.exp(-math.pi))
            == pytest.approx(0.043, abs=5e-4)
        )


@torch.no_grad()
def test_a_whole_turn_a_position_is_a_fading_sum_without_phases() -> None:
    state, (h, _) = AttractorState(AttractorConfig(constant="1", policy="fixed"), WIDTH).double(), inputs(40)
    initialise(state, 0)
    found = state(h)
    torch.testing.assert_close(found.re, decayed_sum(state.write(h), log_decay=math.log(0.99))[0])
    assert not found.im.any()


@torch.no_grad()
def test_a_carried_state_is_that_of_the_last_sequence_before() -> None:
    fields = {"policy": "fixed", "read": "final"}
    plain, carried = attractor(**fields), attractor(carried=True, **fields)
    h, y = inputs(20, size=2)
    torch.testing.assert_close(carried(h, y), plain(h, y))
    first, second = plain.state(h), carried.eval().state(h)
    torch.testing.assert_close(second.re, first.re + 0.99**20 * first.re[-1:])
    torch.testing.assert_close(carried.state(h), second, msg="an evaluation leaves what is carried as it is")
    assert carried(*inputs(20, size=3)).shape == (3, 20, WIDTH)


def test_a_carried_state_gets_no_gradient() -> None:
    one, (h, y) = attractor(carried=True, policy="learned"), inputs(20)
    for _ in range(2):
        one(h, y).sum().backward()
    assert not one.state.carried_2S.requires_grad


@torch.no_grad()
def test_a_carried_state_is_part_of_a_checkpoint() -> None:
    saved, restored = (attractor(carried=True) for _ in range(2))
    saved(*inputs(20, size=2))
    restored.load_state_dict(saved.state_dict())
    torch.testing.assert_close(restored(*inputs(9, size=4)), saved.eval()(*inputs(9, size=4)))


@torch.no_grad()
def test_half_precision_keeps_phases_and_sums() -> None:
    """A sum over time, and the angles of its terms, need more digits than bfloat16 has."""
    wide, (h, y) = attractor(policy="fixed", injection="projection"), inputs(400)
    narrow = attractor(policy="fixed", injection="projection").to(torch.bfloat16)
    added = narrow(h.to(torch.bfloat16), y.to(torch.bfloat16)).double()
    error = (added - wide(h, y)).norm() / wide(h, y).norm()
    assert float(error) < 0.02
