"""The interface of every architecture's configuration: the fields that all families share, and `build`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

from pydantic import Field, model_validator

from search_spaces.space import SearchSpace
from trainables.metric import Metric
from trainables.schema import NamedConfig

if TYPE_CHECKING:
    from trainables.architectures.base.model import LanguageModel


class ArchitectureConfig(NamedConfig):
    """The fields shared by all families, so that a comparison changes one thing."""

    learns: ClassVar[bool] = True
    """Whether a model of this class has trainable parameters; a control may have none."""
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
    def mode(self) -> str:
        """What is compared, in a word, for tables of long-context benchmarks: by default the architecture."""
        return self.name

    @property
    def memory_neutral(self) -> frozenset[str]:
        """Fields that change neither shape nor lifetime of tensors: one memory estimate serves all values."""
        return frozenset()

    @property
    def min_trained_parameters(self) -> int:
        """Fewest trainable parameters of the model, as far as fields alone tell."""
        return 0

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

    def check_files(self) -> None:
        """Check, without PyTorch and without reading them, that the files exist from which models are built.

        Raises:
            ValueError: If one does not; the message says what to do.
        """
        return

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
