"""Softmax attention with any position encoding, and an attractor beside it.

Shapes: B batch, T positions, S positions seen, D channels, H heads, K width of a head.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from trainables.layers.attention import KeyValueCache, SelfAttention
from trainables.layers.decayed_sum import ScanState
from trainables.layers.encodings.added import SpiralVector
from trainables.layers.encodings.alibi import alibi_bias
from trainables.layers.encodings.attractor import Attractor
from trainables.layers.encodings.fields import EncodingConfig
from trainables.layers.encodings.rotary import HybridRotation, build_rotation, rotated
from trainables.layers.mixer import MixerOutput

QUERY_BLOCK = 512
"""Queries whose biases are held at once: those of all positions would take memory of T²."""


class EncodedState(NamedTuple):
    """What has been seen: enough to continue the sequence."""

    cache: KeyValueCache
    attractor: ScanState | None


class EncodedAttention(SelfAttention):
    """Multi-head softmax attention that learns of positions by `encoding`.

    Args:
        d_model: Width D; `num_heads` must divide it.
        num_heads: Heads.
        encoding: How it learns of positions. Vectors added to the embedding are not its concern.
        attractor: Added to its output; None: nothing.
        causal: False: over all positions, later ones included.
        positions_restart: Whether the first token of every call of `stream` has position 0, as published.
        init_std: Initial standard deviation of the weights of the output projection.
        dropout: Of the attention weights, and after the output projection.
        bias: Biases in both projections.

    Source:
        pie-spiral f4f10cd: a spiral is added to what queries, keys and values are made of.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        encoding: EncodingConfig,
        attractor: Attractor | None,
        *,
        causal: bool,
        positions_restart: bool,
        init_std: float,
        dropout: float,
        bias: bool,
    ) -> None:
        super().__init__(d_model, num_heads, init_std=init_std, dropout=dropout, bias=bias, causal=causal)
        head_width = d_model // num_heads
        self.encoding, self.positions_restart = encoding, positions_restart
        is_added = encoding.is_spiral and encoding.applied == "added"
        self.rotation = None if encoding.scheme == "none" else build_rotation(encoding, head_width)
        self.to_input = SpiralVector(encoding, d_model) if is_added and not encoding.is_hybrid else None
        self.to_heads = SpiralVector(encoding, head_width) if is_added and encoding.is_hybrid else None
        self.attractor = attractor

    def forward(self, x_BTD: Tensor) -> MixerOutput:
        """Attend; time O(T²), memory O(T) where the backend has a fused kernel."""
        y_BTD = self._output(x_BTD)
        return MixerOutput(y_BTD if self.attractor is None else y_BTD + self.attractor(x_BTD, y_BTD))

    def _output(self, x_BTD: Tensor) -> Tensor:
        """Return the output of attention, to which an attractor may add."""
        position_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
        q_BHTK, k_BHTK, v_BHTK = self.placed(x_BTD, position_T)
        dropout = self.dropout if self.training else 0.0
        if self.encoding.scheme == "alibi":
            mixed_BHTK = self._biased(q_BHTK, k_BHTK, v_BHTK, position_T, position_T, dropout=dropout)
        else:
            mixed_BHTK = functional.scaled_dot_product_attention(
                q_BHTK, k_BHTK, v_BHTK, dropout_p=dropout, is_causal=self.causal
            )
        y_BTD: Tensor = self.out_dropout(self.out(mixed_BHTK.transpose(1, 2).flatten(2)))
        return y_BTD

    def placed(self, x_BTD: Tensor, position_T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each of shape BHTK, that know of their positions."""
        if self.to_input is not None:
            x_BTD = x_BTD + self.to_input(position_T, x_BTD.dtype)
        q_BHTK, k_BHTK, v_BHTK = self.heads(x_BTD)
        if self.rotation is not None:
            turn = self.rotation(position_T, q_BHTK.dtype)
            q_BHTK, k_BHTK = rotated(q_BHTK, *turn), rotated(k_BHTK, *turn)
        if self.to_heads is not None:
            assert isinstance(self.rotation, HybridRotation)
            share_T1 = self.rotation.share(position_T).unsqueeze(-1).to(q_BHTK.dtype)
            e_TK = share_T1 * self.to_heads(position_T, q_BHTK.dtype)
            q_BHTK, k_BHTK = q_BHTK + e_TK, k_BHTK + e_TK
        return q_BHTK, k_BHTK, v_BHTK

    def _biased(
        self,
        q_BHTK: Tensor,
        k_BHSK: Tensor,
        v_BHSK: Tensor,
        query_T: Tensor,
        key_S: Tensor,
        *,
        dropout: float = 0.0,
    ) -> Tensor:
        """Attend with ALiBi's bias, to keys up to each query, a block of queries after the other."""
        num_before = len(key_S) - len(query_T)
        blocks = []
        for start in range(0, len(query_T), QUERY_BLOCK):
            end = min(start + QUERY_BLOCK, len(query_T))
            seen = slice(None, num_before + end) if self.causal else slice(None)
            bias_HNS = self._bias(query_T[start:end], key_S[seen], q_BHTK.dtype)
            blocks.append(
                functional.scaled_dot_product_attention(
                    q_BHTK[:, :, start:end],
                    k_BHSK[:, :, seen],
                    v_BHSK[:, :, seen],
                    attn_mask=bias_HNS.unsqueeze(0),  # with three dimensions no fused kernel takes it
                    dropout_p=dropout,
                )
            )
        return torch.cat(blocks, dim=2)

    def _bias(self, query_T: Tensor, key_S: Tensor, dtype: torch.dtype) -> Tensor:
        return alibi_bias(self.num_heads, query_T, key_S, causal=self.causal, dtype=dtype)

    def stream(self, x_BTD: Tensor, state: EncodedState | None = None) -> tuple[Tensor, EncodedState] | None:
        """Attend, without dropout, to the new positions and those of the cache, which grows with the sequence.

        None if later positions are attended to, or the attractor needs the whole input.
        """
        if not self.causal:
            return None
        num_seen, num_new = 0 if state is None else state.cache.k_BHTK.shape[-2], x_BTD.shape[1]
        start = 0 if self.positions_restart else num_seen
        query_T = torch.arange(start, start + num_new, device=x_BTD.device)
        q_BHTK, k_BHSK, v_BHSK = self.placed(x_BTD, query_T)
        if state is not None:
            k_BHSK, v_BHSK = (
                torch.cat((state.cache.k_BHTK, k_BHSK), -2),
                torch.cat((state.cache.v_BHTK, v_BHSK), -2),
            )
        place_S = torch.arange(num_seen + num_new, device=x_BTD.device)
        if self.encoding.scheme == "alibi":
            mixed_BHTK = self._biased(q_BHTK, k_BHSK, v_BHSK, place_S[num_seen:], place_S)
        else:
            is_seen_TS = place_S[num_seen:].unsqueeze(-1) >= place_S
            mixed_BHTK = functional.scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSK, attn_mask=is_seen_TS)
        y_BTD: Tensor = self.out(mixed_BHTK.transpose(1, 2).flatten(2))
        carried = None
        if self.attractor is not None:
            found = self.attractor.stream(x_BTD, y_BTD, start, None if state is None else state.attractor)
            if found is None:
                return None
            y_BTD, carried = y_BTD + found[0], found[1]
        return y_BTD, EncodedState(KeyValueCache(k_BHSK, v_BHSK), carried)

    def reference(self, x_BTD: Tensor) -> Tensor | None:
        """Attend from the definition, with an explicit T×T matrix, beside the published matrices of the attractor.

        None if the attractor starts with the state of the batch before.
        """
        if self.attractor is not None and self.attractor.state.config.carried:
            return None
        position_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
        weight_BHTT, v_BHTK = self.attended(x_BTD, position_T)
        y_BTD: Tensor = self.out((weight_BHTT @ v_BHTK).transpose(1, 2).flatten(2))
        return y_BTD if self.attractor is None else y_BTD + self.attractor.reference(x_BTD, y_BTD)

    def attended(self, x_BTD: Tensor, position_T: Tensor, queries: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Return the weights of attention as an explicit matrix, of some queries or all, and the values."""
        q_BHTK, k_BHTK, v_BHTK = self.placed(x_BTD, position_T)
        q_BHNK, query_N = q_BHTK[:, :, queries], position_T[queries]
        score_BHNT = q_BHNK @ k_BHTK.transpose(-1, -2) / math.sqrt(q_BHTK.shape[-1])
        if self.encoding.scheme == "alibi":
            score_BHNT = score_BHNT + self._bias(query_N, position_T, score_BHNT.dtype)
        if self.causal:
            score_BHNT = score_BHNT.masked_fill(query_N.unsqueeze(-1) < position_T, -math.inf)
        return score_BHNT.softmax(-1), v_BHTK

    def probes(self, x_BTD: Tensor) -> dict[str, Tensor]:
        """Measure how far attention looks, where a hybrid changes, and what the attractor adds and keeps."""
        seq_len = x_BTD.shape[1]
        position_T = torch.arange(seq_len, device=x_BTD.device)
        blocks = [slice(start, start + QUERY_BLOCK) for start in range(0, seq_len, QUERY_BLOCK)]
        # One sequence and one block of queries after the other: all at once take memory of B·H·T².
        total_H = torch.stack([self._looked_back(x_1TD, position_T, blocks) for x_1TD in x_BTD.split(1)]).mean(0)
        found: dict[str, Any] = {
            "attention_distance": total_H / seq_len,
            # Means over pairs of positions, of t / 2 over t, or of |t − s| over both.
            "attention_distance_null": (seq_len - 1) / 4 if self.causal else (seq_len**2 - 1) / (3 * seq_len),
        }
        if isinstance(self.rotation, HybridRotation):
            found["hybrid_transition"], found["hybrid_width"] = self.rotation.share.place()
            found["hybrid_reach"] = found["hybrid_transition"] / x_BTD.shape[1]
        if self.attractor is not None:
            found |= self._of_attractor(self.attractor, x_BTD, self._output(x_BTD))
        return {name: torch.as_tensor(value) for name, value in found.items()}

    def _looked_back(self, x_1TD: Tensor, position_T: Tensor, blocks: list[slice]) -> Tensor:
        """Return the distances at which a sequence's queries look, weighted by attention and summed, for each
        head."""
        total_H = torch.zeros(self.num_heads, dtype=x_1TD.dtype, device=x_1TD.device)
        for block in blocks:
            weight_1HNT, _ = self.attended(x_1TD, position_T, block)
            distance_NT = (position_T[block].unsqueeze(-1) - position_T).abs()
            total_H = total_H + (weight_1HNT * distance_NT).sum((0, 2, 3))
        return total_H

    @staticmethod
    def _of_attractor(attractor: Attractor, x_BTD: Tensor, y_BTD: Tensor) -> dict[str, float | Tensor]:
        """Measure an attractor, and what its state takes beside keys and values of as many positions."""
        state = attractor.state
        log_decay = torch.as_tensor(state.log_decay(x_BTD.shape[1]))
        bytes_of_number = torch.promote_types(x_BTD.dtype, torch.float32).itemsize
        return {
            "attractor_half_life": math.log(0.5) / log_decay,
            "attractor_share": attractor(x_BTD, y_BTD).norm() / y_BTD.norm(),
            "attractor_state_bytes": 2.0 * state.width * bytes_of_number,
            "cache_bytes": 2.0 * x_BTD[0].numel() * x_BTD.element_size(),
        }
