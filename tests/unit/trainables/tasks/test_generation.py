"""Generation, what is counted in it, and the samples that a replicate keeps."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.architectures.base.model import ModelOutput
from trainables.architectures.gpt.model import BackboneModel
from trainables.architectures.tpi.config import TPIConfig
from trainables.config.training import BudgetConfig
from trainables.config.trial import TrialConfig
from trainables.contract.tasks import BettingModel, TwoTokenModel, UniformModel, score
from trainables.data.errors import DataError
from trainables.randomness import initialise
from trainables.tasks.generation import generate, next_tokens
from trainables.tasks.scoring import generated_hits
from trainables.tasks.text.config import LanguageConfig
from trainables.tasks.text.language import LanguageTask
from trainables.tasks.text.sample_metrics import distinct_share, divergence_bits, repeated_share
from trainables.training.loop import train
from trainables.worker.replicate_folder import ReplicateFolder

CPU = torch.device("cpu")


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(TwoTokenModel):
    """Remembers every sequence that it is shown."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.seen: list[Tensor] = []

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        self.seen.append(tokens_BT)
        return super().forward(tokens_BT)


# --- generate ---


def test_greedy_generation_equals_a_plain_loop() -> None:
    model = TwoTokenModel(11).eval()
    prompt_BT = torch.tensor([[1, 2, 3], [4, 5, 6]])
    found_BT = generate(model, prompt_BT, 7, max_length=100, temperature=0.0)
    for prompt, found in zip(prompt_BT.tolist(), found_BT.tolist(), strict=True):
        expected = list(prompt)
        while len(expected) < 10:
            expected.append(int(model(torch.tensor([expected])).logits_BTV[0, -1].argmax()))
        assert found == expected


def test_the_prompt_is_given_as_it_is_and_never_padded() -> None:
    model = Recorder(11).eval()
    found_BT = generate(model, torch.tensor([[7]]), 5, max_length=3, generator=draws(0))
    assert [shown.shape[1] for shown in model.seen] == [1, 2, 3, 3, 3]
    for place, shown in enumerate(model.seen):
        assert torch.equal(shown, found_BT[:, max(0, place - 2) : place + 1])
    assert found_BT.shape == (1, 6)


class Counted(BackboneModel):
    """Counts the tokens that it computes, from its state and anew."""

    streamed = anew = 0

    def prefill(self, tokens_BT: Tensor, state: Any = None) -> Any:
        self.streamed += tokens_BT.shape[1]
        return super().prefill(tokens_BT, state)

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        self.anew += tokens_BT.shape[1]
        return super().forward(tokens_BT)


class Forgetful(Counted):
    """The same model without a state."""

    def prefill(self, tokens_BT: Tensor, state: Any = None) -> None:
        return None


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("variant", ["v1_simple", "v6_query_offset"])
def test_generation_from_a_state_writes_what_generation_anew_writes(variant: str, temperature: float) -> None:
    """And reads each token once, until the sequence is longer than the model's inputs may be."""
    config = TPIConfig.model_validate({"d_model": 8, "num_layers": 2, "variant": variant})
    written = []
    for model_class in (Counted, Forgetful):
        model = model_class(config, vocab_size=11, max_seq_len=20)
        initialise(model, 0)
        with torch.no_grad():
            model.token_embedding.weight.mul_(50)
        prompt_BT = torch.randint(11, (3, 4), generator=draws(1))
        options: dict[str, Any] = {"temperature": temperature, "generator": draws(0)}
        written.append(generate(model.double().eval(), prompt_BT, 16, max_length=15, **options))
        # Lengths 4 to 15 from the state; 16 to 19 are beyond it.
        expected = (15, 4 * 15) if model_class is Counted else (0, sum(range(4, 15)) + 5 * 15)
        assert (model.streamed, model.anew) == expected
    assert torch.equal(*written)
    assert len({tuple(row) for row in written[0].tolist()}) == 3


