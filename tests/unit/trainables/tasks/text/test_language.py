"""The language task: splits, windows, units, and what its configuration refuses."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.contract.tasks import TwoTokenModel, UniformModel, score
from trainables.data.errors import DataError
from trainables.data.markov import MarkovSource
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.text.config import LanguageConfig
from trainables.tasks.text.language import LanguageTask


class Recorder(UniformModel):
    """Remembers every sequence it is shown."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.seen: list[Tensor] = []

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        self.seen.append(tokens_BT)
        return super().forward(tokens_BT)


class SourceModel(LanguageModel):
    """The law of the synthetic text itself, with one token of context missing at the start of a window."""

    def __init__(self, source: MarkovSource) -> None:
        super().__init__()
        self.log_p_PCV = torch.from_numpy(source.transition_PCV).log()
        pair_PC = torch.from_numpy(source.stationary_PC)
        joint_CV = torch.einsum("pc,pcv->cv", pair_PC, self.log_p_PCV.exp())
        self.log_p_CV = (joint_CV / joint_CV.sum(1, keepdim=True)).log()

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        first_BV = self.log_p_CV[tokens_BT[:, :1]]
        rest_BTV = self.log_p_PCV[tokens_BT[:, :-1], tokens_BT[:, 1:]]
        return ModelOutput(torch.cat([first_BV, rest_BTV], dim=1), torch.zeros(()))


def test_source_reaches_the_entropy_rate_and_nothing_beats_it() -> None:
    task = LanguageConfig(context_length=256, val_fraction=0.3).build(None)
    source = MarkovSource(0)
    bits = score(task, SourceModel(source))["val/bits_per_char"]
    own = source.bits_per_char(task.texts["val"])
    # Only the first place of each window lacks context: at most 1 window in 256 places, at most 3 bits dearer.
    assert own <= bits < own + 2 * 3 / 256
    assert own == pytest.approx(source.entropy_bits_per_char, rel=0.01)


@pytest.mark.parametrize(("length", "stride"), [(8, 8), (8, 3), (8, 1), (500, 500), (499, 499), (7, 7)])
def test_every_token_but_the_first_is_scored_once(length: int, stride: int) -> None:
    config = LanguageConfig(max_bytes=5_000, context_length=length, stride=stride)
    task = config.build(None)
    tokens = task.tokens["val"].long()
    places: list[int] = []
    start = 0
    for batch in task._windows("val", None, batch_size=1):
        inputs, targets = batch.inputs_BT[0], batch.targets_BT[0]
        assert torch.equal(inputs, tokens[start : start + len(inputs)])
        scored = (targets != -100).nonzero()[:, 0]
        assert torch.equal(targets[scored], tokens[start + 1 + scored])
        assert start == 0 or len(scored) <= stride
        places += (start + 1 + scored).tolist()
        start += stride
    assert places == list(range(1, len(tokens)))


def test_longer_context_never_hurts_the_source() -> None:
    """A smaller stride gives each token more context: the source's own score falls towards its bound."""
    tasks = [LanguageConfig(max_bytes=20_000, context_length=8, stride=stride).build(None) for stride in (8, 4)]
    disjoint, overlapping = (score(task, SourceModel(MarkovSource(0)))["val/bits_per_char"] for task in tasks)
    own = MarkovSource(0).bits_per_char(tasks[0].texts["val"])
    assert own < overlapping < disjoint - 0.05


def test_subset_is_evenly_spaced_and_named_apart() -> None:
    task = LanguageConfig(max_bytes=20_000, context_length=10).build(None)
    model = Recorder(task.vocab_size)
    found = score(task, model, max_sequences=4)
    assert {name.split("/")[0] for name in found} == {"val_subset"}
    windows = task.tokens["val"][:-1].long()
    assert torch.equal(model.seen[0], torch.stack([windows[s : s + 10] for s in (0, 500, 1000, 1500)]))


def test_subset_of_all_windows_equals_the_full_score() -> None:
    task = LanguageConfig(max_bytes=3_000, context_length=10).build(None)
    full, subset = (score(task, TwoTokenModel(8), max_sequences=n) for n in (None, 10_000))
    assert [*full.values()] == [*subset.values()]


def test_units_of_one_total(tmp_path: Path) -> None:
    """With accents, characters and bytes differ; all four metrics follow from one total by hand."""
    (tmp_path / "accents.txt").write_text("aéa€" * 250, encoding="utf-8")
    task = LanguageConfig(corpus="file:accents.txt", context_length=8).build(tmp_path)
    scored = task.texts["val"][1:]
    found = score(task, UniformModel(3))
    assert found["val/nats_per_token"] == pytest.approx(math.log(3))
    assert found["val/perplexity"] == pytest.approx(3)
    assert found["val/bits_per_char"] == pytest.approx(math.log2(3))
    assert found["val/bits_per_byte"] == pytest.approx(math.log2(3) * len(scored) / len(scored.encode()))


