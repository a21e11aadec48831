"""The configuration of the GPT backbone shared by all families, and of the transformer, which is that backbone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from trainables.architectures.base.config import ArchitectureConfig
from trainables.layers.fields import Positions
from trainables.registry import register_architecture

if TYPE_CHECKING:
    from trainables.architectures.base.model import LanguageModel
    from trainables.layers.mixer import Mixer


class BackboneConfig(ArchitectureConfig):
    """A family built on the shared backbone; it overrides `build_mixer`."""

    builds = "trainables.architectures.gpt.model:BackboneModel"

    residual_init: Literal["scaled", "plain"] = "scaled"
    """Initialisation of the last weights of a residual branch: `scaled` as in GPT-2, smaller the deeper the model,
    or `plain`, like every other matrix."""
    linear_init: Literal["gpt2", "xavier", "xavier_uniform"] = "gpt2"
    """Initialisation of linear layers: as in GPT-2; or with Glorot's variance, 2 / (inputs + outputs), normal or
    uniform, whatever `residual_init` says."""
    positions: Positions = "learned"
    """Position encoding. Only learned positions limit the length to that of training."""
    tie_head: bool = True
    """Whether the output head shares its weights with the token embedding."""
    head_bias: bool = False
    """Whether the output head has a bias, 0 at the start."""
    checkpoint_blocks: bool = False
    """Activation checkpointing: the backward pass recomputes each block instead of keeping its activations. Less
    memory, about a third more time, the same result."""

    @model_validator(mode="after")
    def _budget_has_a_width(self) -> BackboneConfig:
        if self.parameter_budget is not None and self.ffn_multiplier == 0:
            raise ValueError(
                f"parameter_budget={self.parameter_budget:,} is met by the feed-forward width, but "
                "ffn_multiplier=0 asks for no feed-forward layers; drop one of the two"
            )
        if self.parameter_budget is not None and self.parameter_budget < (least := self._num_ffn_parameters(1)):
            raise ValueError(
                f"parameter_budget={self.parameter_budget:,} is too small: the feed-forward layers alone need "
                f"{least:,} at least"
            )
        return self

    def _num_ffn_parameters(self, width: int) -> int:
        return self.num_layers * (2 * self.d_model * width + self.bias * (self.d_model + width))

    @property
    def min_trained_parameters(self) -> int:
        """Those of the feed-forward layers; a parameter budget decides them only when all others are counted."""
        return self._num_ffn_parameters(self.ffn_width(0)) if self.parameter_budget is None else 0

    @property
    def residual_std(self) -> float:
        """Initial standard deviation of the last weights of every residual branch.

        `scaled` is 0.02 / sqrt(2 * num_layers): the residual stream keeps its scale however many branches (two
        a layer) are added to it.

        Source:
            Radford et al. (2019), "Language models are unsupervised multitask learners", section 2.3.
        """
        from trainables.randomness import INIT_STD

        return INIT_STD if self.residual_init == "plain" else INIT_STD / math.sqrt(2 * max(1, self.num_layers))

    @property
    def outer_dropout(self) -> float:
        """Dropout of embeddings and feed-forward layers."""
        return self.dropout

    def build_mixer(self, layer: int) -> Mixer:
        """Return the mixer of 0-based `layer`; causal softmax attention unless a family overrides it."""
        from trainables.layers.attention import CausalSelfAttention

        return CausalSelfAttention(
            self.d_model, self.num_heads, init_std=self.residual_std, dropout=self.dropout, bias=self.bias
        )

    def build(self, *, vocab_size: int, max_seq_len: int) -> LanguageModel:
        """Build the model.

        Raises:
            ValueError: If `parameter_budget` cannot be met.
        """
        model: LanguageModel = self.built_class()(self, vocab_size=vocab_size, max_seq_len=max_seq_len)
        return model

    @property
    def masked_token(self) -> int | None:
        """Token that is padding to the mixers that mask it; None: every token is seen."""
        return None

    def num_extra_parameters(self, vocab_size: int) -> int:
        """Return the parameters that a family adds to the backbone; a parameter budget includes them."""
        return 0

    def ffn_width(self, num_other: int) -> int:
        """Return the hidden width of the feed-forward layers.

        Args:
            num_other: Parameters of everything else, which a parameter budget has to cover first.

        Raises:
            ValueError: If `parameter_budget` leaves nothing for the feed-forward layers, or there are none.
        """
        if self.parameter_budget is None:
            return max(1, round(self.ffn_multiplier * self.d_model)) if self.ffn_multiplier else 0
        if self.num_layers == 0:
            raise ValueError("parameter_budget needs num_layers >= 1: it is met by the feed-forward width")
        fixed = num_other + self._num_ffn_parameters(0)
        per_unit = self._num_ffn_parameters(1) - self._num_ffn_parameters(0)
        if self.parameter_budget < fixed + per_unit:
            raise ValueError(
                f"parameter_budget={self.parameter_budget:,} is too small: this model needs {fixed + per_unit:,} "
                f"at least, {fixed:,} of them beside the feed-forward layers"
            )
        return round((self.parameter_budget - fixed) / per_unit)

    def canonical(self) -> dict[str, Any]:
        """Drop `checkpoint_blocks`, heads if no layer has any, and a multiplier that a parameter budget overrides.

        Defaults of fields added later are dropped too, so that older configurations keep their ids.
        """
        fields = super().canonical()
        del fields["checkpoint_blocks"]
        if not self.has_heads:
            del fields["num_heads"]
        for name in ("linear_init", "positions", "tie_head", "head_bias"):
            if fields[name] == BackboneConfig.model_fields[name].default:
                del fields[name]
        if self.parameter_budget is not None:
            del fields["ffn_multiplier"]
        return fields


@register_architecture("transformer", version=1)
class TransformerConfig(BackboneConfig):
    """The shared backbone with its default mixer."""

    name: Literal["transformer"] = "transformer"
