"""The interface of every model: a causal language model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

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
    sequences_at_once: int = 64
    """Most sequences in one forward pass of scoring and probes; fewer where logits are large."""
    mode: str = ""
    """`ArchitectureConfig.mode`, set by who trains or scores the model: what tables of a task call it."""

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

    def prefill(self, tokens_BT: Tensor, state: Any = None) -> tuple[Tensor, Any] | None:
        """As `stream`, with the logits_BV of the last token only: those of a long prompt take much memory."""
        found = self.stream(tokens_BT, state)
        return None if found is None else (found[0][:, -1], found[1])

    def on_device(self) -> list[Tensor]:
        """Return the parameters and buffers that are on the model's device at the same time."""
        return [*self.parameters(), *self.buffers()]

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
