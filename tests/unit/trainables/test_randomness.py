from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.support.models.configs import KURAMOTO, small_config
from trainables.randomness import (
    Constant,
    Initializer,
    Normal,
    generator,
    initialise,
    seed_forward,
    start_as_torch,
    stream_seed,
)


def drawn(model: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    initialise(model, seed)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def test_stream_seed_depends_on_every_part_and_its_borders() -> None:
    seeds = [stream_seed(0), stream_seed(1), stream_seed(0, "a"), stream_seed(0, "a", "bc")]
    seeds += [stream_seed(0, "ab", "c"), stream_seed(0, "abc"), stream_seed(0, "bc", "a"), stream_seed(-1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_stream_seed_is_the_same_on_every_machine_and_day() -> None:
    assert stream_seed(0, "data") == 129162971855547414


def test_streams_of_one_replicate_differ_in_what_the_cpu_generator_takes_in() -> None:
    """Its low 32 bits: a collision is improbable at this size, so a weaker hash shows."""
    config = small_config(architecture=KURAMOTO | {"fidelity": "as_published"})
    parameters = dict(config.architecture.build(vocab_size=65, max_seq_len=16).named_parameters())
    steps = [str(step) for step in range(2001)]
    streams = [("init", name) for name in parameters]
    streams += [("data", step) for step in steps] + [("forward", step, "0") for step in steps]
    for seed in range(5):
        low = {stream_seed(seed, *names) % 2**32 for names in streams}
        assert len(low) == len(streams)


def test_cpu_generator_takes_in_32_bits() -> None:
    first, other = (torch.rand(3, generator=torch.Generator().manual_seed(s)) for s in (7, 7 + 2**32))
    assert torch.equal(first, other)


def test_generator_starts_at_the_stream() -> None:
    first, again = (torch.rand(3, generator=generator(0, "data", "5")) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, torch.rand(3, generator=generator(0, "data", "6")))


def test_equal_names_start_equal_whatever_else_the_model_holds() -> None:
    small = drawn(nn.Sequential(nn.Linear(4, 3)))
    large = drawn(nn.Sequential(nn.Linear(4, 3), nn.Embedding(7, 5), nn.LayerNorm(4)))
    assert torch.equal(small["0.weight"], large["0.weight"])
    assert not torch.equal(small["0.weight"], drawn(nn.Sequential(nn.Linear(4, 3)), seed=1)["0.weight"])


@pytest.mark.parametrize(
    "make", [lambda: nn.Linear(48, 90), lambda: nn.Conv1d(90, 90, 3, groups=90), lambda: nn.Conv1d(16, 90, 3)]
)
def test_layers_may_start_as_torch_draws_them(make: Callable[[], nn.Linear | nn.Conv1d]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours, theirs = make(), make()
    start_as_torch(ours)
    initialise(ours, 0)
    for own, drawn_by_torch in zip(ours.parameters(), theirs.parameters(), strict=True):
        one, other = own.detach(), drawn_by_torch.detach()
        assert float(one.std()) == pytest.approx(float(other.std()), rel=0.3)
        assert float(one.abs().max()) == pytest.approx(float(other.abs().max()), rel=0.1)
        assert abs(float(one.mean())) < 4 * float(one.std()) / one.numel() ** 0.5


def test_parameters_of_one_model_are_independent() -> None:
    model = drawn(nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 3)))
    assert not torch.equal(model["0.weight"], model["1.weight"])


def test_global_generator_is_neither_read_nor_moved() -> None:
    model = nn.Linear(4, 3)
    before = torch.random.get_rng_state()
    first = drawn(model)["weight"].clone()
    assert torch.equal(before, torch.random.get_rng_state())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(first, drawn(model)["weight"])


def test_defaults_are_those_of_gpt2() -> None:
    model = drawn(nn.Sequential(nn.Linear(300, 300), nn.Embedding(300, 300), nn.LayerNorm(5)))
    for name in ("0.weight", "1.weight"):
        assert float(model[name].std()) == pytest.approx(0.02, rel=0.02)
        assert abs(float(model[name].mean())) < 3e-4
    assert torch.equal(model["0.bias"], torch.zeros(300))
    assert torch.equal(model["2.weight"], torch.ones(5))
    assert torch.equal(model["2.bias"], torch.zeros(5))


def test_float64_starts_at_the_float32_draw() -> None:
    single, double = nn.Linear(4, 3), nn.Linear(4, 3).double()
    assert torch.equal(drawn(single)["weight"].double(), drawn(double)["weight"])


def test_own_rules_come_first() -> None:
    class Own(nn.Linear):
        def __init__(self) -> None:
            super().__init__(200, 200)
            self.scale = nn.Parameter(torch.empty(2))
            self.initializers: dict[str, Initializer] = {"weight": Normal(3.0), "scale": Constant(0.5)}

    own = drawn(Own())
    assert float(own["weight"].std()) == pytest.approx(3.0, rel=0.02)
    assert torch.equal(own["scale"], torch.full((2,), 0.5))
    assert torch.equal(own["bias"], torch.zeros(200))


def test_tied_parameter_is_drawn_once_under_its_first_name() -> None:
    tied = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    tied[1].weight = tied[0].weight
    initialise(tied, 0)
    alone = drawn(nn.Sequential(nn.Linear(4, 4, bias=False)))
    assert torch.equal(tied[1].weight, alone["0.weight"])


def test_parameter_without_a_rule_is_named() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Parameter(torch.zeros(2))

    with pytest.raises(ValueError, match=r"'1\.gate' has no initialiser.*Bare"):
        initialise(nn.Sequential(nn.Linear(2, 2), Bare()), 0)


def test_a_forward_pass_on_the_host_is_seeded_as_by_torch() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    seed_forward(torch.device("cpu"), 7)
    assert torch.equal(torch.rand(3), expected)
