"""What the driver hands to a worker: one replicate to run, as plain JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trainables.config.resources import Sharding
from trainables.config.trial import TrialConfig
from trainables.plugins.files import activate, forget_other_versions
from trainables.registry import Plugin


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One replicate and where and how to run it."""

    config_id: str
    seed: int
    config: dict[str, Any]
    """The TrialConfig, dumped."""
    data_hash: str
    """What the worker's own copy of the data must hash to."""
    data_dir: str | None
    replicate_dir: str
    device: str
    threads: int
    micro_batch_size: int | None
    deterministic: bool
    report_timeout_seconds: float
    """Longest wait for the next report; a longer one is a hang."""
    workers: int = 1
    """Processes that train it together."""
    sharding: Sharding = "replicated"
    memory_mib: int | None = None
    """What one worker may use, its process included: of the GPU if `device` is `cuda`, else of the machine. None:
    no cap."""
    context_mib: float = 0.0
    """What of `memory_mib` the CUDA context takes, as measured where the worker runs; 0 on a CPU, where the process
    measures itself."""
    origins: dict[str, dict[str, str]] = field(default_factory=dict)
    """Whose weights it starts with, by role, each an `WeightSource` as a dictionary."""
    keep_weights: bool = False
    """Whether what it has learnt stays in its folder."""
    plugins: list[dict[str, str]] = field(default_factory=list)
    """The code from outside that `config` names, each a `Plugin` as a dictionary."""

    @property
    def key(self) -> tuple[str, int]:
        """What names the replicate: (config_id, seed)."""
        return (self.config_id, self.seed)

    def to_json(self) -> str:
        """Return the JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Assignment:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    def read_config(self) -> TrialConfig:
        """Return `config` as an object, with the plugins that it names active in this process, in no other version.

        Raises:
            PluginError: If one of them cannot be used here.
            pydantic.ValidationError: If the configuration is not valid.
        """
        for fields in self.plugins:
            plugin = Plugin(**fields)  # type: ignore[arg-type]  # `kind` went through JSON
            activate(plugin)
            forget_other_versions(plugin)
        return TrialConfig.model_validate(self.config)

    @property
    def data_path(self) -> Path | None:
        """`data_dir` as a path."""
        return Path(self.data_dir) if self.data_dir else None


CONFIG_KEY = "assignment"
"""The key of a Tune configuration that says what to run: an Assignment as JSON, in which Tune resolves nothing."""


ACTOR_KEY = "actor_resources"
"""The key of a Tune configuration that says what the trial's actor asks of Ray."""


WORKER_KEY = "worker_resources"
"""The key that says what each worker asks of Ray; where there is one, the actor is the worker."""


EVENT_KEY = "replicate_event"
"""The key of a result: an event of the attempt as JSON, because Tune keeps statistics of every number it sees."""


GROUP_KEY = "placement_group"
"""The key of the one result that a trial of several workers has without an event: the workers' placement group."""