def test_needles_are_generated_from_a_state_too() -> None:
    tokens_NT = torch.randint(11, (3, 12), generator=draws(0))
    found = []
    for model_class in (Counted, Forgetful):
        model = model_class(TPIConfig(d_model=8, num_layers=2), vocab_size=11, max_seq_len=12)
        initialise(model, 0)
        found.append(generated_hits(model.double().eval(), tokens_NT[:, :8], tokens_NT[:, 8:], 5))
        assert (model.streamed, model.anew) == ((11, 0) if model_class is Counted else (0, 8 + 9 + 10 + 11))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_draws_follow_the_generator_alone() -> None:
    model, prompt_BT = TwoTokenModel(11).eval(), torch.zeros(4, 2, dtype=torch.long)
    before = torch.get_rng_state()
    one, again, other = (generate(model, prompt_BT, 20, max_length=9, generator=draws(s)) for s in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert len({tuple(row) for row in one.tolist()}) == 4, "equal prompts are continued independently"
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("top_k", "temperature"), [(None, 1.0), (2, 1.0), (None, 0.5), (3, 2.0), (99, 1.0)])
def test_frequencies_are_the_models_probabilities(top_k: int | None, temperature: float) -> None:
    logits_V = torch.tensor([0.5, 2.0, 1.0, -1.0])
    chosen = next_tokens(logits_V.expand(20_000, -1), top_k=top_k, temperature=temperature, generator=draws(0))
    kept = logits_V.argsort(descending=True)[:top_k].tolist()
    weights = [math.exp(float(logit) / temperature) if v in kept else 0.0 for v, logit in enumerate(logits_V)]
    found = torch.bincount(chosen, minlength=4) / 20_000
    assert found.tolist() == pytest.approx([weight / sum(weights) for weight in weights], abs=0.015)


def test_a_low_temperature_is_greedy_and_does_not_overflow() -> None:
    logits_BV = torch.tensor([[3e4, 2.9e4, -3e4], [0.0, -1.0, 1.0]])
    assert next_tokens(logits_BV, top_k=None, temperature=1e-9, generator=draws(0)).tolist() == [0, 2]
    assert next_tokens(logits_BV, top_k=1, temperature=5.0, generator=draws(0)).tolist() == [0, 2]


