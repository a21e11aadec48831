"""The task `lm_eval`: another task, and besides it what lm-evaluation-harness says of the trained model.

Training, probes, and the scores at each report are those of the task that is trained on. At the end the harness
asks its items too, through a model of ours (`model`), and its metrics are reported as
`val/lm_eval_<task>_<metric>`, whatever the harness calls the split. Every answer is kept.

Source:
    Gao et al., lm-evaluation-harness, github.com/EleutherAI/lm-evaluation-harness, version 0.4.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import Batch
from trainables.data.pretrained_files import find_source
from trainables.data.tokenizers.base import Tokenizer
from trainables.data.tokenizers.chat import chat_frame
from trainables.metric import Metric, Split
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.harness.config import LmEvalConfig, no_text
from trainables.tasks.harness.loading import Found, Loaded, load, run
from trainables.tasks.retrieval.records import jsonl

PASS_TOKENS = 4096
"""Most tokens that a model with a state reads in one pass."""


class LmEvalTask(Task):
    """The task that is trained on, and tasks of the harness."""

    def __init__(self, config: LmEvalConfig, data_dir: Path | None) -> None:
        self.config, self.inner = config, config.trained_on.build(data_dir)
        tokenizer = getattr(self.inner, "tokenizer", None)
        if not isinstance(tokenizer, Tokenizer):
            raise no_text(config.trained_on)
        self.tokenizer = tokenizer
        self.vocab_size, self.context_length = self.inner.vocab_size, self.inner.context_length
        source = config.tokenizer_source
        self._frame = chat_frame(source) if config.chat and source is not None else None
        self._metadata: dict[str, Any] = {"max_seq_lengths": list(config.max_seq_lengths)}
        if source is not None:
            self._metadata["tokenizer"] = str(find_source(source, weights=False))
        self._seed: int | None = None
        self._loaded = self._load(config.data_seed)
        silent = self._silent()
        self._names = silent.metrics.keys()
        self._higher_is_better = silent.higher_is_better
        self.data_hash = _hash(self.inner.data_hash, silent)

    def _load(self, seed: int) -> Loaded:
        config = self.config
        return load(
            config.tasks,
            metadata=self._metadata,
            seed=seed,
            limit=config.limit,
            num_fewshot=config.num_fewshot,
            include_path=config.include_path,
        )

    def _silent(self) -> Found:
        from trainables.tasks.harness.model import SilentModel

        return run(self._loaded, SilentModel(), chat=False)

    @property
    def max_length(self) -> int:
        """The longest of the harness's lengths, and of the task that is trained on."""
        return max(self.inner.max_length, *self.config.max_seq_lengths)

    @property
    def answer_length(self) -> int | None:
        """As the task that is trained on."""
        return self.inner.answer_length

    @property
    def splits(self) -> tuple[Split, ...]:
        """As the task that is trained on; the harness's items are asked with validation."""
        return self.inner.splits

    @cached_property
    def metrics(self) -> tuple[Metric, ...]:
        """Those of the task that is trained on, and of the harness."""
        found = [
            Metric(
                name=f"val/lm_eval_{name}",
                unit="score",
                direction={True: "maximise", False: "minimise", None: "none"}[self._higher_is_better[name]],  # type: ignore[arg-type]
                meaning=f"lm-evaluation-harness: {name.replace('_', ' ')}",
            )
            for name in self._names
        ]
        return (*self.inner.metrics, *found)

    @property
    def primary_metric(self) -> str:
        """That of the task that is trained on; a study names one of the harness's if it is about that."""
        return self.inner.primary_metric

    def held_out(self, num_sequences: int) -> Batch:
        """As the task that is trained on."""
        return self.inner.held_out(num_sequences)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """As the task that is trained on."""
        return self.inner.batch(size, generator)

    def at(self, step: int) -> Task:
        """As the task that is trained on; but what is trained at the end is this task."""
        stage = self.inner.at(step)
        if stage is self.inner:
            return self
        own = copy.copy(self)
        own.inner = stage
        return own

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """As the task that is trained on."""
        return self.inner.loss(logits_BTV, batch)

    def for_seed(self, seed: int) -> LmEvalTask:
        """Return the task of a replicate, whose items may be its own."""
        own = copy.copy(self)
        own.inner, own._seed = self.inner.for_seed(seed), seed
        if self.config.items == "by_seed":
            own._loaded = own._load(seed)
        return own

    def evaluate(self, model: LanguageModel, request: EvaluationRequest) -> dict[str, float]:
        """Score as the task that is trained on; on whole validation the harness asks too."""
        found = self.inner.evaluate(model, request)
        if request.split == "val" and request.is_whole:
            found |= _named(self._ask(model, request.device))
        return found

    def conclude(self, model: LanguageModel, request: EvaluationRequest) -> tuple[dict[str, float], dict[str, str]]:
        """Score likewise; also return the texts of the task that is trained on, and every answer to the harness."""
        metrics, texts = self.inner.conclude(model, request)
        if request.split == "val":
            asked = self._ask(model, request.device)
            metrics = metrics | _named(asked)
            texts = texts | {"lm_eval_items.jsonl": jsonl(self._rows(asked, model.mode))}
        return metrics, texts

    @torch.no_grad()
    def _ask(self, model: LanguageModel, device: torch.device) -> Found:
        from trainables.tasks.harness.model import HarnessModel

        asked = HarnessModel(
            model,
            self.tokenizer,
            max_length=self.max_length,
            device=device,
            pass_tokens=PASS_TOKENS,
            frame=self._frame,
        )
        return run(self._loaded, asked, chat=self.config.chat)

    def _rows(self, found: Found, mode: str) -> Iterator[dict[str, Any]]:
        for task, samples in found.samples.items():
            for sample in samples:
                yield {
                    "task": task,
                    "length": sample["doc"].get("max_length"),
                    "item": sample["doc_id"],
                    "mode": mode,
                    "seed": self._seed,
                    "answer": sample["target"],
                    "output": sample["filtered_resps"],
                    **{name: sample[name] for name in sample["metrics"] if sample[name] != -1},
                    "prompt_hash": sample["prompt_hash"],
                }

    def artifacts(self, model: LanguageModel, *, device: torch.device) -> dict[str, str]:
        """As the task that is trained on."""
        return self.inner.artifacts(model, device=device)

    def references(self) -> dict[str, dict[str, float]]:
        """As the task that is trained on."""
        return self.inner.references()


def _named(found: Found) -> dict[str, float]:
    return {f"val/lm_eval_{name}": value for name, value in found.metrics.items()}


def _hash(data_hash: str, found: Found) -> str:
    """Return a hash of the data that is trained on, and of all that the harness asks and expects."""
    asked = {
        task: [(sample["prompt_hash"], sample["target_hash"], sample["metrics"]) for sample in samples]
        for task, samples in found.samples.items()
    }
    return hashlib.sha256(f"{data_hash}{json.dumps(asked, sort_keys=True)}".encode()).hexdigest()
