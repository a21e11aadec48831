"""Every registered task meets every contract; a new one cannot opt out, and the contract can fail."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import Batch
from trainables.contract.finding import ContractError
from trainables.contract.tasks import CHECKS, BettingModel, examine_task, score
from trainables.data.corpora import Corpus
from trainables.metric import Metric, Split
from trainables.registry import TASKS
from trainables.tasks.base import TaskConfig
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.text.config import LanguageConfig
from trainables.tasks.text.language import LanguageTask

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "language": [
        {"max_bytes": 20_000},
        {"max_bytes": 20_000, "tokenizer": "byte", "test_fraction": 0.1},
        {"max_bytes": 20_000, "tokenizer": "bpe", "bpe_vocab_size": 300, "context_length": 17},
        {"max_bytes": 20_000, "context_length": 32, "stride": 5, "test_fraction": 0.05},
        {"max_bytes": 600, "context_length": 512},
        {
            "max_bytes": 20_000,
            "tokenizer": "byte",
            "context_length": 16,
            "evaluation_length": 40,
            "samples": {"num_samples": 2, "prompt_tokens": 5, "num_tokens": 20},
        },
    ],
}
"""Besides its own small configurations, what each task is tried with."""

CASES: list[TaskConfig] = [
    *(config for name in TASKS.names() for config in TASKS.get(name).contract_configs()),
    *(TASKS.parse({"name": name, **fields}) for name, variants in VARIANTS.items() for fields in variants),
]


CASE_NAMES = [
    f"{config.name}{number or ''}"
    for place, config in enumerate(CASES)
    for number in [sum(other.name == config.name for other in CASES[:place])]
]


def failures(config: TaskConfig) -> list[tuple[str, str]]:
    """Return the contracts that a configuration breaks, each with what was found."""
    return [(one.contract, one.found) for one in examine_task(config) if one.outcome == "failed"]


@pytest.mark.parametrize("config", CASES, ids=CASE_NAMES)
def test_meets_contract(config: TaskConfig) -> None:
    assert not failures(config)
    assert TASKS.version(config.name) >= 1


@pytest.mark.parametrize("name", TASKS.names())
def test_defaults_build_without_data_or_network(name: str) -> None:
    task = TASKS.parse({"name": name}).build(None)
    batch = task.batch(2, torch.Generator().manual_seed(0))
    assert batch.inputs_BT.shape == (2, task.context_length)


# --- the contract can fail: each defect below must be caught by the check named beside it ---


class Unshifted(LanguageTask):
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        batch = super().batch(size, generator)
        return Batch(batch.inputs_BT, batch.inputs_BT)


class NoAnswer(LanguageTask):
    """Text, of which it says that its end repeats a part."""

    answer_length = 40


class GlobalRandomness(LanguageTask):
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return super().batch(size, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))


class FixedData(LanguageTask):
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return super().batch(size, torch.Generator().manual_seed(3))


class EchoRewarded(LanguageTask):
    """Scores the token that the model reads, as the published echo metrics did."""

    def _windows(self, split: Split, max_sequences: int | None, batch_size: int) -> Any:
        for batch in super()._windows(split, max_sequences, batch_size):
            yield Batch(batch.inputs_BT, batch.inputs_BT)


class PaddingScored(LanguageTask):
    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        return torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), batch.targets_BT.flatten().clamp(min=0))


class WrongChance(LanguageTask):
    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(Metric(**{**vars(metric), "chance": 1.0}) for metric in super().metrics)


class Undeclared(LanguageTask):
    @property
    def metrics(self) -> tuple[Metric, ...]:
        return super().metrics[1:]


class LongerAtFirst(LanguageTask):
    """A curriculum that ends before the sequences have the length that the model is built for."""

    def at(self, step: int) -> Task:
        return self if step < 500 else LanguageTask(LanguageConfig(max_bytes=5_000, context_length=8), self.corpus)


class MeanOfBatchMeans(LanguageTask):
    """Averages the perplexity of batches, as PhaseGPT's validation did."""

    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        scores = super().evaluate(model, request)
        return {name: value * (1 + request.batch_size / 1000) for name, value in scores.items()}


@pytest.mark.parametrize(
    ("defect", "contract_name"),
    [
        (Unshifted, "batches"),
        (NoAnswer, "batches"),
        (LongerAtFirst, "curriculum"),
        (GlobalRandomness, "randomness"),
        (FixedData, "randomness"),
        (EchoRewarded, "echo"),
        (PaddingScored, "loss"),
        (WrongChance, "chance"),
        (Undeclared, "declaration"),
        (MeanOfBatchMeans, "batch_size"),
    ],
)
def test_defect_breaks_its_contract(defect: type[LanguageTask], contract_name: str) -> None:
    config = LanguageConfig(max_bytes=5_000)
    corpus = Corpus("synthetic", LanguageConfig(max_bytes=5_000).build(None).corpus.train)
    with pytest.raises(ContractError):
        CHECKS[contract_name](config, defect(config, corpus))