class ByteLaw(LanguageModel):
    """Draws every byte alone, an odd one with half the weight, for a tokenizer whose tokens are single bytes."""

    def __init__(self, task: LanguageTask) -> None:
        super().__init__()
        tokens = np.arange(task.vocab_size, dtype=np.int32)
        letters = [task.tokenizer.decode(tokens[place : place + 1]) for place in tokens]
        self.weight_V = torch.tensor([1.0 if ord(letter) % 2 == 0 else 0.5 for letter in letters])

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        return ModelOutput(self.weight_V.log().expand(*tokens_BT.shape, -1), torch.zeros(()))


def test_total_is_the_same_whichever_tokenizer_reports(tmp_path: Path) -> None:
    """Equal laws over an ASCII text score equal bits per byte, though the three vocabularies differ."""
    every_byte = "".join(map(chr, range(128)))
    (tmp_path / "text.txt").write_bytes(("oscillators that drift apart do not lock. " * 60 + every_byte).encode())
    scores = []
    for tokenizer in ("char", "byte", "bpe"):
        fields = {"tokenizer": tokenizer, "bpe_vocab_size": 256, "context_length": 8}
        task = LanguageConfig(corpus="file:text.txt", **fields).build(tmp_path)
        found = score(task, ByteLaw(task))
        # char knows the 128 bytes of ASCII, the others 256, of which U+FFFD (odd) stands for each of the rest
        spare = math.log2((128 * 0.75 + (task.vocab_size - 128) * 0.5) / (128 * 0.75))
        scores.append({name: value - spare for name, value in found.items() if "bits" in name})
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)
    assert scores[1] == pytest.approx(scores[2], rel=1e-6)


def test_bits_are_the_total_over_exact_counts(tmp_path: Path) -> None:
    """Nats per token times tokens is one total, whatever it is divided by, merges and accents included."""
    (tmp_path / "text.txt").write_text(
        "die Phase schließt sich dem mittleren Feld an, é€😀 " * 60, encoding="utf-8"
    )
    for tokenizer in ("char", "byte", "bpe"):
        task = LanguageConfig(
            corpus="file:text.txt", tokenizer=tokenizer, bpe_vocab_size=300, context_length=8
        ).build(tmp_path)
        found = score(task, TwoTokenModel(task.vocab_size))
        scored = task.tokens["val"].numpy()[1:]
        text = task.texts["val"]
        first = task.tokens["val"].numpy()[:1]
        num_bytes = len(text.encode()) - int(task.tokenizer.bytes_per_token_V[first].sum())
        num_chars = len(text) - int(task.tokenizer.chars_per_token_V[first].sum())
        total_bits = found["val/nats_per_token"] * len(scored) / math.log(2)
        assert found["val/bits_per_byte"] * num_bytes == pytest.approx(total_bits)
        assert found["val/bits_per_char"] * num_chars == pytest.approx(total_bits)


def test_chance_of_bpe_depends_on_bytes_per_token() -> None:
    task = LanguageConfig(max_bytes=20_000, tokenizer="bpe", bpe_vocab_size=300).build(None)
    chance = {metric.name: metric.chance for metric in task.metrics}
    tokens = task.tokens["val"].numpy()[1:]
    num_bytes = task.tokenizer.bytes_per_token_V[tokens].sum()
    assert chance["val/bits_per_byte"] == pytest.approx(math.log2(300) * len(tokens) / num_bytes)
    assert task.primary_metric == "val/bits_per_byte"
    assert LanguageConfig(max_bytes=20_000).build(None).primary_metric == "val/bits_per_char"


def test_diverged_model_scores_infinite_perplexity() -> None:
    class Overflowing(UniformModel):
        def forward(self, tokens_BT: Tensor) -> ModelOutput:
            output = super().forward(tokens_BT)
            output.logits_BTV[..., 0] = 1e5
            return output

    task = LanguageConfig(max_bytes=3_000).build(None)
    found = score(task, Overflowing(8))
    assert found["val/perplexity"] == math.inf
    assert math.isfinite(found["val/bits_per_char"])


def test_batches_start_anywhere_with_equal_chance() -> None:
    task = LanguageConfig(max_bytes=100, context_length=80, val_fraction=0.1).build(None)
    generator = torch.Generator().manual_seed(0)
    train = task.tokens["train"].long()
    starts = [
        int((train.unfold(0, 80, 1) == row).all(1).nonzero()[0]) for row in task.batch(2000, generator).inputs_BT
    ]
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10  # the last start still has its last target
    assert counts.min() > 140 and counts.max() < 260  # 200 expected, standard deviation 13


def test_data_hash_follows_content_and_cuts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("abcdefgh" * 300)
    (tmp_path / "as_long.txt").write_text("abcdefhg" * 300)
    base = {"context_length": 8}

    def data_hash(**fields: Any) -> str:
        return LanguageConfig(**{**base, **fields}).build(tmp_path).data_hash

    assert data_hash(corpus="file:a.txt") == data_hash(corpus="file:b.txt")
    assert data_hash(corpus="file:a.txt") != data_hash(corpus="file:as_long.txt")
    assert data_hash(corpus="file:a.txt") != data_hash(corpus="file:a.txt", val_fraction=0.2)
    assert data_hash(corpus="file:a.txt") != data_hash(corpus="file:a.txt", max_bytes=1000)


