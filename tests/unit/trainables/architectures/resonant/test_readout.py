"""Queries and readout of the resonant family, each beside its definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.resonant.fields import Mask, QueryMode
from trainables.architectures.resonant.readout.query import EmaQuery, MlpQuery, Query, build_query, windowed_sum
from trainables.architectures.resonant.readout.readout import CLAMP, Readout, keep_top, read_trace
from trainables.architectures.resonant.readout.ridge import RidgeProjection
from trainables.randomness import initialise

MODES: tuple[QueryMode, ...] = get_args(QueryMode)
B, T, D, V, WINDOW = 2, 11, 8, 13, 4
M = TypeVar("M", bound=nn.Module)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tokens(seed: int = 0) -> Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def ready(module: M, seed: int = 0) -> M:
    initialise(module, seed)
    return module.double()


# --- queries ---


def slow_query(query: Query, mode: QueryMode, seen_ND: Tensor) -> Tensor:
    """Return the query of one sequence that ends with these tokens, as the published code computes it (fixed)."""
    match mode:
        case "mean":
            pooled_D = seen_ND.mean(0)
        case "ema":
            weight_N = torch.linspace(0.1, 1.0, len(seen_ND), dtype=seen_ND.dtype)
            pooled_D = (weight_N / weight_N.sum()) @ seen_ND
        case "phase_weighted":
            speed_N = (seen_ND[1:] - seen_ND[:-1]).norm(dim=1)
            pooled_D = (speed_N / 0.5).softmax(0) @ seen_ND[:-1] if len(seen_ND) > 1 else seen_ND[0]
        case "mlp":
            assert isinstance(query, MlpQuery)
            pooled_D = torch.stack([(h_D @ query.inner_DE).relu() @ query.outer_ED for h_D in seen_ND]).mean(0)
        case "learned":
            pooled_D = query.get_submodule("network")(seen_ND.mean(0))
    return functional.normalize(pooled_D, dim=0)


@pytest.mark.parametrize("window", [1, 2, WINDOW, T + 3])
@pytest.mark.parametrize("mode", MODES)
def test_a_query_is_that_of_the_sequence_that_ends_there(mode: QueryMode, window: int) -> None:
    h_BTD = draw(B, T, D)
    query = ready(build_query(mode, D, window))
    q_BTD = query(h_BTD)
    for b in range(B):
        for t in range(T):
            expected_D = slow_query(query, mode, h_BTD[b, max(t + 1 - window, 0) : t + 1])
            torch.testing.assert_close(q_BTD[b, t], expected_D, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_a_query_sees_its_window_and_nothing_else(mode: QueryMode) -> None:
    h_BTD = draw(1, T, D).requires_grad_()
    query = ready(build_query(mode, D, WINDOW))
    (gradient_BTD,) = torch.autograd.grad(query(h_BTD)[0, 7].sum(), h_BTD)
    touched = gradient_BTD[0].abs().sum(1).nonzero().flatten().tolist()
    assert touched == [4, 5, 6, 7]


def test_the_mlp_query_is_random_and_never_trained() -> None:
    query = ready(MlpQuery(D, WINDOW))
    assert not any(parameter.requires_grad for parameter in query.parameters())
    assert float(query.inner_DE.std()) > 0


def test_windowed_sum_keeps_no_copies_of_the_window() -> None:
    """So that its memory does not grow with the window: its only saved tensors are weights."""
    h_BTD = draw(B, T, D).requires_grad_()
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
        EmaQuery(WINDOW).pool(h_BTD).sum()
    assert max(sizes, default=0) <= T
    torch.testing.assert_close(windowed_sum(h_BTD, torch.ones(1, T, T, dtype=h_BTD.dtype)), h_BTD.cumsum(1))


# --- reading ---


def slow_read(query_D: Tensor, trace_TD: Tensor, top_k: int) -> Tensor:
    cosine_T = functional.cosine_similarity(query_D[None], trace_TD, dim=1)
    kept = sorted(range(len(trace_TD)), key=lambda j: -float(cosine_T[j]))[: top_k or None]
    weights = {j: math.exp(cosine_T[j]) for j in kept}
    return torch.stack([weights[j] / sum(weights.values()) * trace_TD[j] for j in kept]).sum(0)


@pytest.mark.parametrize("top_k", [0, 1, 3, 50])
def test_the_trace_is_read_up_to_each_position(top_k: int) -> None:
    query_BTD, trace_BTD = draw(B, T, D), draw(B, T, D, seed=1)
    read_BTD = read_trace(query_BTD, trace_BTD, top_k=top_k)
    for b in range(B):
        for t in range(T):
            expected_D = slow_read(query_BTD[b, t], trace_BTD[b, : t + 1], top_k)
            torch.testing.assert_close(read_BTD[b, t], expected_D)
    torch.testing.assert_close(read_trace(query_BTD[:, -1:], trace_BTD, top_k=top_k), read_BTD[:, -1:])


def test_a_cosine_cannot_pick_one_position_of_many() -> None:
    """Temperature 1 spreads the weight: the bound in the docstring is reached and not passed."""
    trace_BTD = -torch.eye(1, D, dtype=torch.float64).repeat(1, 100, 1)
    trace_BTD[0, 40] *= -1
    read_D = read_trace(trace_BTD[:, 40:41], trace_BTD)[0, 0]
    share = math.e**2 / (99 + math.e**2)
    assert float(read_D[0]) == pytest.approx(share - (1 - share))


def build(**options: Any) -> Readout:
    projection = RidgeProjection(D, projection=options.pop("projection", "random"))
    query = build_query("mean", D, WINDOW)
    return ready(Readout(D, V, query=query, projection=projection, window=WINDOW, **options))


def added(
    readout: Readout, h_BTD: Tensor, trace_BTD: Tensor, tokens_BT: Tensor, head: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the logits that are added, and what was read."""
    read_BSD = readout.read(h_BTD, trace_BTD)
    return readout.logits(read_BSD, tokens_BT, head), read_BSD


