"""The needle task: retrieve random tokens from a position in a long random context.

`corrected` tests what the name promises. A marker stands before the needle and again at the end; the model then has
to generate the needle, from the context and its own tokens alone, and the score is the rate of needles that are
correct in every token. `as_published` is the data, the loss and the metric behind "10.5 % retrieval": the needle is
in the input twice, a part of the loss is to repeat the input, and the hit rate compares the prediction *at* the
needle's own tokens with those tokens. Both fidelities report both kinds of score side by side: `needle_*` is
retrieval, the others are the published ones. `layout` explains why a marker is needed, `examples` draws the
examples, `scores` scores them, `metrics` defines the metrics.

Source:
    attention-free-phase-blocks, src/train.py: `generate_needle_dataset`, the trainer's loss, and the evaluation.
"""

from __future__ import annotations

import copy
import hashlib

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED, Batch
from trainables.metric import Split
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.needle.config import NeedleConfig
from trainables.tasks.needle.examples import NeedleExamples, draw
from trainables.tasks.needle.layout import NUM_DEPTHS
from trainables.tasks.needle.metrics import kinds, reference_scores
from trainables.tasks.needle.names import FIRST_ECHO, FIRST_EXAMPLES, depth_metric
from trainables.tasks.needle.scores import score_examples
from trainables.tasks.scoring import mean_nats, perplexity
from trainables.tasks.synthetic.task import MetricSpec, SyntheticTask


class NeedleTask(SyntheticTask[NeedleExamples]):
    """Held-out examples, and a source of training examples that a curriculum makes shorter."""

    stream_name = "needle"
    config: NeedleConfig

    def __init__(self, config: NeedleConfig) -> None:
        self.layout = config.layout(config.chunk_length)
        self._chunk_length, self._train_layout = config.chunk_length, self.layout
        super().__init__(config, vocab_size=config.vocab_size, context_length=self.layout.length)
        self._stages = tuple(self._stage(chunk_length) for chunk_length in config.curriculum)

    def _draw(self, size: int, generator: torch.Generator) -> NeedleExamples:
        return draw(self._train_layout, size, generator)

    def _draw_held_out(self, size: int, generator: torch.Generator) -> NeedleExamples:
        return draw(self.layout, size, generator, stratified=True)

    def _training_stream(self) -> torch.Generator:
        return self._stream("train", str(self._chunk_length))

    def _stage(self, chunk_length: int) -> NeedleTask:
        stage = copy.copy(self)
        stage._chunk_length, stage._train_layout = chunk_length, self.config.layout(chunk_length)
        stage._fixed = stage._fixed_training()
        return stage

    def _hash(self) -> str:
        digest = hashlib.sha256()
        parts = {} if self._fixed is None else {"train": self._fixed.tokens_NT}
        parts |= {str(split): found.tokens_NT for split, found in self.examples.items()}
        for split, tokens_NT in parts.items():
            digest.update(f"{split} {tuple(tokens_NT.shape)}\n".encode())
            digest.update(tokens_NT.numpy().tobytes())
        return digest.hexdigest()

    @property
    def answer_length(self) -> int | None:
        """The needle's length, if it is asked for."""
        return self.config.needle_length if self.config.query else None

    @property
    def primary_metric(self) -> str:
        """Rate of needles that are correct in every token; as published, of needle tokens that are repeated."""
        return "val/needle_exact_match" if self.config.fidelity == "corrected" else "val/echo_rate"

    def _kinds(self, split: Split) -> list[MetricSpec]:
        starts_N = self.examples[split].needle_start_N
        return kinds(self.layout, starts_N, vocab_size=self.vocab_size, top_k=self.config.top_k)

    def at(self, step: int) -> Task:
        """Return the task with the chunks of the curriculum's stage; evaluation always has full length."""
        stage = step // self.config.curriculum_steps_per_stage
        return self._stages[stage] if stage < len(self._stages) else self

    def _as_batch(self, examples: NeedleExamples) -> Batch:
        """Return the examples; as published, with the answer's own tokens as targets of the retrieval loss."""
        if not (self.layout.query and self.config.retrieval_weight):
            return super()._as_batch(examples)
        echo_NT = torch.full_like(examples.tokens_NT, IGNORED)
        length = self.config.needle_length
        echo_NT[:, -length:] = examples.tokens_NT[:, -length:]
        return Batch(examples.tokens_NT, examples.targets_NT, echo_NT)

    def loss(self, logits_BTV: Tensor, batch: Batch) -> Tensor:
        """Return the mean cross-entropy of the scored next tokens; as published, plus that of an echo."""
        # Use only the end of a sequence if only the answer is scored: the vocabulary may be large.
        length = self.config.needle_length
        part = slice(-length - 1, -1) if self.config.scored == "answer" else slice(None)
        loss = mean_nats(logits_BTV[:, part], batch.targets_BT[:, part])
        if batch.echo_BT is None:
            return loss
        return loss + self.config.retrieval_weight * mean_nats(logits_BTV[:, -length:], batch.echo_BT[:, -length:])

    def _scores(self, model: LanguageModel, examples: NeedleExamples) -> dict[str, Tensor]:
        """Score one pass over the whole of each example, and one for each token generated."""
        return score_examples(model, examples, self.layout, self.config.top_k)

    def _whole_scores(
        self, model: LanguageModel, request: EvaluationRequest, scores: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the scores by depth and of the first examples."""
        found = {FIRST_ECHO: scores["echo_rate"][:FIRST_EXAMPLES]}
        if self.layout.query:
            bin_N = self.layout.depth_bins(self.examples[request.split].needle_start_N, NUM_DEPTHS)
            for depth in range(NUM_DEPTHS):
                found[depth_metric(depth)] = scores["needle_exact_match"][bin_N == depth]
        return found

    def _means(self, scores: dict[str, Tensor]) -> dict[str, float]:
        means = super()._means(scores)
        means["unshifted_perplexity"] = perplexity(means.pop("unshifted_nats"))
        return means

    def references(self) -> dict[str, dict[str, float]]:
        """Return the expected scores of models that retrieve nothing; see `metrics`."""
        return reference_scores(self.layout, self.splits, top_k=self.config.top_k)
