"""The needle task: what is asked, what counts as found, and what the published score rewards instead."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.models.configs import small_needle
from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.batch import Batch
from trainables.contract.tasks import BettingModel, TwoTokenModel, UniformModel, score
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.needle.config import NeedleConfig
from trainables.tasks.needle.layout import EOS, MARKER
from trainables.tasks.needle.task import NeedleTask
from trainables.tasks.scoring import at_least, generated_hits

PUBLISHED_SIZES: dict[str, Any] = {
    "fidelity": "as_published",
    "vocab_size": 32000,
    "num_reserved": 100,
    "context_chunks": 4,
    "chunk_length": 128,
    "needle_length": 16,
}


def needle(**fields: Any) -> NeedleTask:
    return small_needle(**fields).build(None)


class LookUp(LanguageModel):
    """Finds the marker that stands `reach` tokens back or less, and copies what follows it; else it guesses."""

    def __init__(self, vocab_size: int, *, reach: int | None = None) -> None:
        super().__init__()
        self.vocab_size, self.reach = vocab_size, reach

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        logits_BTV = torch.zeros(*tokens_BT.shape, self.vocab_size)
        for row, tokens in enumerate(tokens_BT.tolist()):
            first, *others = [place for place, token in enumerate(tokens) if token == MARKER]
            for query in others:
                if self.reach is not None and query - first > self.reach:
                    continue
                for offset in range(len(tokens) - query):
                    logits_BTV[row, query + offset, tokens[first + 1 + offset]] = 30.0
        return ModelOutput(logits_BTV, torch.zeros(()))


class Recorder(UniformModel):
    """Bets on one token, and remembers every sequence that it is shown."""

    def __init__(self, vocab_size: int, token: int) -> None:
        super().__init__(vocab_size)
        self.token = token
        self.seen: list[Tensor] = []

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        self.seen.append(tokens_BT)
        output = super().forward(tokens_BT)
        output.logits_BTV[..., self.token] = 1.0
        return output


# --- corrected: retrieval is scored ---


def test_a_model_that_looks_the_marker_up_finds_every_needle() -> None:
    task = needle()
    for split in task.splits:
        found = score(task, LookUp(task.vocab_size), split)
        for name in ("needle_exact_match", "needle_token_accuracy", "needle_top5_accuracy"):
            assert found[f"{split}/{name}"] == 1.0
        assert found[f"{split}/needle_nats_per_token"] < 1e-6
        assert found[f"{split}/echo_rate"] == pytest.approx(1 / 32), "it does not repeat what it reads"
        assert found[f"{split}/unshifted_perplexity"] > 1e6


def test_a_model_that_repeats_its_input_finds_none() -> None:
    task = needle()
    found = score(task, BettingModel(task.vocab_size, offset=0))
    assert found["val/needle_exact_match"] == found["val/needle_token_accuracy"] == 0.0
    assert found["val/echo_rate"] == found["val/echo_rate_first50"] == found["val/partial_success"] == 1.0
    assert found["val/unshifted_perplexity"] == pytest.approx(1.0, abs=1e-3)


def test_the_answer_is_never_in_the_input_of_what_generates_it() -> None:
    """A model that sees one token ahead reads the whole answer if it is there."""
    task = needle()
    found = score(task, BettingModel(task.vocab_size, offset=1))
    assert found["val/needle_exact_match"] == pytest.approx(32.0**-3)
    assert found["val/needle_nats_per_token"] < 3.0, "with the answer in the input it does pay"


def test_generation_goes_on_from_its_own_tokens() -> None:
    task = needle(num_val=20)
    recorder = Recorder(task.vocab_size, token=9)
    score(task, recorder)
    whole, *prefixes = recorder.seen
    start = task.layout.answer_start
    assert torch.equal(whole, task.examples["val"].tokens_NT)
    assert [prefix.shape[1] for prefix in prefixes] == [start, start + 1, start + 2]
    for prefix in prefixes:
        assert torch.equal(prefix[:, :start], whole[:, :start])
        assert (prefix[:, start:] == 9).all()


@pytest.mark.parametrize("reach", [12, 20, 30])
def test_a_model_of_short_reach_finds_the_needles_within_it(reach: int) -> None:
    task = needle()
    found = score(task, LookUp(task.vocab_size, reach=reach))
    needle_start_N = task.examples["val"].needle_start_N
    distance_N = task.layout.answer_start - needle_start_N  # from the marker at the end to the needle's
    within_N = (distance_N <= reach).double()
    expected_N = within_N + (1 - within_N) * 32.0**-3
    assert found["val/needle_exact_match"] == pytest.approx(float(expected_N.mean()))
    depth_N = 5 * (needle_start_N - 1) // task.layout.num_positions
    for depth in range(5):
        expected = float(expected_N[depth_N == depth].mean())
        assert found[f"val/needle_exact_match_depth_{depth + 1}"] == pytest.approx(expected)
    assert found["val/needle_exact_match_depth_1"] < 1e-4


def test_generation_equals_a_plain_loop() -> None:
    """A model without ties, so that no hit is a share."""
    task = needle(num_val=20)
    model = TwoTokenModel(task.vocab_size).eval()
    tokens_NT, start = task.examples["val"].tokens_NT, task.layout.answer_start
    hits_NL, in_top_NL = generated_hits(model, tokens_NT[:, :start], tokens_NT[:, start:], 5)
    for row, tokens in enumerate(tokens_NT.tolist()):
        given, answer = tokens[:start], tokens[start:]
        for place, wanted in enumerate(answer):
            logits = model(torch.tensor([given])).logits_BTV[0, -1]
            ranked = logits.argsort(descending=True).tolist()
            assert hits_NL[row, place] == (ranked[0] == wanted)
            assert in_top_NL[row, place] == (wanted in ranked[:5])
            given = [*given, ranked[0]]


def test_examples_are_what_the_layout_says() -> None:
    task = needle(num_val=500)
    layout, examples = task.layout, task.examples["val"]
    tokens_NT, needle_start_N = examples.tokens_NT, examples.needle_start_N
    assert (layout.length, layout.answer_start, task.context_length) == (44, 41, 44)
    for tokens, place in zip(tokens_NT.tolist(), needle_start_N.tolist(), strict=True):
        assert [at for at, token in enumerate(tokens) if token == MARKER] == [place - 1, 40]
        assert tokens[place : place + 3] == tokens[41:]
        assert all(4 <= token < 28 for token in tokens if token != MARKER)
    assert (int(needle_start_N.min()), int(needle_start_N.max())) == (1, 37)
    assert torch.bincount(layout.depth_bins(needle_start_N, 5)).tolist() == pytest.approx([100] * 5, abs=10)
    assert NeedleConfig().num_val == NeedleConfig().num_test == 1000


def test_training_scores_the_answer_or_everything() -> None:
    draw = torch.Generator().manual_seed(1)
    answer = needle().batch(7, draw)
    assert answer.echo_BT is None
    assert (answer.targets_BT != -100).nonzero()[:, 1].tolist() == [40, 41, 42] * 7
    assert torch.equal(answer.targets_BT[:, 40:43], answer.inputs_BT[:, 41:])
    everything = needle(scored="all").batch(7, draw)
    assert torch.equal(everything.targets_BT[:, :-1], everything.inputs_BT[:, 1:])
    assert (everything.targets_BT[:, -1] == -100).all()


# --- as published: an echo is scored ---


def test_published_figures_of_the_layout() -> None:
    layout = NeedleConfig.model_validate(PUBLISHED_SIZES).layout(128)
    assert (layout.length, layout.answer_start) == (534, 518)
    assert layout.query_tokens == (EOS, 100, 101, 102, 103, 104)
    assert (layout.first_position, layout.num_positions) == (128, 241), "128 to 368"
    assert (layout.first_symbol, layout.num_symbols) == (100, 31800)


@pytest.mark.parametrize("query", [True, False])
def test_the_published_hit_rate_of_an_echo_is_one(query: bool) -> None:
    task = needle(fidelity="as_published", query=query, scored="answer" if query else "all")
    assert task.primary_metric == "val/echo_rate"
    found = score(task, BettingModel(task.vocab_size, offset=0))
    assert found["val/echo_rate"] == found["val/echo_rate_top5"] == found["val/partial_success"] == 1.0
    assert found["val/unshifted_perplexity"] == pytest.approx(1.0, abs=1e-3)
    assert ("val/needle_exact_match" in found) == query
    if query:
        assert found["val/needle_exact_match"] < 0.01
        assert found["val/needle_nats_per_token"] > 10.0, "the answer is not what was read"


def test_published_loss_is_the_shifted_one_and_half_the_unshifted_one() -> None:
    task = needle(fidelity="as_published")
    batch = task.batch(6, torch.Generator().manual_seed(0))
    logits_BTV = TwoTokenModel(task.vocab_size)(batch.inputs_BT).logits_BTV
    log_p_BTV = logits_BTV.log_softmax(-1)
    start, answer_BL1 = task.layout.answer_start, batch.inputs_BT[:, task.layout.answer_start :, None]
    shifted = -log_p_BTV[:, start - 1 : -1].gather(2, answer_BL1).mean()
    unshifted = -log_p_BTV[:, start:].gather(2, answer_BL1).mean()
    assert float(task.loss(logits_BTV, batch)) == pytest.approx(float(shifted + 0.5 * unshifted))
    assert float(task.loss(logits_BTV, batch._replace(echo_BT=None))) == pytest.approx(float(shifted))


def test_unshifted_perplexity_is_that_of_what_is_read() -> None:
    task = needle(fidelity="as_published")
    model, tokens_NT = TwoTokenModel(task.vocab_size).eval(), task.examples["val"].tokens_NT
    start = task.layout.answer_start
    log_p_NLV = model(tokens_NT).logits_BTV.double().log_softmax(-1)[:, start:]
    expected = math.exp(-log_p_NLV.gather(2, tokens_NT[:, start:, None]).mean())
    assert score(task, model)["val/unshifted_perplexity"] == pytest.approx(expected, rel=1e-5)


def test_partial_success_and_the_first_fifty() -> None:
    class Fifth(BettingModel):
        """Echoes only in every other example, and there only the first two tokens of a needle."""

        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            output = super().forward(tokens_BT)
            output.logits_BTV[::2] = 0.0
            output.logits_BTV[:, ::2] = 0.0
            return output

    task = needle(fidelity="as_published", needle_length=4)
    found = score(task, Fifth(task.vocab_size, offset=0), batch_size=100)
    echoed = 0.5 * (0.5 + 0.5 / 32)  # of half the examples, two of four tokens, the others by chance
    chance = float(at_least(torch.full((1, 4), 1 / 32), 2))
    assert found["val/echo_rate"] == pytest.approx(echoed + 0.5 / 32)
    assert found["val/echo_rate_first50"] == pytest.approx(found["val/echo_rate"])
    assert found["val/partial_success"] == pytest.approx(0.5 + 0.5 * chance)


def test_without_a_marker_the_needle_can_only_be_guessed() -> None:
    """Copying from one of the places that a needle can have is the best that is left: 1 of 14 here."""

    class Copies(LanguageModel):
        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            logits_BTV = torch.zeros(*tokens_BT.shape, 32)
            copied_B = tokens_BT[:, 15 + tokens_BT.shape[1] - task.layout.answer_start]
            logits_BTV[:, -1].scatter_(1, copied_B[:, None], 1.0)
            return ModelOutput(logits_BTV, torch.zeros(()))

    task = needle(fidelity="as_published", num_val=280, needle_length=7)
    assert task.layout.num_positions == 14
    bound = task.references()["guess a place"]["val/needle_exact_match"]
    assert bound == pytest.approx(1 / 14, rel=1e-3)
    assert score(task, Copies())["val/needle_exact_match"] == pytest.approx(bound, rel=0.05)


# --- data and curriculum ---


def rows(tokens_NT: Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in tokens_NT.tolist()}


def test_batches_repeat_under_a_seed_and_are_fresh_or_fixed() -> None:
    def draws(task: NeedleTask, seed: int) -> Batch:
        return task.batch(64, torch.Generator().manual_seed(seed))

    fresh, fixed = needle(), needle(num_train=30)
    for task in (fresh, fixed):
        assert torch.equal(draws(task, 1).inputs_BT, draws(needle(num_train=task.config.num_train), 1).inputs_BT)
        assert not torch.equal(draws(task, 1).inputs_BT, draws(task, 2).inputs_BT)
    assert len(rows(draws(fresh, 1).inputs_BT)) == 64
    seen = set().union(*(rows(draws(fixed, seed).inputs_BT) for seed in range(20)))
    assert len(seen) == 30
    assert not seen & rows(fixed.examples["val"].tokens_NT)
    assert needle(data_seed=1).data_hash != needle().data_hash == needle().data_hash


def test_curriculum_lengthens_what_is_trained_on_and_nothing_else() -> None:
    task = needle(curriculum=[4, 7], curriculum_steps_per_stage=50)
    draw = torch.Generator().manual_seed(0)
    lengths = [task.at(step).batch(2, draw).inputs_BT.shape[1] for step in (0, 49, 50, 99, 100, 10**6)]
    assert lengths == [20, 20, 32, 32, 44, 44]
    assert task.context_length == 44
    assert score(task.at(0), TwoTokenModel(32)) == score(task, TwoTokenModel(32))
    fixed = needle(num_train=5, curriculum=[4])
    assert fixed.at(0).batch(9, draw).inputs_BT.shape == (9, 20)


def test_subset_is_evenly_spaced_and_named_apart() -> None:
    task = needle()
    recorder = Recorder(task.vocab_size, token=9)
    found = score(task, recorder, max_sequences=4)
    assert torch.equal(recorder.seen[0], task.examples["val"].tokens_NT[[0, 25, 50, 75]])
    assert all(name.startswith("val_subset/") for name in found)
    assert torch.equal(task.held_out(4).inputs_BT, recorder.seen[0])


class AmongSymbols(UniformModel):
    """Knows which tokens are symbols, and nothing else."""

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        output = super().forward(tokens_BT)
        output.logits_BTV[..., :4] = output.logits_BTV[..., 28:] = -100.0
        return output


@pytest.mark.parametrize("fidelity", ["corrected", "as_published"])
def test_references_are_what_their_models_score(fidelity: str) -> None:
    task = needle(fidelity=fidelity, num_val=400)
    references = task.references()
    assert references.keys() == {"guess among symbols", "guess a place", "echo"}
    for name, model in (("guess among symbols", AmongSymbols(32)), ("echo", BettingModel(32, offset=0))):
        found = score(task, model)
        for metric, value in references[name].items():
            if metric.startswith("val/"):
                rounding = 0.02 if name == "echo" else 1e-9  # an echo of the query's last token hits by luck
                assert found[metric] == pytest.approx(value, rel=1e-3, abs=rounding), metric


def test_a_diverged_model_has_no_score() -> None:
    class Broken(UniformModel):
        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            output = super().forward(tokens_BT)
            return ModelOutput(output.logits_BTV * math.nan, output.penalty)

    assert all(math.isnan(value) for value in score(needle(), Broken(32)).values())


def test_missing_split_and_training_mode_are_refused() -> None:
    task = needle(num_test=0)
    assert task.splits == ("val",)
    with pytest.raises(ValueError, match="there is no test split; set num_test above 0"):
        score(task, UniformModel(32), "test")
    with pytest.raises(ValueError, match=r"call model.eval\(\) first"):
        task.evaluate(UniformModel(32), EvaluationRequest("val", torch.device("cpu")))