def test_what_cannot_be_generated_is_refused() -> None:
    model, prompt = UniformModel(5).eval(), torch.zeros(1, 2, dtype=torch.long)

    def attempt(prompt_BT: Tensor = prompt, num_tokens: int = 1, **options: Any) -> None:
        generate(model, prompt_BT, num_tokens, **{"max_length": 4, "generator": draws(0), **options})

    for options, message in (
        ({"generator": None}, "needs a generator"),
        ({"prompt_BT": prompt[:, :0]}, "at least one token"),
        ({"num_tokens": 0}, "need num_tokens, max_length and top_k >= 1: 0, 4, None"),
        ({"top_k": 0}, "need num_tokens, max_length and top_k >= 1: 1, 4, 0"),
        ({"temperature": math.nan}, "temperature=nan must be finite"),
        ({"temperature": -1.0}, "temperature=-1.0 must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            attempt(**options)  # type: ignore[arg-type]
    with pytest.raises(FloatingPointError, match="not finite"):
        next_tokens(torch.tensor([[0.0, math.nan]]), top_k=None, temperature=1.0, generator=draws(0))
    model.train()
    with pytest.raises(ValueError, match=r"model.eval\(\)"):
        attempt()


# --- measures, by hand ---


def test_repetition_by_hand() -> None:
    # abcabc: bigrams ab bc ca ab bc, two of five seen before; abcdef: none
    tokens = torch.tensor([[0, 1, 2, 0, 1, 2], [0, 1, 2, 3, 4, 5]])
    assert repeated_share(tokens[:1], 2) == pytest.approx(2 / 5)
    assert repeated_share(tokens, 2) == pytest.approx((2 / 5 + 0) / 2)
    assert repeated_share(tokens, 3) == pytest.approx((1 / 4 + 0) / 2)
    assert repeated_share(torch.zeros(3, 10, dtype=torch.long), 4) == pytest.approx(6 / 7), "one 4-gram of 7 is new"
    # In both together: ab bc ca cd de ef, 6 of 10
    assert distinct_share(tokens, 2) == pytest.approx(6 / 10)
    assert distinct_share(tokens, 1) == pytest.approx(6 / 12)
    with pytest.raises(ValueError, match="sequences of 6 tokens have no 7-grams"):
        repeated_share(tokens, 7)


def test_divergence_by_hand() -> None:
    sample, text = torch.tensor([[0, 0, 0, 1]]), torch.tensor([0, 1, 1, 1, 1, 2])
    # p = 3/4, 1/4; q = (1 + 1) / 9 and (4 + 1) / 9 of three tokens
    expected = 0.75 * math.log2(0.75 / (2 / 9)) + 0.25 * math.log2(0.25 / (5 / 9))
    assert divergence_bits(sample, text, 1, vocab_size=3) == pytest.approx(expected)
    # Bigrams 00 00 01 against 01 11 11 11 12: q = 1/14 and 2/14 of nine
    expected = 2 / 3 * math.log2(2 / 3 * 14) + 1 / 3 * math.log2(1 / 3 * 7)
    assert divergence_bits(sample, text, 2, vocab_size=3) == pytest.approx(expected)


def test_a_text_diverges_little_from_itself_and_a_shifted_one_much() -> None:
    text = torch.randint(8, (20_000,), generator=draws(0))
    assert divergence_bits(text[None], text, 2, vocab_size=8) == pytest.approx(0.0, abs=1e-4)
    assert divergence_bits(text[None, :400], text, 1, vocab_size=8) < 0.05
    assert divergence_bits(text[None] // 2, text, 1, vocab_size=8) == pytest.approx(1.0, abs=0.01)


# --- samples of the language task ---

SAMPLES = {"num_samples": 3, "prompt_tokens": 6, "num_tokens": 40}


def language(**samples: Any) -> LanguageTask:
    fields = {"max_bytes": 4_000, "context_length": 16, "samples": {**SAMPLES, **samples}}
    return LanguageConfig.model_validate(fields).build(None)


def test_samples_are_measured_on_the_whole_validation_split_only() -> None:
    task = LanguageConfig.model_validate({"max_bytes": 4_000, "test_fraction": 0.1, "samples": SAMPLES}).build(None)
    model = TwoTokenModel(task.vocab_size)
    assert {name for name in score(task, model) if "sample_" in name} == {
        "val/sample_repeated_4grams",
        "val/sample_distinct_2grams",
        "val/sample_unigram_kl",
        "val/sample_bigram_kl",
    }
    for found in (score(task, model, max_sequences=3), score(task, model, "test")):
        assert not [name for name in found if "sample_" in name]


def test_measures_are_of_what_the_model_wrote() -> None:
    task = language()
    echo = score(task, BettingModel(task.vocab_size, offset=0))
    assert echo["val/sample_repeated_4grams"] > 0.9, "it repeats the prompt's last character"
    assert echo["val/sample_bigram_kl"] > task.references()["the text itself"]["val/sample_bigram_kl"] + 1
    text = task.references()["the text itself"]
    assert text["val/sample_repeated_4grams"] < 0.5
    windows_NT = task._sampler.text_NT[:, 6:] if task._sampler else torch.zeros(0)
    counts = Counter(windows_NT.flatten().tolist())
    assert sum(counts.values()) == 3 * 40
    assert text["val/sample_unigram_kl"] == divergence_bits(windows_NT, task.tokens["val"], 1, task.vocab_size)


def test_samples_can_be_read() -> None:
    task = language(temperature=0.0, num_tokens=5)
    text = task.artifacts(BettingModel(task.vocab_size, offset=0).eval(), device=CPU)["samples.txt"]
    lines = text.splitlines()
    assert lines[::2] == [f"--- {number} {part}" for number in (1, 2, 3) for part in ("prompt", "model", "text")]
    val = task.texts["val"]
    for prompt, written, follows in zip(lines[1::6], lines[3::6], lines[5::6], strict=True):
        assert prompt + follows in val
        assert written == prompt[-1] * 5


def test_a_diverged_model_has_no_samples_and_does_not_crash() -> None:
    class Broken(UniformModel):
        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            output = super().forward(tokens_BT)
            return ModelOutput(output.logits_BTV * math.nan, output.penalty)

    found = score(language(), Broken(language().vocab_size))
    assert all(math.isnan(value) for value in found.values())


def test_too_short_a_text_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"the val split has 400 tokens, and samples need 506: use a longer text"):
        language(num_tokens=500)


def trial(**task: Any) -> TrialConfig:
    return TrialConfig.model_validate(
        {
            "architecture": {"name": "transformer", "d_model": 8, "num_layers": 1, "num_heads": 2},
            "task": {"name": "language", "max_bytes": 4_000, "context_length": 16, **task},
            "budget": BudgetConfig(steps=2, batch_size=2, report_every=1),
        }
    )


def test_the_last_report_carries_the_samples_and_the_folder_keeps_them(tmp_path: Path) -> None:
    config = trial(samples={**SAMPLES, "num_tokens": 8})
    first, last = train(config, 0, config.task.build(None))
    assert not first.artifacts
    assert last.artifacts.keys() == {"samples.txt"}
    ReplicateFolder(tmp_path).keep("samples.txt", last.artifacts["samples.txt"])
    assert (tmp_path / "samples.txt").read_text(encoding="utf-8") == last.artifacts["samples.txt"]