def test_too_short_a_text_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"train split has 45 tokens and needs 65 \(context_length=64"):
        LanguageConfig(max_bytes=50).build(None)
    for percent, size in ((1, 1), (2, 2)):
        with pytest.raises(DataError, match=f"val split has {size} tokens and needs 3;"):
            LanguageConfig(max_bytes=100, val_fraction=percent / 100).build(None)


def test_evaluate_refuses_misuse() -> None:
    task = LanguageConfig(max_bytes=3_000).build(None)
    with pytest.raises(ValueError, match="evaluation mode"):
        task.evaluate(UniformModel(8), EvaluationRequest("val", torch.device("cpu")))
    with pytest.raises(ValueError, match="no test split"):
        score(task, UniformModel(8), "test")
    with pytest.raises(ValueError, match="max_sequences >= 1"):
        score(task, UniformModel(8), max_sequences=0)


def test_importing_the_tasks_is_cheap() -> None:
    """The libraries behind the hub and BPE are slow to import: only a corpus that needs them pays."""
    code = "import sys, trainables.tasks; print({'datasets', 'tokenizers', 'huggingface_hub'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


PASSAGES: dict[str, Any] = {"max_bytes": 4000, "context_length": 16, "val_fraction": 0.3, "passage_tokens": 48}


def test_passages_are_dealt_out_to_the_seeds_whole_and_disjoint() -> None:
    task = LanguageConfig(**PASSAGES, test_fraction=0.3).build(None)
    for split in ("val", "test"):
        whole, count = task.tokens[split], (len(task.tokens[split]) - 1) // 48
        starts = []
        for seed in range(count):
            passage = task.for_seed(seed).tokens[split]
            places = [
                start for start in range(0, len(whole) - 48, 48) if torch.equal(whole[start : start + 49], passage)
            ]
            starts += places
        assert sorted(starts) == list(range(0, 48 * count, 48)) and count == 24
        assert starts != sorted(starts), "neighbours in the text are no neighbours among the seeds"
        assert torch.equal(task.for_seed(count).tokens[split], task.for_seed(0).tokens[split])
    assert torch.equal(task.for_seed(3).tokens["train"], task.tokens["train"])


def test_a_passage_is_scored_like_a_text_of_its_own() -> None:
    task = LanguageConfig(**PASSAGES, evaluation_length=48).build(None)
    model = ReadsOneToken(task.vocab_size)
    own = task.for_seed(1)
    found = own.evaluate(model, EvaluationRequest("val", torch.device("cpu")))
    inputs_BT, targets_BT = own.tokens["val"][:-1].long()[None], own.tokens["val"][1:].long()[None]
    nats_BT = torch.nn.functional.cross_entropy(model(inputs_BT).logits_BTV[0], targets_BT[0], reduction="none")
    assert found["val/bits_per_char_band_1"] == pytest.approx(float(nats_BT[:16].mean()) / math.log(2))
    assert found["val/bits_per_char"] == pytest.approx(float(nats_BT.mean()) / math.log(2))
    assert found != task.for_seed(2).evaluate(model, EvaluationRequest("val", torch.device("cpu")))
    assert set(found) <= {metric.name for metric in own.metrics}
    assert own.held_out(256).inputs_BT.shape == (3, 16)
    assert task.for_seed(1).data_hash == task.data_hash


class ReadsOneToken(LanguageModel):
    """Logits that depend on the token that is read, and on nothing else."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.table = torch.randn(vocab_size, vocab_size, generator=torch.Generator().manual_seed(0))
        self.sizes: list[int] = []
        self.eval()

    def forward(self, tokens_BT: torch.Tensor) -> ModelOutput:
        self.sizes.append(len(tokens_BT))
        return ModelOutput(self.table[tokens_BT], torch.zeros(()))


def test_sequences_of_one_pass_are_as_many_as_model_and_task_allow() -> None:
    def largest(at_once: int, probe_sequences: int) -> int:
        task = LanguageConfig(max_bytes=4000, context_length=16, probe_sequences=probe_sequences).build(None)
        model = ReadsOneToken(task.vocab_size)
        model.sequences_at_once = at_once
        task.evaluate(model, EvaluationRequest("val", torch.device("cpu")))
        return max(model.sizes)

    assert (largest(64, 256), largest(3, 256), largest(64, 2)) == (24, 3, 2)


def test_probes_see_as_many_windows_as_are_asked_for() -> None:
    task = LanguageConfig(max_bytes=4000, context_length=16, probe_sequences=2).build(None)
    assert len(task.held_out(256).inputs_BT) == 2 and len(task.held_out(1).inputs_BT) == 1


def test_a_split_without_a_passage_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"the val split has .* needs 2001 \(passage_tokens=2000, and one to predict\)"
    ):
        LanguageConfig(max_bytes=4000, context_length=16, passage_tokens=2000).build(None)
