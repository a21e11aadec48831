"""The recall task: multi-query associative recall (MQAR). Pairs of a key and a value, then keys: which value?

`corrected`, the default, is the task of the literature on attention-free models, in which attention is known to
succeed. `as_published` is the associative recall of the TPI notes: a marker before each query, values that repeat,
keys and values from one pool, keys that are queried twice, uniform gaps, 2,000 training examples; its size is
`vocab_size: 50, num_pairs: 20, num_queries: 5, context_length: 50`. Its target is also at the key's position, and
is withheld: the task is sound, and the leak was in the transformer baseline, which got the targets as decoder
input. `examples` draws the examples, `metrics` defines the metrics and their chance levels.

Source:
    Arora et al. (2023), "Zoology: measuring and improving recall in efficient language models", arXiv:2312.04927.
"""

from __future__ import annotations

import copy
from functools import cached_property

import torch
from torch import Tensor

from trainables.architectures.base.model import LanguageModel
from trainables.metric import Split
from trainables.tasks.base.request import EvaluationRequest
from trainables.tasks.base.task import Task
from trainables.tasks.recall.config import RecallConfig
from trainables.tasks.recall.examples import RecallExamples, draw
from trainables.tasks.recall.metrics import by_distance, kinds, reference_scores
from trainables.tasks.recall.names import distance_metric, pairs_metric
from trainables.tasks.synthetic.task import MetricSpec, SyntheticTask, answer_scores, at_targets


class RecallTask(SyntheticTask[RecallExamples]):
    """Held-out examples, and a source of training examples, which have fewer pairs in a curriculum."""

    stream_name = "RecallTask"
    config: RecallConfig

    def __init__(self, config: RecallConfig) -> None:
        self.layout = self._train_layout = config.layout(config.num_pairs)
        super().__init__(config, vocab_size=config.vocab_size, context_length=config.context_length)
        self._stages = tuple(self._stage(num_pairs) for num_pairs in config.curriculum)

    def _draw(self, size: int, generator: torch.Generator) -> RecallExamples:
        return draw(self._train_layout, size, generator)

    def _stage(self, num_pairs: int) -> RecallTask:
        stage = copy.copy(self)
        stage._train_layout = self.config.layout(num_pairs)
        stage._fixed = stage._fixed_training()
        return stage

    @cached_property
    def _others(self) -> dict[Split, dict[int, RecallExamples]]:
        """Held-out examples with other numbers of pairs."""
        return {
            split: {
                number: draw(self.config.layout(number), len(examples), self._stream(split, f"{number} pairs"))
                for number in self.config.scored_pairs
            }
            for split, examples in self.examples.items()
        }

    @property
    def primary_metric(self) -> str:
        """Rate of correct answers."""
        return "val/recall_accuracy"

    def at(self, step: int) -> Task:
        """Return the task with the pairs of the curriculum's stage; evaluation always has all of them."""
        stage = step // self.config.curriculum_steps_per_stage
        return self._stages[stage] if stage < len(self._stages) else self

    def _kinds(self, split: Split) -> list[MetricSpec]:
        num_queries = {number: self.config.layout(number).num_queries for number in self.config.scored_pairs}
        return kinds(self.layout, self.examples[split], num_queries)

    def _scores(self, model: LanguageModel, examples: RecallExamples) -> dict[str, Tensor]:
        logits_NQV, answers_NQ = at_targets(model, examples)
        return {
            **answer_scores("recall", logits_NQV, answers_NQ),
            "recall_choice_accuracy": choice_hits(logits_NQV, answers_NQ, examples.values_NK),
        }

    def _whole_scores(
        self, model: LanguageModel, request: EvaluationRequest, scores: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the accuracy by distance and by number of pairs."""
        hits_M = scores["recall_accuracy"].flatten()
        quarters = by_distance(self.examples[request.split].distance_NQ)
        found = {distance_metric(quarter): hits_M[chosen] for quarter, chosen in enumerate(quarters)}
        for number, examples in self._others[request.split].items():
            found[pairs_metric(number)] = self._score_all(model, examples, request)["recall_accuracy"]
        return found

    def references(self) -> dict[str, dict[str, float]]:
        """Return the expected scores of models that recall nothing; see `metrics`."""
        numbers = (self.config.num_pairs, *self.config.scored_pairs)
        return reference_scores(tuple(map(self.config.layout, numbers)), self.examples)


def choice_hits(logits_NQV: Tensor, answers_NQ: Tensor, values_NK: Tensor) -> Tensor:
    """Return the probability that each answer is the likeliest of the values shown, ties broken at random.

    A value that is shown twice counts twice in a tie.
    """
    num_queries = answers_NQ.shape[1]
    logits_NQK = logits_NQV.gather(2, values_NK[:, None].expand(-1, num_queries, -1))
    is_best_NQK = logits_NQK == logits_NQK.amax(2, keepdim=True)
    is_right_NQK = values_NK[:, None] == answers_NQ[..., None]
    # No logit equals a NaN, so a NaN among them gives 0 / 0.
    return (is_best_NQK & is_right_NQK).sum(2).double() / is_best_NQK.sum(2)
