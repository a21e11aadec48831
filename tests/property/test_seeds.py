"""Every random stream depends on its seed and its names, and on nothing else."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.models.configs import KURAMOTO, small_config
from trainables.randomness import generator, initialise, stream_seed
from trainables.training.loop import Trainer
from trainables.training.numerics import Numerics

SEEDS = st.integers(min_value=-(2**63), max_value=2**63)
NAMES = st.lists(st.text(max_size=4), max_size=3)
STREAMS = st.tuples(SEEDS, NAMES)

TASK = small_config().task.build(None)
FAMILIES = (small_config(), small_config(architecture=KURAMOTO), small_config(architecture={"name": "mean_pool"}))


def draw(stream: tuple[int, list[str]]) -> torch.Tensor:
    seed, names = stream
    return torch.randn(3, generator=generator(seed, *names))


@given(STREAMS, STREAMS)
def test_streams_are_equal_where_seed_and_names_are_and_only_there(one, other) -> None:
    equal = stream_seed(one[0], *one[1]) == stream_seed(other[0], *other[1])
    assert equal == (one == other)


@given(STREAMS, st.lists(STREAMS, max_size=3))
def test_a_stream_does_not_know_what_was_drawn_before_it(stream, before) -> None:
    expected = draw(stream)
    for earlier in before:
        draw(earlier)
    assert torch.equal(draw(stream), expected)


@settings(max_examples=20)
@given(SEEDS, st.permutations(range(4)), st.sets(st.integers(0, 3)))
def test_a_parameter_s_start_depends_on_no_other_parameter(seed, order, present) -> None:
    """In whatever order modules are registered, and whichever of them are there."""
    layers = {str(index): nn.Linear(2, 3) for index in range(4)}
    whole = nn.ModuleDict(layers)
    initialise(whole, seed)
    expected = {name: parameter.detach().clone() for name, parameter in whole.named_parameters()}
    some = nn.ModuleDict({str(index): nn.Linear(2, 3) for index in order if index in present})
    initialise(some, seed)
    for name, parameter in some.named_parameters():
        assert torch.equal(parameter, expected[name]), name


@settings(max_examples=15)
@given(st.integers(0, 10), st.lists(st.sampled_from(FAMILIES), min_size=2, max_size=3))
def test_data_order_is_of_the_seed_and_the_step_whatever_is_trained_in_whatever_order(seed, families) -> None:
    """So seeds are paired across arms, and no result depends on which trial ended first."""
    orders = []
    for config in families:
        trainer = Trainer(config, seed, TASK, Numerics())
        seen: list[torch.Tensor] = []
        trainer.model.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        for _ in range(2):
            trainer._train_one_step()
        orders.append(seen)
    for other in orders[1:]:
        assert all(torch.equal(a, b) for a, b in zip(orders[0], other, strict=True))
