"""What every architecture is: a configuration that builds a causal language model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from search_spaces.space import SearchSpace
from trainables.metric import Metric
from trainables.schema import NamedConfig

if TYPE_CHECKING:
    from trainables.batch import Batch


class ModelOutput(NamedTuple):
    """What a forward pass returns."""

    logits_BTV: Tensor
    """Unnormalised log-probabilities of the next token."""
    penalty: Tensor
    """Scalar added to the training loss (a regulariser), in nats a token; 0 where there is none."""


class LanguageModel(nn.Module):
    """A model that maps tokens_BT to `ModelOutput`; its logits at t may use tokens up to t only."""

    needs_targets: bool = False
    """Whether its penalty needs the targets. Its forward pass then takes `targets_BT` as a second argument, which
    training gives and scoring does not; no logit may depend on them."""

    @property
    def frozen_state(self) -> frozenset[str]:
        """Names of the state that never changes and is made again elsewhere: no checkpoint holds it."""
        return frozenset()

    @property
    def state_groups(self) -> dict[str, tuple[str, ...]]:
        """What `resume_from` can take over: parts of the state, each as prefixes of names in `state_dict`."""
        return {"all": ("",)}

    def resumed(self, groups: Collection[str]) -> None:
        """Learn which of `state_groups` it has just been given by `resume_from`: they need no preparation."""

    @property
    def learning_rate_factors(self) -> Mapping[str, float]:
        """Learning rates in units of the optimiser's, by the name of the parameter; all others have 1."""
        return {}

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Names of parameters that weight decay leaves alone, whatever the optimiser's rule says."""
        return frozenset()

    def load_weights_from(self, role: str, state: Mapping[str, Tensor]) -> None:
        """Start with the weights of another model.

        Args:
            role: What they are to this one: `backbone` for what `ArchitectureConfig.to_pretrain` has become.
            state: Its state.

        Raises:
            ValueError: If they do not fit, or this model has no such role; the message says what differs.
        """
        raise ValueError(f"{type(self).__name__} takes over no '{role}'")

    def on_step_start(self, step: int, draw: Callable[[], Batch]) -> str | None:
        """Prepare for optimiser step `step`, counted from 0: schedules, calibration, unfreezing.

        It must depend on nothing but its arguments and the state that checkpoints hold, so that a continued
        replicate goes on as if it had never stopped.

        Args:
            step: The step that comes next.
            draw: Returns another training batch on the model's device; of a stream of this step's own.

        Returns:
            A line for the replicate's log, if there is something to tell.
        """
        return None

    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        """Measure the model's own order parameters on `tokens_BT`; names as `probe/<name>`.

        Each is a mean over the sequences, or does not depend on them: it may be asked of parts of them.
        """
        return {}


class ArchitectureConfig(NamedConfig):
    """The fields every family shares, so that a comparison changes one thing."""

    learns: ClassVar[bool] = True
    """Whether a model of this class has anything to train; a control may have nothing."""
    model_class: ClassVar[Any] = None
    """What `build` makes of a family whose model stands in a file apart, set by `@builds` there: a configuration
    imports no model."""
    spaces: ClassVar[Mapping[str, SearchSpace]] = {}
    """What may vary, by name; `search` is what a search moves."""
    probes: ClassVar[tuple[Metric, ...]] = ()
    """What models of this class measure of themselves (`LanguageModel.probes`)."""
    has_heads: ClassVar[bool] = True
    """Whether `num_heads` counts for models of this class."""

    d_model: int = Field(128, ge=1)
    """Width of the residual stream."""
    num_layers: int = Field(4, ge=0)
    num_heads: int = Field(4, ge=1)
    """Heads; must divide `d_model`, but where no layer has heads."""
    ffn_multiplier: float = Field(4.0, ge=0)
    """Hidden width of the feed-forward layers, in units of `d_model`; 0: there are none."""
    parameter_budget: int | None = Field(None, ge=1)
    """If set, the feed-forward width is solved so that the model has this many parameters; overrides
    `ffn_multiplier`. This is how arms are parameter-matched."""
    dropout: float = Field(0.0, ge=0, lt=1)
    bias: bool = False
    """Biases in linear layers and norms."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ArchitectureConfig:
        if self.has_heads and self.d_model % self.num_heads:
            raise ValueError(f"num_heads={self.num_heads} must divide d_model={self.d_model}")
        return self

    @property
    def violates(self) -> frozenset[str]:
        """Contracts this configuration is *known* to break, such as `causality`; tests demand that it does."""
        return frozenset()

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Fields whose value changes neither shape nor life of any tensor: one estimate serves all values."""
        return frozenset()

    @property
    def microbatch_invariant(self) -> bool:
        """Whether splitting a batch leaves the gradients equal: false with dropout, noise, counters of forward
        passes, a penalty that is no mean over sequences, or sequences that see each other."""
        return self.dropout == 0 and "batch_independence" not in self.violates

    noise_per_sequence: ClassVar[tuple[str, ...]] = ("dropout",)
    """Strengths of noise that each sequence draws for itself: a split draws it again, from the same law."""

    @property
    def splits_in_law(self) -> bool:
        """Whether splitting a batch leaves the law of a result: `microbatch_invariant`, but for such noise."""
        return self.model_copy(update=dict.fromkeys(self.noise_per_sequence, 0.0)).microbatch_invariant

    @property
    def shardable(self) -> bool:
        """Whether several workers can divide the model among them: all its blocks are called, and no parameter is a
        single number."""
        return True

    def with_absolute_paths(self) -> ArchitectureConfig:
        """Return the same configuration with every path absolute: workers run in other folders."""
        return self

    def to_pretrain(self) -> ArchitectureConfig | None:
        """Return the backbone that has to be trained before this is; None where there is none.

        The model is given what that training ends with by `LanguageModel.load_weights_from`, as `backbone`.
        """
        return None

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the small configurations that the contract suite checks.

        Every fidelity the class has, each plain and with biases and dropout.

        Args:
            sizes: Other fields, for what `d_model` and the number of layers do not keep small.
        """
        fidelity = cls.model_fields.get("fidelity")
        fidelities = [{"fidelity": value} for value in get_args(fidelity.annotation)] if fidelity else [{}]
        options: list[dict[str, Any]] = [{}, {"bias": True, "dropout": 0.1}]
        return [
            cls.model_validate({"d_model": 16, "num_layers": 2, "num_heads": 2, **sizes, **chosen, **option})
            for chosen in fidelities
            for option in options
        ]

    @abstractmethod
    def build(self, *, vocab_size: int, max_seq_len: int) -> LanguageModel:
        """Build the model with its parameters not yet drawn; `training.randomness.initialise` draws them."""


def count_parameters(config: ArchitectureConfig, *, vocab_size: int, max_seq_len: int) -> int:
    """Return the number of trainable parameters, tied ones once; allocates none of them."""
    with torch.device("meta"):
        model = config.build(vocab_size=vocab_size, max_seq_len=max_seq_len)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


M = TypeVar("M", bound=type[LanguageModel])


def builds(config_class: type[ArchitectureConfig]) -> Callable[[M], M]:
    """Make the decorated class the model of `config_class`."""

    def add(model_class: M) -> M:
        config_class.model_class = model_class
        return model_class

    return add
