"""A Hugging Face causal LM as a model of ours: with other positions, partly trained, read on from a cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.architectures.pretrained.adapter import AddedVector, add_at_attention, add_in_last_layers
from trainables.architectures.pretrained.attention import choose_attention
from trainables.architectures.pretrained.attractor import add_attractors
from trainables.architectures.pretrained.blocks import blocks_of, recompute
from trainables.architectures.pretrained.fields import said_of_model
from trainables.architectures.pretrained.fine_tuning import choose_trained
from trainables.architectures.pretrained.loading import load_pretrained
from trainables.architectures.pretrained.offloading import largest_part, offload
from trainables.architectures.pretrained.rotary import SCALED, own_rotary, swap_rotations
from trainables.architectures.pretrained.sequence_state import SequenceState, nothing_read, own_copy
from trainables.architectures.pretrained.untrained import build_untrained
from trainables.randomness import HAS_OWN_WEIGHTS

if TYPE_CHECKING:
    from trainables.architectures.pretrained.config import PretrainedConfig

READ_AT_ONCE = 1024
"""Tokens of a sequence in one pass before generation: attention takes memory for so many times those before."""
LOGITS_AT_ONCE = 1 << 27
"""Logits of one forward pass in scoring: 512 MiB in float32, a sequence of 2,730 tokens of 49,152."""


class PretrainedModel(LanguageModel):
    """A causal LM of `transformers`.

    Its `model` is that of the library, with parts replaced through the library's own hooks: whatever works with
    one, such as its `generate`, works with this.
    """

    def __init__(self, config: PretrainedConfig, *, vocab_size: int, max_seq_len: int) -> None:
        super().__init__()
        self.config, self.vocab_size = config, vocab_size
        if config.is_untrained:
            self.model = build_untrained(config, vocab_size=vocab_size, max_seq_len=max_seq_len)
        else:
            with said_of_model():
                opened = load_pretrained(config.model, quantisation=config.quantisation, dtype=config.dtype)
            self.model = _keeping_weights(opened.model)
        self._check_sizes(vocab_size, max_seq_len)
        self.at_attention: AddedVector | None = None
        self.in_last_layers: AddedVector | None = None
        self.attractors: nn.ModuleList | None = None
        choose_trained(config, self.model)  # before parts of ours are in it, which are trained in any case
        self._choose_positions()
        if config.checkpoint_blocks:
            for block in blocks_of(config.model, self.model):
                recompute(block)
        self.sequences_at_once = max(1, min(self.sequences_at_once, LOGITS_AT_ONCE // (vocab_size * max_seq_len)))

    def _choose_positions(self) -> None:
        """Let the model learn of positions as configured."""
        name, encoding, adapter = self.config.model, self.config.encoding, self.config.adapter
        if encoding is not None:
            swap_rotations(name, self.model, encoding)
            if encoding.scheme == "spiral" and encoding.applied == "added":
                self.at_attention = add_at_attention(name, self.model, encoding)
        alibi = encoding is not None and encoding.scheme == "alibi"
        choose_attention(self.model, alibi=alibi, window=self.config.attention_window)
        if adapter is not None:
            self.in_last_layers = add_in_last_layers(name, self.model, adapter)
        if self.config.attractor is not None:
            self.attractors = add_attractors(name, self.model, self.config.attractor)
            self.attractors.requires_grad_(self.config.train_attractor)

    def _check_sizes(self, vocab_size: int, max_seq_len: int) -> None:
        """Refuse a task with more tokens than the model knows, or longer sequences than it can or should have."""
        name, own = self.config.model, self.model.config
        if vocab_size > own.vocab_size:
            raise ValueError(
                f"model '{name}' knows {own.vocab_size:,} tokens, and the task has {vocab_size:,}; choose the "
                "model's own tokenizer, or one with fewer tokens"
            )
        trained_on: int | None = getattr(own, "max_position_embeddings", None)
        if trained_on is None or max_seq_len <= trained_on:
            return
        what = f"model '{name}' has {trained_on:,} positions, and the task's sequences have {max_seq_len:,} tokens"
        if own_rotary(self.model) is None:
            raise ValueError(f"{what}; shorten the task's sequences: there is no position beyond its table")
        if self.config.extrapolate or max_seq_len <= trained_on * self._extension():
            return
        factor = -(-max_seq_len // trained_on)
        raise ValueError(
            f"{what}; extend them by encoding: {{scheme: yarn, scale: {factor}}}, set extrapolate: true to score "
            "it where it was not trained, or shorten the task's sequences"
        )

    def _extension(self) -> float:
        """Return by which factor the position scheme extends those that the model was trained on."""
        encoding = self.config.encoding
        return encoding.scale if encoding is not None and encoding.scheme in SCALED else 1.0

    def to(self, *args: Any, **options: Any) -> Self:
        """Move to a device and dtype; weights that are offloaded stay, and are brought there when they compute."""
        device = torch.empty(0).to(*args, **options).device
        if not self.config.offload or device.type == "cpu":
            return super().to(*args, **options)
        offload(self.model, device)
        for name, part in self.named_children():
            if name != "model":
                part.to(*args, **options)
        return self

    def on_device(self) -> list[Tensor]:
        """Return all weights, or if they are offloaded those of the largest module."""
        return largest_part(self.model) if self.config.offload else super().on_device()

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        """Predict the next token at every position."""
        logits_BTV = self._own_logits(self.model(input_ids=tokens_BT, use_cache=False).logits)
        return ModelOutput(logits_BTV, logits_BTV.new_zeros(()))

    def _own_logits(self, logits_BTV: Tensor) -> Tensor:
        """Return the logits over the task's vocabulary, in float32 or wider."""
        logits_BTV = logits_BTV[..., : self.vocab_size]
        return logits_BTV.to(torch.promote_types(logits_BTV.dtype, torch.float32))

    @property
    def _can_be_continued(self) -> bool:
        return self.config.attractor is None or not self.config.attractor.needs_whole_input

    def nothing_read(self, *, first_position: int = 0, padding_B: Tensor | None = None) -> SequenceState:
        """Return the state before the first token, for sequences that begin elsewhere or with padding.

        Args:
            first_position: Position of the first token that is no padding.
            padding_B: Tokens of padding at the left of each sequence; None: none.

        Raises:
            ValueError: If there is padding, and an attractor would remember it.
        """
        if padding_B is not None and self.attractors is not None:
            raise ValueError("an attractor would remember padding: pass sequences of equal length")
        return nothing_read(self.model, first_position=first_position, padding_B=padding_B)

    def stream(self, tokens_BT: Tensor, state: SequenceState | None = None) -> tuple[Tensor, SequenceState] | None:
        """Return the logits of tokens that continue a sequence, and the state after them.

        None with an attractor that needs the whole input.
        """
        if not self._can_be_continued:
            return None
        return self._read(tokens_BT, state or self.nothing_read(), keep=0)

    def prefill(self, tokens_BT: Tensor, state: SequenceState | None = None) -> tuple[Tensor, SequenceState] | None:
        """As `stream`, with the logits_BV of the last token only, in passes of `READ_AT_ONCE` tokens."""
        if not self._can_be_continued:
            return None
        state = state or self.nothing_read()
        for part_BT in tokens_BT.split(READ_AT_ONCE, dim=1):
            logits_B1V, state = self._read(part_BT, state, keep=1)
        return logits_B1V[:, -1], state

    def _read(self, tokens_BT: Tensor, state: SequenceState, *, keep: int) -> tuple[Tensor, SequenceState]:
        """Read tokens; return the logits of the last `keep`, of all for 0, and the state after them."""
        cache = own_copy(state.cache)
        output = self.model(
            input_ids=tokens_BT,
            position_ids=state.positions(tokens_BT),
            attention_mask=state.mask(tokens_BT),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        return self._own_logits(output.logits), state.after(tokens_BT.shape[1], cache)

    def _trained(self) -> Iterator[str]:
        return (name for name, value in self.named_parameters(remove_duplicate=False) if value.requires_grad)

    @property
    def frozen_state(self) -> frozenset[str]:
        """The weights that are not trained, which come from the model's files or from the seed."""
        return frozenset(self.state_dict()) - frozenset(self._trained())

    @property
    def state_groups(self) -> dict[str, tuple[str, ...]]:
        """What is trained."""
        return {"trained": tuple(self._trained())}


def _keeping_weights(model: Any) -> Any:
    """Mark the modules of a model that have weights, so that none is drawn anew; those that are added later are."""
    for module in model.modules():
        if any(True for _ in module.parameters(recurse=False)):
            setattr(module, HAS_OWN_WEIGHTS, True)
    return model
