"""The interface of every architecture: a configuration that builds a causal language model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from search_spaces.space import SearchSpace
from trainables.metric import Metric
from trainables.schema import NamedConfig

if TYPE_CHECKING:
    from trainables.batch import Batch


class ModelOutput(NamedTuple):
    """The result of a forward pass."""

    logits_BTV: Tensor
    """Unnormalised log-probabilities of the next token."""
    penalty: Tensor
    """Scalar added to the training loss (a regulariser), in nats a token; 0 if there is none."""


class LanguageModel(nn.Module):
    """A model that maps tokens_BT to `ModelOutput`; its logits at t may use tokens up to t only."""

    needs_targets: bool = False
    """Whether its penalty needs the targets. Its forward pass then takes `targets_BT` as a second argument, passed
    in training but not in scoring; no logit may depend on them."""
    answer_length: int | None = None
    """`Task.answer_length`, set by who trains or scores the model on a task."""

    def stream(self, tokens_BT: Tensor, state: Any = None) -> tuple[Tensor, Any] | None:
        """Return the logits_BTV of `forward` for tokens that continue a sequence, and the state after the last one.

        So generation costs one token a step instead of the whole sequence.

        Args:
            tokens_BT: The new tokens; at least one.
            state: The second result of the call on the preceding tokens; None at the start of a sequence.

        Returns:
            None if the model cannot continue from a state: then the sequence has to be passed as a whole.
        """
        return None

    @property
    def frozen_state(self) -> frozenset[str]:
        """Names of state that never changes and can be restored from elsewhere; checkpoints leave it out."""
        return frozenset()

    @property
    def state_groups(self) -> dict[str, tuple[str, ...]]:
        """Parts of the state that `resume_from` can load, each as prefixes of names in `state_dict`."""
        return {"all": ("",)}

    def resumed(self, groups: Collection[str]) -> None:
        """Called with the `state_groups` that `resume_from` has just loaded: they need no preparation."""

    @property
    def learning_rate_factors(self) -> Mapping[str, float]:
        """Learning rates by parameter name, as multiples of the optimiser's; all others have 1."""
        return {}

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Names of parameters that are exempt from weight decay, whatever the optimiser's rule says."""
        return frozenset()

    def load_weights_from(self, role: str, state: Mapping[str, Tensor]) -> None:
        """Initialise from the weights of another model.

        Args:
            role: Purpose of the weights: `backbone` for the trained result of `ArchitectureConfig.to_pretrain`.
            state: The other model's state.

        Raises:
            ValueError: If they do not fit, or this model has no such role; the message says what differs.
        """
        raise ValueError(f"{type(self).__name__} takes over no '{role}'")

    def on_step_start(self, step: int, draw: Callable[[], Batch]) -> str | None:
        """Prepare for optimiser step `step`, counted from 0: schedules, calibration, unfreezing.

        It must depend only on its arguments and on state in checkpoints, so that a resumed replicate continues
        bit-exactly.

        Args:
            step: The next step.
            draw: Returns another training batch on the model's device, from a stream reserved for this step.

        Returns:
            A line for the replicate's log, or None.
        """
        return None

    def probes(self, tokens_BT: Tensor) -> dict[str, float]:
        """Measure the model's own probes, such as order parameters, on `tokens_BT`; names as `probe/<name>`.

        Each is a mean over the sequences, or does not depend on them, so that they may be passed in parts.
        """
        return {}


class ArchitectureConfig(NamedConfig):
    """The fields shared by all families, so that a comparison changes one thing."""

    learns: ClassVar[bool] = True
    """Whether a model of this class has trainable parameters; a control may have none."""
    model_class: ClassVar[Any] = None
    """The class that `build` instantiates if a family's model is in a separate file, set there by `@builds`, so
    that a configuration need not import the model."""
    spaces: ClassVar[Mapping[str, SearchSpace]] = {}
    """Search spaces by name; `search` is the one that a search uses."""
    probes: ClassVar[tuple[Metric, ...]] = ()
    """The probes of models of this class (`LanguageModel.probes`)."""
    has_heads: ClassVar[bool] = True
    """Whether `num_heads` matters for models of this class."""

    d_model: int = Field(128, ge=1)
    """Width of the residual stream."""
    num_layers: int = Field(4, ge=0)
    num_heads: int = Field(4, ge=1)
    """Heads; must divide `d_model` if any layer has heads."""
    ffn_multiplier: float = Field(4.0, ge=0)
    """Hidden width of the feed-forward layers, as a multiple of `d_model`; 0: no feed-forward layers."""
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
        """Contracts this configuration is *known* to break, such as `causality`; tests check that it does."""
        return frozenset()

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Fields that change neither shape nor lifetime of tensors: one memory estimate serves all values."""
        return frozenset()

    @property
    def libraries_mib(self) -> float:
        """Memory that a worker's process takes for libraries which only this configuration imports, MiB."""
        return 0.0

    @property
    def microbatch_invariant(self) -> bool:
        """Whether splitting a batch leaves the gradients equal: false with dropout, noise, counters of forward
        passes, a penalty that is not a mean over sequences, or sequences that see each other."""
        return self.dropout == 0 and "batch_independence" not in self.violates

    noise_per_sequence: ClassVar[tuple[str, ...]] = ("dropout",)
    """Strengths of noise that is drawn anew for each sequence: splitting a batch changes the draws, not their
    distribution."""

    @property
    def splits_in_law(self) -> bool:
        """As `microbatch_invariant`, but such noise is allowed: a split keeps the distribution of results."""
        return self.model_copy(update=dict.fromkeys(self.noise_per_sequence, 0.0)).microbatch_invariant

    @property
    def shardable(self) -> bool:
        """Whether the model can be sharded over several workers: all its blocks are called as modules, and no
        parameter is a scalar."""
        return True

    def with_absolute_paths(self) -> ArchitectureConfig:
        """Return the same configuration with every path absolute, because workers run in other folders."""
        return self

    def to_pretrain(self) -> ArchitectureConfig | None:
        """Return the backbone that has to be trained first; None if there is none.

        Its trained weights are passed to `LanguageModel.load_weights_from` in the role `backbone`.
        """
        return None

    @classmethod
    def contract_configs(cls, **sizes: Any) -> list[Self]:
        """Return the small configurations that the contract suite checks.

        Every fidelity of the class, each plain and with biases and dropout.

        Args:
            sizes: Further fields, for sizes that `d_model` and the number of layers do not keep small.
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
        """Build the model with parameters still uninitialised; `trainables.randomness.initialise` draws them."""


_DRAWING = {nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}


class _Uninitialised(TorchFunctionMode):
    """Skips the random values that PyTorch's layers start with: on `meta` they cost a second and are nothing."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        return given["tensor"] if func in _DRAWING else func(*args, **given)


def count_parameters(config: ArchitectureConfig, *, vocab_size: int, max_seq_len: int) -> int:
    """Return the number of trainable parameters, tied ones once; allocates no memory for them."""
    with torch.device("meta"), _Uninitialised():
        model = config.build(vocab_size=vocab_size, max_seq_len=max_seq_len)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


M = TypeVar("M", bound=type[LanguageModel])


def builds(config_class: type[ArchitectureConfig]) -> Callable[[M], M]:
    """Make the decorated class the model of `config_class`."""

    def add(model_class: M) -> M:
        config_class.model_class = model_class
        return model_class

    return add
