"""Scores of needle examples: what is generated, and what the published code called a hit.

Ties count fractionally: a token that shares the highest logit with three others is a quarter of a hit. So a model
that guesses scores exactly chance, whichever index its argmax would prefer; in bfloat16 ties are common.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.architectures.base.model import LanguageModel
from trainables.tasks.needle.examples import NeedleExamples
from trainables.tasks.needle.layout import Layout
from trainables.tasks.scoring import at_least, generated_hits, half_of, hit_probability, margin


def _nats(logits_NTV: Tensor, targets_NT: Tensor) -> Tensor:
    """Return each sequence's mean negative log-likelihood in float64."""
    wide = torch.promote_types(logits_NTV.dtype, torch.float32)
    nats_N = functional.cross_entropy(logits_NTV.flatten(0, 1).to(wide), targets_NT.flatten(), reduction="none")
    return nats_N.double().view(targets_NT.shape).mean(1)


def input_scores(model: LanguageModel, examples: NeedleExamples, layout: Layout, top_k: int) -> dict[str, Tensor]:
    """Score one forward pass over whole examples, with the answer in the input.

    Returns:
        `echo_hits` and `echo_in_top` (N, L): whether the model repeats the needle's own tokens where it reads them
        in the context, which is the published hit. `echo_margin` (N,): by how much. `unshifted_nats` (N,): the
        loss of repeating the input, in the answer, or everywhere if there is none. `nats` (N,), if there is an
        answer: its loss as next tokens.
    """
    tokens_NT, needle_start_N = examples.tokens_NT, examples.needle_start_N
    logits_NTV = model(tokens_NT).logits_BTV
    positions_NL = needle_start_N[:, None] + torch.arange(layout.needle_length, device=needle_start_N.device)
    own_NL = tokens_NT.gather(1, positions_NL)
    rows_N1 = torch.arange(len(needle_start_N), device=needle_start_N.device)[:, None]
    at_needle_MV = logits_NTV[rows_N1, positions_NL].flatten(0, 1)
    start = layout.answer_start if layout.query else 0
    scores = {
        "echo_hits": hit_probability(at_needle_MV, own_NL.flatten(), 1).view(own_NL.shape),
        "echo_in_top": hit_probability(at_needle_MV, own_NL.flatten(), top_k).view(own_NL.shape),
        "echo_margin": margin(at_needle_MV, own_NL.flatten()).view(own_NL.shape).mean(1),
        "unshifted_nats": _nats(logits_NTV[:, start:], tokens_NT[:, start:]),
    }
    if layout.query:
        scores["nats"] = _nats(logits_NTV[:, start - 1 : -1], tokens_NT[:, start:])
    return scores


def score_examples(model: LanguageModel, examples: NeedleExamples, layout: Layout, top_k: int) -> dict[str, Tensor]:
    """Return every score of every example, each of shape (N,), keyed by the metric that is its mean."""
    found = input_scores(model, examples, layout, top_k)
    scores = {
        "echo_rate": found["echo_hits"].mean(1),
        f"echo_rate_top{top_k}": found["echo_in_top"].mean(1),
        "partial_success": at_least(found["echo_hits"], half_of(layout.needle_length)),
        "echo_margin": found["echo_margin"],
        "unshifted_nats": found["unshifted_nats"],
    }
    if layout.query:
        prefix_NP, needle_NL = examples.tokens_NT.tensor_split([layout.answer_start], dim=1)
        hits_NL, in_top_NL = generated_hits(model, prefix_NP, needle_NL, top_k)
        scores |= {
            "needle_exact_match": hits_NL.prod(1),
            "needle_token_accuracy": hits_NL.mean(1),
            f"needle_top{top_k}_accuracy": in_top_NL.mean(1),
            "needle_nats_per_token": found["nats"],
        }
    return scores
