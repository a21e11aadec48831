"""The recall task: what is asked, what a look-up and what guesses score, and where the examples differ."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.batch import IGNORED
from trainables.config.training import BudgetConfig
from trainables.config.trial import TrialConfig, config_id
from trainables.contract.finding import ContractError
from trainables.contract.tasks import CHECKS, BettingModel, UniformModel, score
from trainables.tasks.recall.config import AS_PUBLISHED, RecallConfig
from trainables.tasks.recall.examples import draw
from trainables.tasks.recall.layout import BLANK, MARKER
from trainables.tasks.recall.task import RecallTask, choice_hits

SMALL: dict[str, Any] = {
    "vocab_size": 32,
    "num_pairs": 4,
    "context_length": 40,
    "num_val": 100,
    "num_test": 20,
}


def config(**fields: Any) -> RecallConfig:
    return RecallConfig.model_validate({**SMALL, **fields})


def recall(**fields: Any) -> RecallTask:
    return config(**fields).build(None)


class LookUp(UniformModel):
    """Finds the pair of the token it reads, if it stands `reach` tokens back or less; else it guesses."""

    def __init__(self, task: RecallTask, *, reach: int | None = None) -> None:
        super().__init__(task.vocab_size)
        self.reach = reach

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        for row, tokens in enumerate(tokens_BT.tolist()):
            for place, token in enumerate(tokens):
                first = tokens.index(token)
                if first < place and (self.reach is None or place - first <= self.reach):
                    output.logits_BTV[row, place, tokens[first + 1]] = 30.0
        return output


class AmongShown(UniformModel):
    """Knows which values the pairs have shown, and nothing else; `spent` rules out those answered already."""

    def __init__(self, task: RecallTask, *, spent: bool = False) -> None:
        super().__init__(task.vocab_size)
        self.task, self.spent = task, spent

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        logits_BTV = torch.full((*tokens_BT.shape, self.vocab_size), -100.0)
        num_shown = 2 * self.task.config.num_pairs
        for row, tokens in enumerate(tokens_BT.tolist()):
            left = set(tokens[1:num_shown:2])
            for place in range(num_shown, len(tokens)):
                left -= {tokens[place]} if self.spent else set()
                logits_BTV[row, place, list(left)] = 0.0
        return ModelOutput(logits_BTV, torch.zeros(()))


class AmongValues(UniformModel):
    """Knows which tokens are values."""

    def __init__(self, task: RecallTask) -> None:
        super().__init__(task.vocab_size)
        self.first_value = task.layout.first_value

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        output.logits_BTV[..., : self.first_value] = -100.0
        return output


# --- what is scored ---


@pytest.mark.parametrize(
    "fields",
    [
        {"scored_pairs": [1, 3]},
        {"answers": "given", "filler": "other_keys"},
        {"fidelity": "as_published", "unique_values": True, "shared_pool": False},
        {"num_queries": 2},
    ],
)
def test_a_model_that_looks_keys_up_recalls_every_value(fields: dict[str, Any]) -> None:
    task = recall(**fields)
    for split in task.splits:
        found = score(task, LookUp(task), split)
        for name, value in found.items():
            assert value == pytest.approx(0.0 if "nats" in name else 1.0, abs=1e-6), name


@pytest.mark.parametrize("num_pairs", [1, 4, 7])
def test_a_guess_among_the_values_shown_scores_one_in_k_exactly(num_pairs: int) -> None:
    task = recall(num_pairs=num_pairs)
    found = score(task, AmongShown(task))
    for name, value in task.references()["guess a value shown"].items():
        if name.startswith("val/"):
            assert found[name] == pytest.approx(value, rel=1e-6), name
    assert found["val/recall_accuracy"] == pytest.approx(1 / num_pairs, rel=1e-9)
    assert found["val/recall_choice_accuracy"] == pytest.approx(1 / num_pairs, rel=1e-9)
    assert found["val/recall_exact_match"] == pytest.approx(num_pairs**-num_pairs, rel=1e-9)


def test_elimination_pays_only_where_answers_are_given() -> None:
    given, withheld = recall(answers="given"), recall()
    found = score(given, AmongShown(given, spent=True))
    expected = given.references()["guess a value not yet given"]
    assert expected["val/recall_accuracy"] == pytest.approx((1 / 4 + 1 / 3 + 1 / 2 + 1) / 4)
    for name, value in expected.items():
        if name.startswith("val/"):
            assert found[name] == pytest.approx(value, rel=1e-6), name
    assert score(withheld, AmongShown(withheld, spent=True))["val/recall_accuracy"] == pytest.approx(1 / 4)
    for other in (withheld, recall(answers="given", repeated_queries=True)):
        assert "guess a value not yet given" not in other.references()


@pytest.mark.parametrize(
    ("fields", "num_values"), [({"scored_pairs": [2]}, 16), ({"fidelity": "as_published"}, 28)]
)
def test_a_guess_among_all_values_scores_its_reference(fields: dict[str, Any], num_values: int) -> None:
    task = recall(**fields)
    found = score(task, AmongValues(task))
    for name, value in task.references()["guess a value"].items():
        if name.startswith("val/"):
            assert found[name] == pytest.approx(value, rel=1e-6), name
    assert found["val/recall_accuracy"] == pytest.approx(1 / num_values)


def test_values_that_repeat_are_guessed_more_often_than_one_in_k() -> None:
    task = recall(fidelity="as_published")
    shown = task.references()["guess a value shown"]["val/recall_accuracy"]
    assert shown == pytest.approx((1 + 3 / 28) / 4, rel=0.05), "itself, and each of 3 others in 1 of 28 cases"
    assert score(task, UniformModel(32))["val/recall_choice_accuracy"] == pytest.approx(shown, rel=1e-9)


@pytest.mark.parametrize("reach", [9, 16, 30])
def test_a_model_of_short_reach_recalls_what_is_within_it(reach: int) -> None:
    task = recall()
    found = score(task, LookUp(task, reach=reach))
    distance_M = task.examples["val"].distance_NQ.flatten()
    expected_M = (distance_M <= reach).double() + (distance_M > reach).double() / 32
    assert found["val/recall_accuracy"] == pytest.approx(float(expected_M.mean()))
    ordered_M = expected_M[distance_M.argsort(stable=True)].tensor_split(4)
    quarters = [found[f"val/recall_accuracy_distance_{quarter}"] for quarter in (1, 2, 3, 4)]
    assert quarters == pytest.approx([float(part.mean()) for part in ordered_M])
    assert quarters == sorted(quarters, reverse=True)


def test_an_echo_recalls_nothing() -> None:
    task = recall(answers="given")
    found = score(task, BettingModel(task.vocab_size, offset=0))
    assert found["val/recall_accuracy"] == found["val/recall_exact_match"] == 0.0
    assert found["val/recall_choice_accuracy"] == pytest.approx(1 / 4), "no value is preferred to the others"


def test_a_choice_shares_ties_and_passes_nan_on() -> None:
    logits = torch.tensor([[[0.0, 2.0, 2.0, 9.0], [math.nan, 1.0, 3.0, 0.0]]])
    hits = choice_hits(logits, torch.tensor([[1, 2]]), torch.tensor([[1, 2]]))
    assert hits.tolist() == [[0.5, 1.0]]
    twice = choice_hits(logits, torch.tensor([[1, 0]]), torch.tensor([[1, 1, 2, 0]]))
    assert twice[0, 0] == pytest.approx(2 / 3), "shown twice, it has two chances of three"
    assert math.isnan(twice[0, 1])


def test_rates_say_how_many_examples_they_are_over() -> None:
    items = {metric.name: metric.items for metric in recall(scored_pairs=[2]).metrics}
    assert items["val/recall_accuracy"] == items["val/recall_accuracy_pairs_2"] == 100
    assert items["test/recall_exact_match"] == 20
    quarter = items["val/recall_accuracy_distance_1"]
    assert quarter is not None and 25 <= quarter <= 100, "100 of 400 queries, of no fewer than 25 examples"
    assert items["val/recall_nats_per_token"] is items["val_subset/recall_accuracy"] is None


# --- examples ---


@pytest.mark.parametrize(
    ("fields", "width"),
    [({}, 2), ({"answers": "given"}, 2), ({"marker": True}, 2), ({"marker": True, "answers": "given"}, 3)],
)
def test_examples_are_what_the_layout_says(fields: dict[str, Any], width: int) -> None:
    task = recall(num_val=200, num_queries=3, **fields)
    layout, examples = task.layout, task.examples["val"]
    assert (layout.slot_width, layout.num_slots) == (width, 32 // width)
    assert (layout.first_key, layout.first_value, layout.num_values) == (1 + layout.marker, 16, 16)
    for tokens, targets, shown, distances in zip(
        *(tensor.tolist() for tensor in (examples.tokens_NT, examples.targets_NT, examples.values_NK)),
        examples.distance_NQ.tolist(),
        strict=True,
    ):
        pairs = dict(zip(tokens[0:8:2], tokens[1:8:2], strict=True))
        assert len(pairs) == len(set(pairs.values())) == 4
        assert list(pairs.values()) == shown
        queries = [place for place, target in enumerate(targets) if target != IGNORED]
        assert len({tokens[place] for place in queries}) == 3
        assert [targets[place] for place in queries] == [pairs[tokens[place]] for place in queries]
        assert [place - tokens.index(tokens[place]) for place in queries] == distances
        told = {place + 1: targets[place] for place in queries} if layout.answers_given else {}
        asked = {place - 1: MARKER for place in queries} if layout.marker else {}
        for place, token in enumerate(tokens[8:], start=8):
            if place not in queries:
                assert token == {**told, **asked}.get(place, BLANK)


def test_a_shared_pool_and_repeated_queries_can_be_had_each_alone() -> None:
    pool = recall(shared_pool=True, num_val=500).examples["val"]
    keys_NP, values_NP = pool.tokens_NT[:, 0:8:2], pool.values_NK
    for drawn in (keys_NP, values_NP):
        assert drawn.unique().tolist() == list(range(4, 32))
    assert 0.3 < float((values_NP[:, :, None] == keys_NP[:, None, :]).any(2).any(1).double().mean()) < 0.6
    for repeated in (False, True):
        examples = recall(repeated_queries=repeated, num_val=500).examples["val"]
        asked_NQ = examples.tokens_NT[examples.targets_NT != IGNORED].view(500, 4).sort(1).values
        has_twice_N = (asked_NQ[:, 1:] == asked_NQ[:, :-1]).any(1)
        assert float(has_twice_N.double().mean()) == pytest.approx((1 - 24 / 256) * repeated, abs=0.04)


def test_filler_of_other_keys_is_never_a_key_of_the_example() -> None:
    task = recall(filler="other_keys")
    tokens_NT, targets_NT = task.examples["val"].tokens_NT, task.examples["val"].targets_NT
    for tokens, targets in zip(tokens_NT.tolist(), targets_NT.tolist(), strict=True):
        filler = {token for token, target in zip(tokens[8:], targets[8:], strict=True) if target == IGNORED}
        assert filler <= set(range(1, 16)) - set(tokens[0:8:2])
        assert len(filler) > 3


def test_gaps_follow_the_power_law() -> None:
    def share_in_first_slot(power: float) -> float:
        layout = config(power=power, num_queries=1).layout(4)
        examples = draw(layout, 4000, torch.Generator().manual_seed(0))
        return float((examples.targets_NT[:, 8] != IGNORED).double().mean())

    weights = torch.arange(1, 17, dtype=torch.float64) ** -0.99
    assert share_in_first_slot(0.01) == pytest.approx(float(1 / weights.sum()), abs=0.025)
    assert share_in_first_slot(1.0) == pytest.approx(1 / 16, abs=0.015)


def test_batches_repeat_under_a_seed_and_are_fresh_or_fixed() -> None:
    def rows(task: RecallTask, seed: int) -> list[list[int]]:
        rows: list[list[int]] = task.batch(64, torch.Generator().manual_seed(seed)).inputs_BT.tolist()
        return rows

    fresh, fixed = recall(), recall(num_train=5)
    assert rows(fresh, 1) == rows(recall(), 1) != rows(fresh, 2)
    assert len({tuple(row) for row in rows(fresh, 1)}) == 64
    assert len({tuple(row) for seed in (1, 2) for row in rows(fixed, seed)}) == 5
    assert not {tuple(row) for row in rows(fixed, 1)} & {
        tuple(row) for row in fixed.examples["val"].tokens_NT.tolist()
    }
    assert recall(data_seed=1).data_hash != recall().data_hash == recall().data_hash
    assert len({fresh.data_hash, fixed.data_hash, recall(answers="given").data_hash}) == 3


def test_curriculum_has_fewer_pairs_and_changes_nothing_that_is_scored() -> None:
    task = recall(curriculum=[1, 2], curriculum_steps_per_stage=10)
    draw = torch.Generator().manual_seed(0)
    batches = {step: task.at(step).batch(8, draw) for step in (0, 9, 10, 19, 20, 10**6)}
    counts = [int((batch.targets_BT != IGNORED).sum()) // 8 for batch in batches.values()]
    assert counts == [1, 1, 2, 2, 4, 4]
    assert all(batch.inputs_BT.shape == (8, 40) for batch in batches.values())
    assert score(task.at(0), LookUp(task, reach=9)) == score(task, LookUp(task, reach=9))  # type: ignore[arg-type]


# --- the contract tells withheld answers from given ones ---


class Mistaken(RecallConfig):
    """Says the opposite of what its sequences do."""

    @property
    def withholds_answers(self) -> bool:
        return not super().withholds_answers


@pytest.mark.parametrize(
    ("answers", "contract_name", "message"),
    [
        ("withheld", "batches", "targets are not the next inputs"),
        ("withheld", "echo", "seeing the next token does not pay in training"),
        ("given", "echo", "seeing the next token pays in training"),
    ],
)
def test_a_task_cannot_say_the_opposite_of_what_it_does(answers: str, contract_name: str, message: str) -> None:
    mistaken = Mistaken.model_validate({**SMALL, "answers": answers})
    with pytest.raises(ContractError, match=message):
        CHECKS[contract_name](mistaken, mistaken.build(None))


# --- configuration ---


def test_fidelity_only_sets_defaults() -> None:
    published = config(fidelity="as_published")
    assert {name: getattr(published, name) for name in AS_PUBLISHED} == AS_PUBLISHED
    assert all(getattr(config(), name) != value for name, value in AS_PUBLISHED.items())
    by_hand = config(**AS_PUBLISHED)

    def identity(task: RecallConfig) -> str:
        budget = BudgetConfig(steps=1, batch_size=1, report_every=1)
        trial = TrialConfig.model_validate(
            {"architecture": {"name": "transformer"}, "task": task, "budget": budget}
        )
        return config_id(trial, task.build(None).data_hash)

    assert identity(by_hand) == identity(published) != identity(config())
    assert identity(config(curriculum_steps_per_stage=7, num_queries=4)) == identity(config())


def test_published_sizes_fill_the_sequence() -> None:
    sizes = {"vocab_size": 50, "num_pairs": 20, "num_queries": 5, "context_length": 50}
    layout = config(fidelity="as_published", **sizes).layout(20)
    assert (layout.num_slots, layout.slot_width, layout.num_keys, layout.num_values) == (5, 2, 46, 46)
    for length, num_pairs in ((64, 4), (128, 8), (256, 16), (512, 64)):
        literature = config(vocab_size=8192, context_length=length, num_pairs=num_pairs).layout(num_pairs)
        assert (literature.num_keys, literature.num_values) == (4095, 4096)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context_length": 15}, "context_length=15 must be at least 16: 4 pairs of 2 tokens, and 4 queries of 2"),
        ({"num_queries": 5}, "num_queries=5 must be at most num_pairs=4"),
        ({"vocab_size": 7}, "has 2 keys and 4 values; num_pairs=4 needs at least 4 and 4"),
        ({"vocab_size": 10, "filler": "other_keys"}, "has 4 keys and 5 values; num_pairs=4 needs at least 5 and 4"),
        ({"curriculum": [2, 1]}, "must ascend from 1 or more and stay below num_pairs=4"),
        ({"scored_pairs": [4]}, "must ascend from 1 or more and stay below num_pairs=4"),
        ({"num_test": 5}, "num_test=5 must be 0 or at least 20"),
        ({"power": 0.0}, "greater than 0"),
    ],
)
def test_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**fields)


def test_a_diverged_model_has_no_score() -> None:
    class Broken(LanguageModel):
        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            return ModelOutput(torch.full((*tokens_BT.shape, 32), math.nan), torch.zeros(()))

    assert all(math.isnan(value) for value in score(recall(scored_pairs=[2]), Broken()).values())
