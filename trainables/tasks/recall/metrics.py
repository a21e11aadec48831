"""Names and meanings of the recall task's metrics, and the scores of models that recall nothing.

There are two chance levels. A model that knows which tokens are values guesses one of V / 2, or of V − 4 if keys
and values share a pool (46 as published). A model that also remembers which values it was shown, but not with which
key, guesses one of K: a rate of 1 / K shows no recall, only a memory of a set. If answers are given there is a
third, (1/K + 1/(K-1) + …) / Q: earlier answers are ruled out without any recall (.34 at K = Q = 8, where 1/K is
.125). So answers are withheld by default. With repeated queries nothing is ruled out, and there is no third.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from trainables.metric import Split
from trainables.tasks.recall.examples import RecallExamples
from trainables.tasks.recall.layout import Layout
from trainables.tasks.recall.names import NUM_DISTANCES, distance_metric, pairs_metric
from trainables.tasks.synthetic.task import MetricSpec


def by_distance(distance_NQ: Tensor) -> tuple[Tensor, ...]:
    """Return which queries, numbered through all examples, are in each quarter when ordered by distance."""
    return distance_NQ.flatten().argsort(stable=True).tensor_split(NUM_DISTANCES)


def value_guess_accuracy(examples: RecallExamples) -> float:
    """Return the accuracy of a guess among the values shown, weighted by how often each was shown.

    It is 1 / K if they are all different.
    """
    answers_NQ = examples.targets_NT[examples.targets_NT >= 0].view(examples.distance_NQ.shape)
    return float((answers_NQ[:, :, None] == examples.values_NK[:, None, :]).double().mean())


def kinds(layout: Layout, examples: RecallExamples, num_queries_of: Mapping[int, int]) -> list[MetricSpec]:
    """Return the metrics of held-out examples; chance is a uniform guess over the vocabulary.

    Args:
        layout: Of the examples.
        examples: Of the split.
        num_queries_of: Queries of an example with each of the further numbers of pairs that are scored.
    """
    guess, num_queries = 1 / layout.vocab_size, layout.num_queries
    asked = f"of {num_queries} queries for {layout.num_pairs} pairs"
    declared = [
        MetricSpec("recall_accuracy", f"answers that are right, {asked}", guess, per_example=num_queries),
        MetricSpec("recall_exact_match", f"examples with all answers right, {asked}", guess**num_queries),
        MetricSpec(
            "recall_choice_accuracy",
            "answers that are right if one of the values shown has to be chosen: association without the rest",
            value_guess_accuracy(examples),
            per_example=num_queries,
        ),
        MetricSpec(
            "recall_nats_per_token",
            "mean negative log-likelihood of an answer",
            math.log(layout.vocab_size),
            "nats/token",
            "minimise",
        ),
    ]
    distance_M = examples.distance_NQ.flatten()
    for quarter, chosen in enumerate(by_distance(examples.distance_NQ)):
        nearest, farthest = int(distance_M[chosen[0]]), int(distance_M[chosen[-1]])
        meaning = f"recall_accuracy of queries {nearest} to {farthest} tokens after their pair"
        num_examples = len((chosen // num_queries).unique())
        declared.append(
            MetricSpec(
                distance_metric(quarter),
                meaning,
                guess,
                examples=num_examples,
                per_example=len(chosen) / num_examples,
                in_subset=False,
            )
        )
    declared += [
        MetricSpec(
            pairs_metric(number),
            f"recall_accuracy of other examples, with {number} pairs",
            guess,
            per_example=asked_then,
            in_subset=False,
        )
        for number, asked_then in num_queries_of.items()
    ]
    return declared


def reference_scores(
    layouts: tuple[Layout, ...], examples: dict[Split, RecallExamples]
) -> dict[str, dict[str, float]]:
    """Return the expected scores of models that recall nothing, as {model: {metric: value}}.

    Args:
        layouts: With the task's own number of pairs first, then with the others that are scored.
        examples: Of the first layout, for each split.
    """
    layout, *others = layouts
    value, num_queries = 1 / layout.num_values, layout.num_queries
    names = [distance_metric(quarter) for quarter in range(NUM_DISTANCES)]
    scores: dict[str, dict[str, float]] = {}
    for split, found in examples.items():
        shown = value_guess_accuracy(found)
        guesses = {
            "guess a value": {
                **dict.fromkeys(["recall_accuracy", *names, *(pairs_metric(o.num_pairs) for o in others)], value),
                "recall_exact_match": value**num_queries,
                "recall_choice_accuracy": shown,
                "recall_nats_per_token": math.log(layout.num_values),
            },
            "guess a value shown": {"recall_accuracy": shown, "recall_choice_accuracy": shown},
        }
        if layout.unique_values:
            guesses["guess a value shown"] |= {
                **dict.fromkeys(names, shown),
                **{pairs_metric(other.num_pairs): 1 / other.num_pairs for other in others},
                "recall_exact_match": shown**num_queries,
                "recall_nats_per_token": math.log(layout.num_pairs),
            }
            if layout.answers_given and not layout.repeated_queries:
                guesses["guess a value not yet given"] = _left_over(layout)
        for model, metrics in guesses.items():
            row = scores.setdefault(model, {})
            row |= {f"{split}/{name}": score for name, score in metrics.items()}
    return scores


def _left_over(layout: Layout) -> dict[str, float]:
    """Return the scores of a guess among the values that no earlier answer has used."""
    left = [layout.num_pairs - place for place in range(layout.num_queries)]
    accuracy = sum(1 / number for number in left) / len(left)
    return {
        "recall_accuracy": accuracy,
        "recall_choice_accuracy": accuracy,
        "recall_exact_match": 1 / math.prod(left),
        "recall_nats_per_token": sum(map(math.log, left)) / len(left),
    }
