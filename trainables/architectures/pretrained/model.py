"""A Hugging Face causal LM with the interface of our own backbone: embed, transform, head.

The modules inserted between its embedding and its first block are trained. If a model is built without data
(on the meta device to count parameters, on fake tensors to estimate memory), only its configuration is read.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.architectures.pretrained.blocks import ATTENTION_NAMES, BUILT_AS, blocks_of, recompute
from trainables.architectures.pretrained.fields import Dtype, Quantisation
from trainables.architectures.pretrained.loading import load_pretrained

AttentionUse = Literal["kept", "identity", "none"]
"""What replaces a pretrained block's attention: nothing, it is kept; its normed input, h + norm(h), as published;
or zero, h."""

_PROBE_TOKENS = 4


class HuggingFaceBackbone(nn.Module):
    """A causal LM in three parts, so that modules can be inserted between its embedding and its first block.

    The residual stream outside of it is float32, whatever dtype it computes in: phases and small gates do not
    survive bfloat16. Its dropout is disabled; the inserted modules have their own.
    """

    keeps_its_parameters = True

    def __init__(self, model: Any, *, vocab_size: int, frozen: bool, train_head: bool = False) -> None:
        super().__init__()
        self.model = model.requires_grad_(not frozen)
        if train_head:
            model.set_output_embeddings(_own_head(model, vocab_size))
        self.vocab_size = vocab_size
        """Vocabulary size of the task: logits and embedding rows beyond it are left out."""

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    @property
    def max_positions(self) -> int | None:
        """Tokens of the longest sequence it supports; None: any."""
        return _max_positions(self.model.config)

    @property
    def embedding_VD(self) -> Tensor:
        """The weights of the token embedding, in the model's dtype; never quantised."""
        rows_VD: Tensor = self.model.get_input_embeddings().weight
        return rows_VD[: self.vocab_size]

    @property
    def head_VD(self) -> Tensor:
        """The weights of the head, in the model's dtype; never quantised."""
        rows_VD: Tensor = self.model.get_output_embeddings().weight
        return rows_VD[: self.vocab_size]

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """Return the embedding of every token, in float32; positions are added by the blocks."""
        x_BTD: Tensor = self.model.get_input_embeddings()(tokens_BT)
        return _wide(x_BTD)

    def transform(self, x_BTD: Tensor) -> Tensor:
        """Return the blocks' output after the final norm, in float32."""
        # `use_cache` would make every block store its keys and values, for generation.
        output = self.model.base_model(inputs_embeds=x_BTD.to(self.embedding_VD.dtype), use_cache=False)
        h_BTD: Tensor = output.last_hidden_state
        return _wide(h_BTD)

    def head(self, h_BTD: Tensor) -> Tensor:
        """Return the logits over the task's vocabulary, in float32."""
        bias_V: Tensor | None = getattr(self.model.get_output_embeddings(), "bias", None)
        head_VD = self.head_VD
        bias_V = None if bias_V is None else bias_V[: self.vocab_size]
        return _wide(nn.functional.linear(h_BTD.to(head_VD.dtype), head_VD, bias_V))


