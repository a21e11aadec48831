"""What the driver hands to a worker: one replicate to run, as plain JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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

    def to_json(self) -> str:
        """Return the JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Assignment:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    @property
    def data_path(self) -> Path | None:
        """`data_dir` as a path."""
        return Path(self.data_dir) if self.data_dir else None
