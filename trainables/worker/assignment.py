"""What the driver sends to a worker: one replicate to run, as plain JSON."""

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
    """One replicate, and where and how to run it."""

    config_id: str
    seed: int
    config: dict[str, Any]
    """The TrialConfig, dumped."""
    data_hash: str
    """Expected hash of the worker's own copy of the data."""
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
    """Memory limit of one worker, its process included: of the GPU if `device` is `cuda`, otherwise of the host.
    None: no limit."""
    context_mib: float = 0.0
    """Part of `memory_mib` that the CUDA context takes, as measured on the worker's node; 0 on a CPU, where the
    process measures itself."""
    weight_sources: dict[str, dict[str, str]] = field(default_factory=dict)
    """Which weights it starts from, by role, each a `WeightSource` as a dictionary."""
    earlier_dirs: list[str] = field(default_factory=list)
    """Folders of replicates that are equal to this one until a change of its optimiser, as in
    `TrialConfig.earlier`: it may continue from what they have saved before it."""
    keep_weights: bool = False
    """Whether its trained weights stay in its folder."""
    plugins: list[dict[str, str]] = field(default_factory=list)
    """The plugins that `config` needs, each a `Plugin` as a dictionary."""

    @property
    def key(self) -> tuple[str, int]:
        """The pair that identifies the replicate: (config_id, seed)."""
        return (self.config_id, self.seed)

    def to_json(self) -> str:
        """Return the JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Assignment:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    def read_config(self) -> TrialConfig:
        """Return `config` as an object; activates the plugins that it needs, and drops their other versions.

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
"""Key of a Tune configuration with the Assignment as JSON text, in which Tune resolves nothing."""


ACTOR_KEY = "actor_resources"
"""Key of a Tune configuration with the resources that the trial's actor requests from Ray."""


WORKER_KEY = "worker_resources"
"""Key with the resources that each worker requests from Ray; with one worker, the actor is the worker."""


EVENT_KEY = "replicate_event"
"""Key of a result with an event of the attempt as JSON text, because Tune keeps statistics of every number."""


GROUP_KEY = "placement_group"
"""Key of the one result without an event that a trial of several workers has: the workers' placement group."""