def test_a_configuration_that_names_other_metrics_breaks_the_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LanguageConfig(max_bytes=5_000)
    monkeypatch.setattr(LanguageConfig, "metric_names", ("val/bits", *(config.metric_names or ())[1:]))
    with pytest.raises(ContractError, match=r"metric_names and the task's metrics differ: \['val/bits', "):
        CHECKS["declaration"](config, config.build(None))


def test_every_check_is_shown_to_fail() -> None:
    marks = inspect.unwrap(test_defect_breaks_its_contract).pytestmark
    assert {contract_name for _, contract_name in marks[0].args[1]} == CHECKS.keys()


# --- declared violations are strict ---


class Declared(LanguageConfig):
    broken: str

    @property
    def violates(self) -> frozenset[str]:
        return frozenset({self.broken})


def test_a_declared_violation_must_show() -> None:
    kept, unknown = (dict(failures(Declared(max_bytes=5_000, broken=broken))) for broken in ("echo", "ehco"))
    assert kept["echo"] == "declares that it violates 'echo', but keeps it"
    assert unknown["violations"].startswith("declares unknown contracts ['ehco']; known: ")
    assert kept.keys() - unknown.keys() == {"echo"}


def test_what_becomes_of_a_violation_is_told() -> None:
    published = TASKS.get("needle").contract_configs()[1]
    outcomes = {finding.contract: finding.outcome for finding in examine_task(published)}
    assert outcomes.keys() == {"violations", "rebuild", *CHECKS}
    assert {contract for contract, outcome in outcomes.items() if outcome != "passed"} == {"loss", "echo"}
    assert {outcomes["loss"], outcomes["echo"]} == {"expected_violation"}


# --- truths about language modelling that need a text made for them ---


def periodic_task(tmp_path: Path, **fields: Any) -> LanguageTask:
    """Return a task on `abcdefghabcdefgh…`, where a token decides the next one."""
    (tmp_path / "periodic.txt").write_text("abcdefgh" * 400)
    return LanguageConfig(corpus="file:periodic.txt", **fields).build(tmp_path)


class Successor(BettingModel):
    """Knows the law of the periodic text, and is causal."""

    def __init__(self) -> None:
        super().__init__(8, offset=0)

    def forward(self, tokens_BT: Tensor) -> Any:
        return super().forward((tokens_BT + 1) % 8)


@pytest.mark.parametrize("stride", [None, 1, 7])
def test_oracle_scores_zero_and_echo_scores_worse_than_chance(tmp_path: Path, stride: int | None) -> None:
    task = periodic_task(tmp_path, context_length=16, stride=stride, test_fraction=0.2)
    for split in task.splits:
        oracle = score(task, Successor(), split)
        assert oracle[f"{split}/bits_per_char"] < 1e-3
        assert oracle[f"{split}/perplexity"] == pytest.approx(1.0, abs=1e-3)
        assert score(task, BettingModel(8, offset=0), split)[f"{split}/bits_per_char"] > 3.0


def test_peeking_model_pays_at_the_last_place_of_each_window(tmp_path: Path) -> None:
    """A model that sees one token ahead is blind only at the end of a window: 20 windows of 319 tokens."""
    task = periodic_task(tmp_path, context_length=16)
    peek = score(task, BettingModel(8, offset=1))
    assert len(task.tokens["val"]) == 320
    assert peek["val/bits_per_char"] == pytest.approx(20 * 3.0 / 319, abs=1e-3)


def test_splits_are_the_text_cut_twice(tmp_path: Path) -> None:
    text = "".join(chr(0x4E00 + place) for place in range(1000))  # every character once: an overlap shows
    (tmp_path / "all_different.txt").write_text(text, encoding="utf-8")
    config = LanguageConfig(
        corpus="file:all_different.txt", val_fraction=0.05, test_fraction=0.05, context_length=8
    )
    task = config.build(tmp_path)
    assert task.texts["train"] + task.texts["val"] + task.texts["test"] == text
    assert [len(task.texts[split]) for split in ("train", "val", "test")] == [900, 50, 50]
    train = torch.cat([task.batch(64, torch.Generator().manual_seed(seed)).targets_BT for seed in range(50)])
    assert not set(train.flatten().tolist()) & set(task.tokens["val"].tolist())
