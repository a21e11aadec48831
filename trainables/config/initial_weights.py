"""Where a trial's first weights come from."""

from __future__ import annotations

from pydantic import Field

import trainables.architectures
import trainables.tasks  # noqa: F401  registers the tasks, as the line above the architectures
from trainables.schema import Schema


class ResumeConfig(Schema):
    """Whose weights a replicate starts with: fine-tuning. The optimiser starts fresh, at step 0."""

    source: str = Field(min_length=1)
    """`arm:NAME` for an arm of the same study and `id:CONFIG_ID` for a configuration in the same results folder,
    each with the same seed; or the path of a `weights.pt`, the same for all seeds."""
    states: list[str] = []
    """Which groups of the model's state are taken over; what groups there are, the architecture says. Unless given:
    all of them."""

    @property
    def arm(self) -> str | None:
        """The arm that `source` names, if it names one."""
        return self.source.removeprefix("arm:") if self.source.startswith("arm:") else None

    @property
    def config_id(self) -> str | None:
        """The configuration that `source` names, if it names one."""
        return self.source.removeprefix("id:") if self.source.startswith("id:") else None


BACKBONE = "backbone"
"""Role of the backbone that was trained before."""


RESUME = "resume"
"""Role of the replicate that is fine-tuned."""