HEAD: Callable[[Tensor], Tensor] = lambda h_BTD: 3 * h_BTD @ draw(D, V, seed=9)  # noqa: E731
VARIANTS: list[dict[str, Any]] = [
    {},
    {"over": "state"},
    {"mask": "window"},
    {"mask": "answer"},
    {"head": "separate"},
    {"top_k": 3},
    {"top_k": 3, "top_k_over": "vocabulary"},
    {"over": "state", "mask": "window", "scale": 0.5},
]


@pytest.mark.parametrize("options", VARIANTS)
def test_nothing_later_is_read(options: dict[str, Any]) -> None:
    readout, ids_BT = build(**options), tokens()
    h_BTD, trace_BTD = draw(B, T, D), draw(B, T, D, seed=1)
    before_BTV, _ = added(readout, h_BTD, trace_BTD, ids_BT, HEAD)
    other_ids_BT = ids_BT.clone()
    for changed in (h_BTD, trace_BTD):
        changed[:, 7:] += 1
    other_ids_BT[:, 7:] = (other_ids_BT[:, 7:] + 5) % V
    after_BTV, _ = added(readout, h_BTD, trace_BTD, other_ids_BT, HEAD)
    torch.testing.assert_close(after_BTV[:, :7], before_BTV[:, :7], rtol=0, atol=0)
    assert not torch.equal(after_BTV[:, 7:], before_BTV[:, 7:])


@pytest.mark.parametrize("options", VARIANTS)
def test_the_last_position_alone_gets_what_it_gets_among_all(options: dict[str, Any]) -> None:
    everywhere, last = build(**options), build(**options, positions="last")
    arguments = draw(B, T, D), draw(B, T, D, seed=1), tokens(), HEAD
    all_BTV, all_BTD = added(everywhere, *arguments)
    last_BTV, last_B1D = added(last, *arguments)
    assert all_BTV.shape == last_BTV.shape == (B, T, V)
    torch.testing.assert_close(last_BTV[:, -1], all_BTV[:, -1])
    torch.testing.assert_close(last_B1D, all_BTD[:, -1:])
    assert not last_BTV[:, :-1].any()


