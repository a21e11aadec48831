"""What the evaluations of all tasks share: the choice of sequences, checks, and common scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.base.model import LanguageModel
from trainables.batch import IGNORED
from trainables.tasks.generation import Continuation

_MAX_NATS = 709.0
"""Above it, exp exceeds every float."""


def evenly_spaced(total: int, most: int | None) -> Tensor:
    """Return the indices of up to `most` of `total` sequences, evenly spaced; None: of all."""
    if most is None or most >= total:
        return torch.arange(total)
    return torch.arange(most) * total // most


def mean_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats over the targets that are scored."""
    return nn.functional.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED)


def perplexity(nats_per_token: float) -> float:
    """Return exp of `nats_per_token`: infinite if it exceeds every float, NaN if it is NaN."""
    return math.exp(nats_per_token) if nats_per_token < _MAX_NATS else nats_per_token * math.inf


def hit_probability(logits_NV: Tensor, targets_N: Tensor, k: int) -> Tensor:
    """Return the probability that each target is among the `k` highest logits, ties broken at random.

    Returns:
        float64 of shape (N,); NaN where a logit is NaN.
    """
    wanted_N1 = logits_NV.gather(1, targets_N[:, None])
    above_N, equal_N = (logits_NV > wanted_N1).sum(1), (logits_NV == wanted_N1).sum(1)
    share_N = ((k - above_N).double() / equal_N).clamp(0, 1)
    return share_N.masked_fill(logits_NV.isnan().any(1), math.nan)


def margin(logits_NV: Tensor, targets_N: Tensor) -> Tensor:
    """Return each target's logit minus the largest of the others, in float64: above 0 for a hit, 0 at equality."""
    others_NV = logits_NV.scatter(1, targets_N[:, None], -math.inf)
    return logits_NV.gather(1, targets_N[:, None]).squeeze(1).double() - others_NV.amax(1).double()


def at_least(hits_NL: Tensor, count: int) -> Tensor:
    """Return the probability that at least `count` of L independent events happen, given their probabilities."""
    num_events = hits_NL.shape[1]
    exactly_NK = torch.zeros(hits_NL.shape[0], num_events + 1, dtype=hits_NL.dtype, device=hits_NL.device)
    exactly_NK[:, 0] = 1
    for hit_N in hits_NL.unbind(1):
        one_more_NK = functional.pad(exactly_NK, (1, 0))[:, :-1]
        exactly_NK = exactly_NK * (1 - hit_N[:, None]) + one_more_NK * hit_N[:, None]
    return exactly_NK[:, count:].sum(1)


def half_of(needle_length: int) -> int:
    """Return the number of tokens of a needle that count as a partial success: at least half."""
    return math.ceil(needle_length / 2)


def generated_hits(model: LanguageModel, prefix_NP: Tensor, needle_NL: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """Let the model continue each prefix greedily, token by token, and compare with the needle.

    The model gets only the prefix and its own tokens. If the needle's token shares the highest logit, the model
    continues as if it had chosen it; `hit_probability` counts the tie fractionally.

    Returns:
        For each generated token the probability that it is the needle's, and that the needle's is among the `top_k`
        likeliest: two tensors of shape (N, L).
    """
    tokens_NT, hits, in_top, continuation = prefix_NP, [], [], Continuation(model)
    for wanted_N in needle_NL.unbind(1):
        logits_NV = continuation.logits(tokens_NT)
        hits.append(hit_probability(logits_NV, wanted_N, 1))
        in_top.append(hit_probability(logits_NV, wanted_N, top_k))
        chosen_N = torch.where(hits[-1] > 0, wanted_N, logits_NV.argmax(1))
        tokens_NT = torch.cat([tokens_NT, chosen_N[:, None]], dim=1)
    return torch.stack(hits, 1), torch.stack(in_top, 1)


def token_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Return the negative log-likelihood of each target in at least float32; 0 at positions that are not scored."""
    wide = torch.promote_types(logits_BTV.dtype, torch.float32)
    nats_N = nn.functional.cross_entropy(
        logits_BTV.flatten(0, 1).to(wide), targets_BT.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return nats_N.view(targets_BT.shape)
