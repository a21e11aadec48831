"""TPI's synthetic tasks: associative recall and copying. Statistics of draws, within their sampling error."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.parity.row import Row
from tests.parity.vectors import Vectors, difference
from trainables.batch import IGNORED
from trainables.tasks.copying import CopyConfig
from trainables.tasks.copying.task import BLANK
from trainables.tasks.recall.config import RecallConfig
from trainables.tasks.recall.examples import draw

NUM_EXAMPLES = 20_000
NUM_BATCHES, BATCH_SIZE = 500, 8


def _recall() -> dict[str, float]:
    """Compare examples of the published size with the authors'."""
    vectors = Vectors("recall_statistics")
    sizes = {"vocab_size": 50, "num_pairs": 20, "num_queries": 5, "context_length": 50}
    layout = RecallConfig.model_validate({"fidelity": "as_published", **sizes}).layout(20)
    drawn = draw(layout, NUM_EXAMPLES, torch.Generator().manual_seed(0))
    published = {name: vectors[name].long() for name in ("inputs", "targets")}
    places_Q, marker = vectors["scored_positions"], int(vectors["marker"])
    found = {
        "positions": difference(
            _scored_share(drawn.targets_NT != IGNORED), _scored_share(published["targets"] > 0)
        ),
        "marker": float((drawn.tokens_NT[:, places_Q - 1] != marker).sum()),
    }
    key_NP, value_NP, query_NQ = (
        drawn.tokens_NT[:, 0:40:2],
        drawn.tokens_NT[:, 1:40:2],
        drawn.tokens_NT[:, places_Q],
    )
    is_pair_NQP = query_NQ[:, :, None] == key_NP[:, None, :]
    answer_NQ = (is_pair_NQP * value_NP[:, None, :]).sum(2)
    found["targets"] = float((answer_NQ != drawn.targets_NT[:, places_Q]).sum())
    shares = {
        "repeated_query": _has_equal(query_NQ),
        "repeated_value": _has_equal(value_NP),
        "repeated_key": _has_equal(key_NP),
        "value_is_a_key": (value_NP[:, :, None] == key_NP[:, None, :]).flatten(1).any(1),
    }
    for name, is_so_N in shares.items():
        found[name] = abs(float(is_so_N.double().mean()) - float(vectors[f"share_{name}"]))
    for name, tokens in (("key_counts", key_NP), ("value_counts", value_NP)):
        found[name] = difference(_shares(tokens), vectors[name] / vectors[name].sum())
    counts_P = is_pair_NQP.sum((0, 1))
    theirs_P = vectors["queried_pair_counts"]
    found["queried_pairs"] = difference(counts_P / counts_P.sum(), theirs_P / theirs_P.sum())
    return found


def _scored_share(is_scored_NT: Tensor) -> Tensor:
    return is_scored_NT.double().mean(0)


def _has_equal(tokens_NK: Tensor) -> Tensor:
    """Return which rows hold a token twice."""
    ordered_NK = tokens_NK.sort(1).values
    return (ordered_NK[:, 1:] == ordered_NK[:, :-1]).any(1)


def _shares(tokens: Tensor) -> Tensor:
    return torch.bincount(tokens.flatten(), minlength=50) / tokens.numel()


def _copy() -> dict[str, float]:
    """Compare training batches of the published size with the authors'."""
    vectors = Vectors("copy_examples")
    config = CopyConfig(
        fidelity="as_published", min_symbols=100, num_symbols=500, num_val=20, num_test=0, scored_symbols=()
    )
    task, draw = config.build(None), torch.Generator().manual_seed(0)
    lengths: list[Tensor] = []
    counts_V = torch.zeros(20, dtype=torch.long)
    wrong = 0
    for _ in range(NUM_BATCHES):
        inputs_BT, targets_BT = task.batch(BATCH_SIZE, draw)[:2]
        is_symbol_BT = inputs_BT != BLANK
        lengths.append(is_symbol_BT.sum(1))
        # Symbols come first, only they are scored, and the longest sequence has no padding.
        wrong += int((targets_BT != torch.where(is_symbol_BT, inputs_BT, IGNORED)).sum())
        wrong += int((is_symbol_BT[:, 1:] & ~is_symbol_BT[:, :-1]).sum()) + int(not is_symbol_BT.any(0).all())
        counts_V += torch.bincount(inputs_BT.flatten(), minlength=20)
    length_N = torch.cat(lengths).double()
    differing = sum(len(length_B.unique()) > 1 for length_B in lengths) / NUM_BATCHES
    counts_V[BLANK] = 0
    theirs_V = vectors["symbol_counts_of_2000"]
    theirs_N = vectors["length_counts"].cumsum(0) / vectors["num_examples"]
    ours_N = torch.bincount(length_N.long() - 100, minlength=401).cumsum(0) / len(length_N)
    return {
        "misplaced tokens": float(wrong),
        "batches of one length": 1 - differing,
        "mean length": abs(float(length_N.mean() - vectors["length_mean"])),
        "deviation of lengths": abs(float(length_N.std() - vectors["length_std"])),
        "distribution of lengths": difference(ours_N, theirs_N),
        "symbols": difference(counts_V / counts_V.sum(), theirs_V / theirs_V.sum()),
        "other primary metric": float(task.primary_metric != "val/copy_exact_match"),
    }


ROWS = (
    Row(
        what="associative recall, drawn examples",
        measure=_recall,
        statistic="shares of 20,000 examples",
        tolerance=0.01,
        tolerances={"positions": 0.0, "marker": 0.0, "targets": 0.0, "value_is_a_key": 0.001, "repeated_key": 0.0},
    ),
    Row(
        what="copying, drawn training batches",
        measure=_copy,
        statistic="shares of 4,000 sequences, lengths in symbols",
        tolerance=0.01,
        tolerances={
            "misplaced tokens": 0.0,
            "mean length": 8.0,
            "deviation of lengths": 4.0,
            "distribution of lengths": 0.04,
            "other primary metric": 0.0,
        },
    ),
)
