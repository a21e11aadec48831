"""The GPT backbone shared by all families: a family replaces its mixers, and nothing else.

Source:
    Radford et al. (2019), "Language models are unsupervised multitask learners" (pre-LN blocks, learned
    positions, tied head, GELU).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables.architectures.base.model import LanguageModel, ModelOutput
from trainables.architectures.gpt.config import BackboneConfig
from trainables.layers.bypass import NoMixer
from trainables.layers.mixer import Mixer, ResidualProjection
from trainables.layers.positions import build_positions
from trainables.randomness import Constant, Initializer, Normal, Uniform


def num_parameters(*modules: nn.Module) -> int:
    """Count the parameters of `modules`, tied ones once per module."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _start_as_xavier(model: nn.Module, *, uniform: bool) -> None:
    """Declare Glorot initialisation for every linear layer; `draw` makes a rule of a standard deviation.

    Source:
        Glorot & Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".
    """
    for part in model.modules():
        if isinstance(part, nn.Linear):
            declared: Any = part
            std = math.sqrt(2 / (part.in_features + part.out_features))
            rule = Uniform(math.sqrt(3) * std) if uniform else Normal(std)
            declared.initializers = {"weight": rule, "bias": Constant(0.0)}


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, d_model: int, width: int, *, init_std: float, dropout: float, bias: bool) -> None:
        super().__init__()
        self.up = nn.Linear(d_model, width, bias=bias)
        self.gelu = nn.GELU()
        self.down = ResidualProjection(width, d_model, init_std=init_std, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Transform each position separately."""
        y_BTD: Tensor = self.dropout(self.down(self.gelu(self.up(x_BTD))))
        return y_BTD


class Block(nn.Module):
    """A pre-norm residual block: norm and mixer, then norm and feed-forward, if there is one."""

    def __init__(self, mixer: Mixer, ffn: FeedForward | None, *, d_model: int, bias: bool) -> None:
        super().__init__()
        self.mixer_norm = nn.Identity() if isinstance(mixer, NoMixer) else nn.LayerNorm(d_model, bias=bias)
        self.mixer = mixer
        self.ffn_norm = None if ffn is None else nn.LayerNorm(d_model, bias=bias)
        self.ffn = ffn

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the residual stream after the block, and the mixer's penalty; `real_BT` is false at padding."""
        mixed = self.mixer(self.mixer_norm(x_BTD), *self._mask(real_BT))
        x_BTD = x_BTD + mixed.y_BTD
        if self.ffn is not None and self.ffn_norm is not None:
            x_BTD = x_BTD + self.ffn(self.ffn_norm(x_BTD))
        return x_BTD, mixed.penalty

    def stream(self, x_BTD: Tensor, state: Any = None) -> tuple[Tensor, Any] | None:
        """Return the residual stream after the block at new positions, and the state; see `Mixer.stream`."""
        mixed = self.mixer.stream(self.mixer_norm(x_BTD), state)
        if mixed is None:
            return None
        x_BTD = x_BTD + mixed[0]
        if self.ffn is not None and self.ffn_norm is not None:
            x_BTD = x_BTD + self.ffn(self.ffn_norm(x_BTD))
        return x_BTD, mixed[1]

    def _mask(self, real_BT: Tensor | None) -> tuple[Tensor, ...]:
        return (real_BT,) if real_BT is not None and self.mixer.masks_padding else ()


class StreamState(NamedTuple):
    """The state of a model after the tokens seen so far."""

    position: int
    """Their number."""
    blocks: list[Any]
    """The state of each block."""


class BackboneModel(LanguageModel):
    """Token and position embedding, blocks, final norm, and a head that may be tied to the token embedding."""

    def __init__(self, config: BackboneConfig, *, vocab_size: int, max_seq_len: int) -> None:
        super().__init__()
        d_model, num_layers, bias = config.d_model, config.num_layers, config.bias
        self.d_model = d_model
        self.checkpoint_blocks, self.masked_token = config.checkpoint_blocks, config.masked_token
        self.token_embedding = nn.Embedding(vocab_size, d_model)
        self.position_embedding = build_positions(config.positions, max_seq_len, d_model)
        self.embedding_dropout = nn.Dropout(config.outer_dropout)
        self.final_norm = nn.LayerNorm(d_model, bias=bias)
        self.output = None if config.tie_head else nn.Linear(d_model, vocab_size, bias=False)
        self.head_bias_V = nn.Parameter(torch.zeros(vocab_size)) if config.head_bias else None
        self.initializers: dict[str, Initializer] = {"head_bias_V": Constant(0.0)}
        mixers = [config.build_mixer(layer) for layer in range(num_layers)]
        num_norms = 1 + num_layers + sum(not isinstance(mixer, NoMixer) for mixer in mixers)
        heads = [] if self.output is None else [self.output]
        num_other = num_parameters(self.token_embedding, self.position_embedding, *heads, *mixers)
        num_other += vocab_size * config.head_bias + config.num_extra_parameters(vocab_size)
        num_other += num_norms * num_parameters(self.final_norm)
        width = config.ffn_width(num_other)
        self.blocks = nn.ModuleList(
            Block(
                mixer,
                FeedForward(d_model, width, init_std=config.residual_std, dropout=config.outer_dropout, bias=bias)
                if width
                else None,
                d_model=d_model,
                bias=bias,
            )
            for mixer in mixers
        )
        if config.linear_init != "gpt2":
            _start_as_xavier(self, uniform=config.linear_init != "xavier")

    def forward(self, tokens_BT: Tensor) -> ModelOutput:
        """Predict the next token at every position.

        Raises:
            ValueError: If the sequence is longer than the model's positions.
        """
        h_BTD, penalty = self.through(self.embed(tokens_BT), self._real(tokens_BT))
        return ModelOutput(self.head(h_BTD), penalty)

    def stream(self, tokens_BT: Tensor, state: StreamState | None = None) -> tuple[Tensor, StreamState] | None:
        """Return the logits of tokens that continue a sequence, and the state.

        None if a mixer has no state, or padding is masked.
        """
        found = self._streamed(tokens_BT, state)
        return None if found is None else (self.head(found[0]), found[1])

    def prefill(self, tokens_BT: Tensor, state: StreamState | None = None) -> tuple[Tensor, StreamState] | None:
        """As `stream`, with the logits of the last token only."""
        found = self._streamed(tokens_BT, state)
        return None if found is None else (self.head(found[0][:, -1]), found[1])

    def _streamed(self, tokens_BT: Tensor, state: StreamState | None) -> tuple[Tensor, StreamState] | None:
        """Return what the head reads, h_BTD, of tokens that continue a sequence, and the state."""
        if self.masked_token is not None:
            return None
        start = 0 if state is None else state.position
        found = self.stream_through(self.embed(tokens_BT, start), None if state is None else state.blocks)
        return None if found is None else (found[0], StreamState(start + tokens_BT.shape[1], found[1]))

    def stream_through(self, x_BTD: Tensor, states: list[Any] | None) -> tuple[Tensor, list[Any]] | None:
        """Apply the blocks and the final norm at new positions; also return each block's state."""
        after: list[Any] = []
        for block, state in zip(self.blocks, states or [None] * len(self.blocks), strict=True):
            found = block.stream(x_BTD, state) if isinstance(block, Block) else None
            if found is None:
                return None
            x_BTD = found[0]
            after.append(found[1])
        return self.final_norm(x_BTD), after

    def _real(self, tokens_BT: Tensor) -> Tensor | None:
        """Return real_BT, false at padding; None if padding is not masked."""
        return None if self.masked_token is None else tokens_BT != self.masked_token

    def through(self, x_BTD: Tensor, real_BT: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Apply the blocks and the final norm to an embedding; also return the sum of the blocks' penalties."""
        penalty = torch.zeros((), device=x_BTD.device)
        for block in self.blocks:
            x_BTD, block_penalty = self._through(block, x_BTD, real_BT)
            if block_penalty is not None:
                penalty = penalty + block_penalty
        return self.final_norm(x_BTD), penalty

    def transform(self, x_BTD: Tensor) -> Tensor:
        """Apply the blocks and the final norm to an embedding."""
        return self.through(x_BTD)[0]

    def head(self, h_BTD: Tensor) -> Tensor:
        """Return the logits."""
        return nn.functional.linear(h_BTD, self.head_VD, self.head_bias_V)

    @property
    def embedding_VD(self) -> Tensor:
        """The rows of the token embedding."""
        return self.token_embedding.weight

    @property
    def head_VD(self) -> Tensor:
        """The rows of the output head."""
        return self.token_embedding.weight if self.output is None else self.output.weight

    def _through(self, block: nn.Module, x_BTD: Tensor, real_BT: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Apply a block; if it is recomputed in the backward pass, it draws the same random numbers."""
        if self.checkpoint_blocks and torch.is_grad_enabled():
            return checkpoint(block, x_BTD, real_BT, use_reentrant=False)
        return block(x_BTD, real_BT)

    def embed(self, tokens_BT: Tensor, start: int = 0) -> Tensor:
        """Return the input of the first block, for tokens at positions from `start` on.

        Raises:
            ValueError: If the sequence is longer than the model's positions.
        """
        embedded_BTD = self.position_embedding.add_to(self.token_embedding(tokens_BT), start)
        x_BTD: Tensor = self.embedding_dropout(embedded_BTD)
        return x_BTD

    @torch.no_grad()
    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        """Measure every mixer on `tokens_BT`, in evaluation mode.

        Returns:
            `probe/<name>`, the mean over the layers that have it and their heads; `probe/<name>/layer<l>`, the mean
            of one of several layers; and, if it is measured per head, `probe/<name>/layer<l>/head<h>`. Both are
            counted from 0. Nulls are equal in all layers, and so given once.
        """
        was_training = self.training
        self.eval()
        try:
            found = self._mixer_probes(tokens_BT)
        finally:
            self.train(was_training)
        measured: dict[str, float] = {}
        for name in dict.fromkeys(name for probes in found.values() for name in probes):
            layers = {layer: probes[name] for layer, probes in found.items() if name in probes}
            means = [float(value.mean()) for value in layers.values()]
            measured[f"probe/{name}"] = sum(means) / len(means)
            for layer, value_H in layers.items():
                if len(layers) > 1 and not name.endswith("_null"):
                    measured[f"probe/{name}/layer{layer}"] = float(value_H.mean())
                for head, value in enumerate(value_H.tolist() if value_H.ndim else []):
                    measured[f"probe/{name}/layer{layer}/head{head}"] = value
        return measured

    def _mixer_probes(self, tokens_BT: Tensor) -> dict[int, dict[str, Tensor]]:
        """Return the probes of each layer's mixer on its actual input."""
        x_BTD = self.embed(tokens_BT)
        found: dict[int, dict[str, Tensor]] = {}
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            found[layer] = block.mixer.probes(block.mixer_norm(x_BTD))
            x_BTD, _ = block(x_BTD, self._real(tokens_BT))
        return found
