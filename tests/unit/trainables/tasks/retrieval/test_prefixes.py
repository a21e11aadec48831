"""What prompts share is read once, and nothing but the time shows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.contract.tasks import TwoTokenModel, score
from trainables.randomness import initialise
from trainables.registry import ARCHITECTURES
from trainables.tasks.generation import Continuation
from trainables.tasks.niah import NiahConfig
from trainables.tasks.retrieval.prefixes import LEAST_SHARED, read_blocks

CPU = torch.device("cpu")
VOCAB_SIZE, LONGEST = 11, 120


def model_of(name: str, vocab_size: int = VOCAB_SIZE, longest: int = LONGEST) -> LanguageModel:
    sizes = {"name": name, "d_model": 16, "num_layers": 2, "num_heads": 2}
    model: LanguageModel = ARCHITECTURES.parse(sizes).build(vocab_size=vocab_size, max_seq_len=longest)
    initialise(model, 0)
    return model.double().eval()


GRU = model_of("gru")


class Counting(LanguageModel):
    """Counts the tokens that a model reads."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model, self.num_read, self.widest = model, 0, 0

    def stream(self, tokens_BT: Tensor, state: Any = None) -> tuple[Tensor, Any] | None:
        self.num_read += tokens_BT.numel()
        self.widest = max(self.widest, tokens_BT.numel())
        return self.model.stream(tokens_BT, state)


def tokens(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(seed))


def with_needles(haystack_T: Tensor, places: list[int], rows: int = 1) -> list[Tensor]:
    """Return a block for each place, whose rows differ in the needle alone."""
    needles = [tokens(rows, 5, seed=place + 1) for place in places]
    same_BT = haystack_T.expand(rows, -1)
    return [
        torch.cat((same_BT[:, :place], needle, same_BT[:, place:]), 1)
        for place, needle in zip(places, needles, strict=True)
    ]


@torch.no_grad()
def read(model: LanguageModel, blocks: list[Tensor], pass_tokens: int = 10_000) -> dict[int, Tensor]:
    return {
        place: logits_BV for place, logits_BV, _ in read_blocks(model, blocks, pass_tokens=pass_tokens, device=CPU)
    }


@pytest.mark.parametrize("name", ["transformer", "gru", "tpi", "kuramoto", "diagonal_ssm", "echo"])
@pytest.mark.parametrize("rows", [1, 3])
def test_shared_beginnings_change_no_logit(name: str, rows: int) -> None:
    model = model_of(name)
    blocks = with_needles(tokens(80), [0, 20, 40, 41, 80], rows)
    found = read(model, blocks, pass_tokens=37)
    with torch.no_grad():
        for place, block_BT in enumerate(blocks):
            torch.testing.assert_close(found[place], model(block_BT).logits_BTV[:, -1], rtol=1e-9, atol=1e-10)


def test_a_haystack_is_read_once() -> None:
    model = Counting(model_of("transformer"))
    places = [0, 30, 60, 90]
    blocks = with_needles(tokens(90), places)
    read(model, blocks)
    rest = sum(block_BT.shape[1] - place for block_BT, place in zip(blocks, places, strict=True))
    # Random needles may begin like the haystack, so a few tokens are shared beyond their places.
    assert 90 + rest - 20 <= model.num_read <= 90 + rest < sum(block.numel() for block in blocks)


def test_a_forecast_counts_what_is_read() -> None:
    given = {"lengths": [512, 1024], "depths": [0.1, 0.5, 0.9], "val_items": 3, "context_length": 512}
    task = NiahConfig.model_validate(given).build(None)
    model = Counting(model_of("gru", task.vocab_size, task.max_length))
    score(task, model, batch_size=1)
    assert task.scored_tokens == pytest.approx(model.num_read, rel=0.03)
    assert task.scored_tokens < 0.8 * sum(len(item) for item in task.items["val"])


def test_a_pass_has_no_more_tokens_than_allowed() -> None:
    model = Counting(model_of("gru"))
    read(model, with_needles(tokens(80), [10, 70], rows=2), pass_tokens=24)
    assert model.widest == 24


def test_a_model_without_a_state_reads_every_block() -> None:
    model = TwoTokenModel(VOCAB_SIZE).eval()
    blocks = with_needles(tokens(40), [5, 30])
    found = read(model, blocks)
    for place, block_BT in enumerate(blocks):
        assert torch.equal(found[place], model(block_BT).logits_BTV[:, -1])


@given(
    cuts=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    seeds=st.lists(st.integers(0, 3), min_size=1, max_size=6),
)
@settings(max_examples=15, deadline=None)
def test_any_prompts_are_answered_as_alone(cuts: list[int], seeds: list[int]) -> None:
    """Prompts that are equal, that begin alike, and that end within another."""
    trunk_T = tokens(61)
    blocks = [
        torch.cat((trunk_T[:cut], tokens(1 + LEAST_SHARED * seed, seed=seed + 7)))[None]
        for cut, seed in zip(cuts, seeds, strict=False)
    ]
    model = GRU
    found = read(model, blocks)
    assert sorted(found) == list(range(len(blocks)))
    with torch.no_grad():
        for place, block_BT in enumerate(blocks):
            torch.testing.assert_close(found[place], model(block_BT).logits_BTV[:, -1], rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_a_fork_goes_its_own_way() -> None:
    model, prompt_BT = model_of("transformer"), tokens(2, 20)
    trunk = Continuation(model)
    trunk.logits(prompt_BT)
    one, other = (torch.cat((prompt_BT, tokens(2, 3, seed=seed)), 1) for seed in (1, 2))
    fork = trunk.fork()
    fork.logits(one)
    assert fork.model is trunk.model
    for continuation, longer_BT in ((trunk, other), (fork, torch.cat((one, tokens(2, 2)), 1))):
        expected_BV = model(longer_BT).logits_BTV[:, -1]
        torch.testing.assert_close(continuation.logits(longer_BT), expected_BV, rtol=1e-9, atol=1e-10)