def test_the_state_is_read_as_it_is() -> None:
    readout = build(over="state")
    trace_BTD = draw(B, T, D)
    assert readout.query is None
    assert torch.equal(readout.read(draw(B, T, D, seed=1), trace_BTD), trace_BTD)


def test_as_published_all_sequences_read_the_first_ones_trace() -> None:
    h_BTD, trace_BTD = draw(B, T, D), draw(B, T, D, seed=1)
    same_BTD = trace_BTD[:1].repeat(B, 1, 1)
    torch.testing.assert_close(build(of="first").read(h_BTD, trace_BTD), build().read(h_BTD, same_BTD))
    assert not torch.equal(build().read(h_BTD, trace_BTD), build().read(h_BTD, same_BTD))


@pytest.mark.parametrize(("mask", "answer_length"), [("window", None), ("answer", 6), ("answer", None)])
def test_the_mask_lets_through_ids_of_some_tokens_that_were_read(mask: Mask, answer_length: int | None) -> None:
    """Those of the last tokens, or, as published, of the answer's first; every other id gets the smallest logit."""
    ids_BT, read_BTD = tokens(), draw(B, T, D)
    logits_BTV = build(mask=mask).logits(read_BTD, ids_BT, HEAD, answer_length=answer_length)
    free_BTV = build().logits(read_BTD, ids_BT, HEAD)
    for b in range(B):
        for t in range(T):
            first = t + 1 - WINDOW if mask == "window" else T - (answer_length or T)
            hidden_V = torch.ones(V, dtype=torch.bool)
            hidden_V[ids_BT[b, max(first, 0) : min(first + WINDOW, t + 1)]] = False
            torch.testing.assert_close(logits_BTV[b, t], free_BTV[b, t].masked_fill(hidden_V, -CLAMP))


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_logits_are_scaled_then_clamped(scale: float) -> None:
    """So that what the mask holds back gets the same at any scale."""
    read_BTD, ids_BT = 100 * draw(B, T, D), tokens()
    plain, scaled = build(), build(scale=scale, mask="window")
    seen_BTV = scale * HEAD(plain.projection(read_BTD))
    assert float(seen_BTV.detach().abs().max()) > CLAMP
    logits_BTV = scaled.logits(read_BTD, ids_BT, HEAD)
    held_BTV = logits_BTV == -CLAMP
    assert bool(held_BTV.any(-1).all())
    wanted_BTV = seen_BTV.clamp(-CLAMP, CLAMP).masked_fill(held_BTV, -CLAMP)
    torch.testing.assert_close(logits_BTV, wanted_BTV, rtol=0, atol=0)


def test_keep_top_keeps_the_largest() -> None:
    score = torch.tensor([[1.0, 5.0, 3.0, 4.0]])
    assert keep_top(score, 2).tolist() == [[-math.inf, 5.0, -math.inf, 4.0]]
    assert keep_top(score, 0) is score
    assert keep_top(score, 9) is score


@pytest.mark.parametrize("head", ["shared", "separate"])
def test_every_parameter_of_a_readout_is_used_and_thaws(head: str) -> None:
    """A frozen parameter has a gradient of 0, not none: data-parallel workers wait for it."""
    readout = build(head=head, freeze_steps=100)
    for step, trained in ((0, False), (99, False), (100, True)):
        readout.set_step(step)
        readout.zero_grad()
        logits_BTV, _ = added(readout, draw(B, T, D), draw(B, T, D, seed=1), tokens(), HEAD)
        logits_BTV.square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in readout.named_parameters()}
        assert gradients
        for name, gradient in gradients.items():
            assert gradient is not None, name
            assert bool(gradient.any()) == trained, name