def _own_head(model: Any, vocab_size: int) -> nn.Linear:
    """Return a copy of a head that shares no weights, in float32, with the rows of the task's vocabulary."""
    head = model.get_output_embeddings()
    bias_V = getattr(head, "bias", None)
    with torch.device("meta"):  # drawn from no stream: its values are the copy's
        own = nn.Linear(head.weight.shape[1], vocab_size, bias=bias_V is not None)
    own.weight = nn.Parameter(_wide(head.weight[:vocab_size].detach()).clone())
    if bias_V is not None:
        own.bias = nn.Parameter(_wide(bias_V[:vocab_size].detach()).clone())
    return own


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def load_backbone(
    source: str,
    *,
    vocab_size: int,
    max_seq_len: int,
    quantisation: Quantisation = "none",
    dtype: Dtype = "float32",
    attention: AttentionUse = "kept",
    frozen: bool = True,
    train_head: bool = False,
    checkpoint_blocks: bool = False,
) -> HuggingFaceBackbone:
    """Load a Hugging Face causal LM as a backbone.

    Args:
        source: A local folder, a hub repository or a package; see `find_source`.
        vocab_size: Vocabulary size of the task; at most the model's. Logits and rows beyond it are left out.
        max_seq_len: Tokens of the longest sequence; at most the model's positions.
        quantisation: For the linear layers in the blocks, by bitsandbytes; embedding and head are not quantised.
        dtype: Of the other weights, and of the computation.
        attention: What replaces each block's attention.
        frozen: Whether the model's own weights are not trained; gradients still flow through them.
        train_head: Whether its head is a copy that is trained, even if the rest is frozen.
        checkpoint_blocks: Whether the backward pass recomputes each block: less memory, more time.

    Raises:
        ValueError: If there is no such model, it is not a causal LM with an embedding and a list of blocks, or it
            does not support the task's sizes; the message says what to do.
    """
    if quantisation != "none" and not frozen:
        raise ValueError(
            f"weights in {quantisation} have no gradients: freeze the backbone, or choose quantisation 'none'"
        )
    opened = load_pretrained(source, quantisation=quantisation, dtype=dtype)
    model = opened.model
    _check_sizes(source, model.config, vocab_size=vocab_size, max_seq_len=max_seq_len)
    blocks = blocks_of(source, model)
    if opened.has_data:
        _check_behaviour(source, model)
    for block in blocks:
        if attention != "kept":
            _bypass_attention(block, keep_input=attention == "identity", is_mapped=opened.is_mapped)
        if checkpoint_blocks:
            recompute(block)
    return HuggingFaceBackbone(model, vocab_size=vocab_size, frozen=frozen, train_head=train_head)


class _Bypass(nn.Module):
    """Replaces a block's attention.

    Args:
        keep_input: Whether it returns its normed input, instead of zero.
        replaced: What is held on to, in a tuple so that it is no part of the model: memory that is not freed
            anyway, so that an estimate knows it.
    """

    def __init__(self, *, keep_input: bool, replaced: tuple[nn.Module, ...]) -> None:
        super().__init__()
        self.keep_input = keep_input
        self.replaced = replaced

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Return the normed input or zero, and no attention weights."""
        return hidden_states if self.keep_input else torch.zeros_like(hidden_states), None


def _bypass_attention(block: nn.Module, *, keep_input: bool, is_mapped: bool) -> None:
    for name, replaced in list(block.named_children()):
        if name in ATTENTION_NAMES:
            setattr(block, name, _Bypass(keep_input=keep_input, replaced=(replaced,) if is_mapped else ()))


def _max_positions(config: Any) -> int | None:
    positions: int | None = getattr(config, "max_position_embeddings", None)
    return positions


def _check_sizes(source: str, config: Any, *, vocab_size: int, max_seq_len: int) -> None:
    if vocab_size > config.vocab_size:
        raise ValueError(
            f"backbone '{source}' knows {config.vocab_size:,} tokens, and the task has {vocab_size:,}; choose "
            "the backbone's own tokenizer, or one with fewer tokens"
        )
    positions = _max_positions(config)
    if positions is not None and max_seq_len > positions:
        raise ValueError(
            f"backbone '{source}' has {positions:,} positions, and the task's sequences have {max_seq_len:,} "
            "tokens; shorten the task's context"
        )


@torch.no_grad()
def _check_behaviour(source: str, model: Any) -> None:
    """Compare a few tokens through the whole model with the same through its three parts.

    Some models scale or cap their logits, or project the embedding to another width, between the parts; and an
    encoder built as a causal LM sees later tokens.
    """
    parts = HuggingFaceBackbone(model, vocab_size=model.config.vocab_size, frozen=True)
    tokens_BT = torch.arange(_PROBE_TOKENS).expand(2, -1).remainder(parts.vocab_size).clone()
    tokens_BT[1, -1] = (tokens_BT[1, -1] + 1) % parts.vocab_size
    logits_BTV = parts.head(parts.transform(parts.embed(tokens_BT)))
    if not _close(logits_BTV, model(input_ids=tokens_BT, use_cache=False).logits):
        what = "does more between its embedding and its logits than its blocks, a norm and a linear head"
    elif not _close(logits_BTV[0, :-1], logits_BTV[1, :-1]):
        what = "lets a position see later tokens"
    else:
        return
    raise ValueError(
        f"backbone '{source}': {type(model).__name__} {what}; choose a causal LM built as {BUILT_AS} are"
    )


def _close(given: Tensor, expected: Tensor) -> bool:
    """Compare with a tolerance far above bfloat16 rounding and far below the effect of a scale or a later token."""
    return torch.allclose(given, expected.float(), rtol=0.02, atol=0.02)
