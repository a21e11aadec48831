"""Where a trial's initial weights come from."""

from __future__ import annotations

from pydantic import Field

from trainables.schema import Schema


class ResumeConfig(Schema):
    """Which weights a replicate starts from: to fine-tune them, with a fresh optimiser at step 0, or with
    `budget.steps: 0` to evaluate them again."""

    source: str = Field(min_length=1)
    """`arm:NAME` for an arm of the same study and `id:CONFIG_ID` for a configuration in the same results folder,
    each with the same seed; or the path of a `weights.pt`, the same for all seeds."""
    states: list[str] = []
    """Groups of the model's state that are loaded; the architecture defines the groups. Default: all of them; with
    `budget.steps: 0` also counters and averages, so that the model is scored as it was trained."""

    @property
    def arm(self) -> str | None:
        """The arm that `source` names, if it names one."""
        return self.source.removeprefix("arm:") if self.source.startswith("arm:") else None

    @property
    def config_id(self) -> str | None:
        """The configuration that `source` names, if it names one."""
        return self.source.removeprefix("id:") if self.source.startswith("id:") else None


BACKBONE = "backbone"
"""Role of the weights of a pretrained backbone."""


RESUME = "resume"
"""Role of the weights of the replicate that is fine-tuned."""
