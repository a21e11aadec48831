"""The probe that tells how much of a score is a look into the future."""

from __future__ import annotations

import math

import pytest
import torch

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.batch import Batch
from trainables.contract.tasks import BettingModel, UniformModel
from trainables.randomness import initialise
from trainables.registry import ARCHITECTURES
from trainables.training.probes import PROBE_BATCH, leak_probe, order_probes

VOCAB_SIZE = 8
CHANCE = math.log(VOCAB_SIZE)


def batch() -> Batch:
    """Return 4 sequences of 24 tokens: the probe then looks at no window's end, where nothing is left to see."""
    tokens_BT = torch.randint(VOCAB_SIZE, (4, 25), generator=torch.Generator().manual_seed(0))
    return Batch(tokens_BT[:, :-1], tokens_BT[:, 1:])


def test_a_model_that_reads_the_next_token_leaks_what_it_is_worth() -> None:
    found = leak_probe(BettingModel(VOCAB_SIZE, offset=1), batch())
    assert found["probe/loss_future_visible"] == pytest.approx(0.0, abs=1e-4)
    assert found["probe/loss_future_withheld"] == pytest.approx(CHANCE)
    assert found["probe/leak"] == pytest.approx(CHANCE, abs=1e-4)


def test_a_model_that_knows_nothing_leaks_nothing() -> None:
    found = leak_probe(UniformModel(VOCAB_SIZE), batch())
    assert found["probe/loss_future_visible"] == pytest.approx(CHANCE)
    assert found["probe/leak"] == 0.0


def trained_model(fidelity: str) -> LanguageModel:
    config = ARCHITECTURES.parse(
        {"name": "kuramoto", "fidelity": fidelity, "d_model": 16, "num_layers": 2, "num_heads": 2}
    )
    model = config.build(vocab_size=VOCAB_SIZE, max_seq_len=24)
    initialise(model, 0)
    return model.eval()


def many() -> Batch:
    """Return 150 sequences, of which one in three is scored at a position, and none at the first five."""
    draw = torch.Generator().manual_seed(1)
    tokens_BT = torch.randint(VOCAB_SIZE, (150, 25), generator=draw)
    targets_BT = tokens_BT[:, 1:].clone()
    targets_BT[torch.rand(targets_BT.shape, generator=draw) < 2 / 3] = -100
    targets_BT[:, :5] = -100
    return Batch(tokens_BT[:, :-1], targets_BT)


@pytest.mark.parametrize("fidelity", ["corrected", "as_published"])
def test_parts_measure_what_all_sequences_at_once_do(fidelity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = trained_model(fidelity), many()
    in_parts = leak_probe(model, batch) | order_probes(model, batch.inputs_BT)
    monkeypatch.setattr("trainables.training.probes.PROBE_BATCH", 150)
    at_once = leak_probe(model, batch) | model.probes(batch.inputs_BT)
    assert in_parts == pytest.approx(at_once, abs=1e-6)
    assert len(at_once) > 10


class Counting(LanguageModel):
    """Knows nothing, and remembers how many sequences it saw at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, tokens_BT: torch.Tensor) -> ModelOutput:
        self.seen.append(tokens_BT.shape[0])
        return ModelOutput(torch.zeros(*tokens_BT.shape, VOCAB_SIZE), torch.zeros(()))

    def probes(self, tokens_BT: torch.Tensor) -> dict[str, float]:
        self(tokens_BT)
        return {}


def test_no_forward_pass_has_more_sequences_than_scoring_has() -> None:
    model, batch = Counting(), many()
    leak_probe(model, batch)
    order_probes(model, batch.inputs_BT)
    assert max(model.seen) == PROBE_BATCH == 64
    assert model.seen[-3:] == [64, 64, 22]


def test_where_nothing_is_scored_nothing_is_probed() -> None:
    unscored = many()._replace(targets_BT=torch.full((150, 24), -100))
    with pytest.raises(ValueError, match="no position of the held-out sequences is scored"):
        leak_probe(UniformModel(VOCAB_SIZE), unscored)
