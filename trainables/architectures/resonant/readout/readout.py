"""The readout: reads a memory with a query and turns the result into logits that are added to the model's own.

Source:
    attention-free-phase-blocks, `phase_memory.py` (`readout`) and `train.py` (`apply_readout_to_logits`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.architectures.resonant.fields import Head, Mask, Over, Positions, TopKOver, TraceOf
from trainables.architectures.resonant.readout.freezing import zero_gradient_if
from trainables.architectures.resonant.readout.ridge import RidgeProjection
from trainables.randomness import INIT_STD, Constant, Initializer, Normal

CLAMP = 10.0
"""Largest absolute value of a logit that a readout adds."""

SEPARATE_WIDTH = 512
"""Width between trace and vocabulary of a `separate` head."""


def keep_top(score: Tensor, k: int) -> Tensor:
    """Return `score` with all but its k largest entries along the last axis at -inf; k = 0 keeps all."""
    if k == 0 or k >= score.shape[-1]:
        return score
    value, index = score.topk(k, dim=-1)
    return torch.full_like(score, -math.inf).scatter(-1, index, value)


def read_trace(query_BSD: Tensor, trace_BTD: Tensor, *, top_k: int = 0) -> Tensor:
    """Return what S queries read from the trace: Σ over j of softmax_j(cos(q, m_j)) · m_j, at temperature 1.

    The queries are those of the last S positions; each reads up to its own position. Cosines lie between -1 and 1,
    so that no position of n gets more than e² / (n - 1 + e²) of the weight: without `top_k` a long trace is read
    almost uniformly. Time and memory O(S·T).

    Args:
        query_BSD: Queries of any length.
        trace_BTD: The memory after every position.
        top_k: Positions a query reads, those of the largest cosines; 0: all.
    """
    num_queries, num_positions = query_BSD.shape[1], trace_BTD.shape[1]
    wide = torch.promote_types(query_BSD.dtype, torch.float32)
    query_BSD = functional.normalize(query_BSD.to(wide), dim=-1)
    cosine_BST = query_BSD @ functional.normalize(trace_BTD.to(wide), dim=-1).transpose(1, 2)
    position_T = torch.arange(num_positions, device=trace_BTD.device)
    future_ST = position_T > position_T[num_positions - num_queries :, None]
    weight_BST = keep_top(cosine_BST.masked_fill(future_ST, -math.inf), top_k).softmax(-1)
    return (weight_BST @ trace_BTD.to(wide)).to(trace_BTD.dtype)


def ids_from(tokens_BT: Tensor, first_S: Tensor, window: int, vocab_size: int) -> Tensor:
    """Return which ids are among the `window` tokens from `first_S` on, for each of the last S positions: ids_BSV.

    No position sees later tokens than itself, so that there may be fewer, or none.
    """
    num_positions, num_queries = tokens_BT.shape[1], len(first_S)
    index_SN = first_S[:, None] + torch.arange(window, device=tokens_BT.device)
    position_S = torch.arange(num_positions - num_queries, num_positions, device=tokens_BT.device)
    is_seen_SN = (index_SN >= 0) & (index_SN <= position_S[:, None])
    id_BSN = tokens_BT[:, index_SN.clamp(0, num_positions - 1)].masked_fill(~is_seen_SN, vocab_size)
    ids_BSW = torch.zeros(len(tokens_BT), num_queries, vocab_size + 1, dtype=torch.bool, device=tokens_BT.device)
    return ids_BSW.scatter_(2, id_BSN, True)[..., :vocab_size]


class SeparateHead(nn.Module):
    """Logits from what is read: D → 512, layer norm, GELU, → V, without biases.

    While `frozen` is set its parameters are not trained, see `freezing`.
    """

    def __init__(self, d_model: int, vocab_size: int) -> None:
        super().__init__()
        self.frozen = False
        self.inner_DE = nn.Parameter(torch.empty(d_model, SEPARATE_WIDTH))
        self.scale_E = nn.Parameter(torch.empty(SEPARATE_WIDTH))
        self.shift_E = nn.Parameter(torch.empty(SEPARATE_WIDTH))
        self.outer_EV = nn.Parameter(torch.empty(SEPARATE_WIDTH, vocab_size))
        self.initializers: dict[str, Initializer] = {
            "inner_DE": Normal(INIT_STD),
            "scale_E": Constant(1.0),
            "shift_E": Constant(0.0),
            "outer_EV": Normal(INIT_STD),
        }

    def forward(self, read_BSD: Tensor) -> Tensor:
        """Return logits_BSV."""
        inner_DE, scale_E, shift_E, outer_EV = (
            zero_gradient_if(parameter, frozen=self.frozen)
            for parameter in (self.inner_DE, self.scale_E, self.shift_E, self.outer_EV)
        )
        normed_BSE = functional.layer_norm(read_BSD @ inner_DE, (SEPARATE_WIDTH,), scale_E, shift_E)
        return functional.gelu(normed_BSE) @ outer_EV


class Readout(nn.Module):
    """Adds to the logits what a query reads from a memory.

    Args:
        d_model: Width D.
        vocab_size: Size of the vocabulary V, for the `separate` head.
        query: Maps h_BTD to a query at every position.
        projection: Maps what is read to the space of the embeddings (`pvm2emb`), before the `shared` head.
        over: `trace` reads all past states by cosine, O(T·d) memory; `state` reads the current one, O(d), and
            ignores the query.
        positions: Where logits are added: at `all`, or at the `last` only, as published.
        mask: Lets only some ids through; all others get the smallest logit. `window`: those of the last `window`
            tokens. `answer`, as published: those of the answer's own first `window` tokens in the input, which
            reveals it to the model.
        window: Tokens whose ids the mask lets through.
        top_k: How many to keep; 0: all.
        top_k_over: Positions of the `trace` that are read, or ids of the `vocabulary` (as with the published
            flag): the others get the smallest logit.
        scale: Multiplies the logits before they are clamped to ±10: what the mask holds back gets -10 at any scale.
        head: `shared` is the model's own; `separate` a network (`SeparateHead`) applied to what is read,
            without projection. As published the separate head is built and never used.
        of: Whose trace a sequence reads: its `own`, or that of the batch's `first`, as published.
        freeze_steps: First steps in which the separate head is not trained; the projection is frozen separately.
    """

    def __init__(
        self,
        d_model: int,
        vocab_size: int,
        *,
        query: nn.Module,
        projection: RidgeProjection,
        over: Over = "trace",
        positions: Positions = "all",
        mask: Mask = "none",
        window: int = 16,
        top_k: int = 0,
        top_k_over: TopKOver = "trace",
        scale: float = 1.0,
        head: Head = "shared",
        of: TraceOf = "own",
        freeze_steps: int = 0,
    ) -> None:
        super().__init__()
        self.over, self.positions, self.mask, self.of = over, positions, mask, of
        self.window, self.top_k, self.top_k_over, self.scale = window, top_k, top_k_over, scale
        self.freeze_steps = freeze_steps
        self.query = query if over == "trace" else None
        self.projection = projection if head == "shared" else nn.Identity()
        self.separate = SeparateHead(d_model, vocab_size) if head == "separate" else None

    def set_step(self, step: int) -> None:
        """Freeze or unfreeze, as required right before 0-based `step`."""
        if isinstance(self.projection, RidgeProjection):
            self.projection.set_step(step)
        if self.separate is not None:
            self.separate.frozen = step < self.freeze_steps

    def read(self, h_BTD: Tensor, trace_BTD: Tensor, query: nn.Module | None = None) -> Tensor:
        """Return what is read from one trace, read_BSD; S is T, or 1 if only the last position is read.

        Over several blocks, the reads are averaged.

        Args:
            h_BTD: Hidden states that the query is computed from.
            trace_BTD: The memory after every position, rotated as it is read.
            query: Another query than the readout's.
        """
        if self.of == "first":
            trace_BTD = trace_BTD[:1].expand_as(trace_BTD)
        last = -1 if self.positions == "last" else 0
        if self.query is None:
            return trace_BTD[:, last:]
        query_BSD = (query or self.query)(h_BTD)[:, last:]
        return read_trace(query_BSD, trace_BTD, top_k=self.top_k if self.top_k_over == "trace" else 0)

    def logits(
        self,
        read_BSD: Tensor,
        tokens_BT: Tensor,
        head: Callable[[Tensor], Tensor],
        *,
        answer_length: int | None = None,
    ) -> Tensor:
        """Return the logits to be added for what is read, logits_BTV; 0 at positions that are not read.

        Args:
            read_BSD: What `read` returned.
            tokens_BT: The inputs, for the mask.
            head: The language-model head, from width D to the vocabulary.
            answer_length: Tokens at the end of the inputs that are the answer; None: all of them.
        """
        logits_BSV = head(self.projection(read_BSD)) if self.separate is None else self.separate(read_BSD)
        if self.mask != "none":
            first_S = self._mask_starts(read_BSD.shape[1], tokens_BT, answer_length)
            ids_BSV = ids_from(tokens_BT, first_S, self.window, logits_BSV.shape[2])
            logits_BSV = logits_BSV.masked_fill(~ids_BSV, -math.inf)
        if self.top_k_over == "vocabulary":
            logits_BSV = keep_top(logits_BSV, self.top_k)
        logits_BSV = (self.scale * logits_BSV).clamp(-CLAMP, CLAMP)
        return functional.pad(logits_BSV, (0, 0, tokens_BT.shape[1] - read_BSD.shape[1], 0))

    def _mask_starts(self, num_queries: int, tokens_BT: Tensor, answer_length: int | None) -> Tensor:
        """Return the first token whose id the mask lets through at each of the last positions, first_S."""
        num_positions = tokens_BT.shape[1]
        if self.mask == "window":
            last = torch.arange(num_positions - num_queries, num_positions, device=tokens_BT.device)
            return last + 1 - self.window
        start = 0 if answer_length is None else max(num_positions - answer_length, 0)
        return torch.full((num_queries,), start, device=tokens_BT.device)
