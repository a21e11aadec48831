"""The folder of one replicate: what it computed, kept for people and for a continuation."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import yaml


class ReplicateFolder:
    """`replicates/<config_id>/seed=<k>/` with config.yaml, metrics.jsonl, system.csv, log.txt, checkpoint/; at the
    end also metrics.json, metrics.csv, what its task makes of the trained model (samples.txt) and, if it was to be
    kept, weights.pt.

    The journal, not this folder, is the truth about what has ended; the folder may be deleted to start anew.
    """

    SYSTEM_COLUMNS = ("step", "seconds", "tokens_per_second", "peak_memory_mib")

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make the folder, unless it is there from an earlier attempt."""
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def _reports(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The newest checkpoint; may not exist."""
        return self.path / "checkpoint" / "latest.pt"

    @property
    def weights(self) -> Path:
        """What the replicate has learnt, if it was to be kept."""
        return self.path / "weights.pt"

    @property
    def stacks(self) -> Path:
        """Where a worker that hangs leaves its stacks; empty while it works."""
        return self.path / "stacks.txt"

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the resolved configuration with its seed."""
        (self.path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def continue_from(self, step: int) -> None:
        """Drop rows after `step`: a continuation from a checkpoint at `step` writes them again."""
        if self._reports.exists():
            rows = [line for line in self._reports.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
            kept = [row for row in rows if json.loads(row)["step"] <= step]
            self._reports.write_text("".join(f"{row}\n" for row in kept), encoding="utf-8")
        system = self.path / "system.csv"
        if system.exists():
            header, *rows = system.read_text(encoding="utf-8").splitlines() or [",".join(self.SYSTEM_COLUMNS)]
            kept = [row for row in rows if int(row.split(",")[0]) <= step]
            system.write_text("".join(f"{row}\n" for row in [header, *kept]), encoding="utf-8")

    def add_report(self, step: int, metrics: dict[str, float], seconds: float, peak_mib: float | None) -> None:
        """Append one report to metrics.jsonl and system.csv."""
        with self._reports.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
        system = self.path / "system.csv"
        new = not system.exists()
        with system.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(self.SYSTEM_COLUMNS)
            rate = metrics.get("train/tokens_per_second", 0.0)
            writer.writerow([step, f"{seconds:.3f}", f"{rate:.1f}", "" if peak_mib is None else f"{peak_mib:.1f}"])

    def summarise(self, metrics: dict[str, float]) -> None:
        """Write the last report as metrics.json, and all of them as the table metrics.csv, for other programs."""
        (self.path / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        rows = [json.loads(line) for line in self._reports.read_text(encoding="utf-8").splitlines()]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with (self.path / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)

    def keep(self, name: str, text: str) -> None:
        """Write a text that the task has made of the trained model, such as samples.txt."""
        (self.path / name).write_text(text, encoding="utf-8")

    def log(self, text: str) -> None:
        """Append a line with the time to log.txt."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")


class FollowerFolder(ReplicateFolder):
    """The folder as a rank other than the first sees it: the first writes what is the same for all of them."""

    def __init__(self, path: Path, rank: int) -> None:
        super().__init__(path)
        self.rank = rank

    @property
    def stacks(self) -> Path:
        """Where this rank leaves its stacks if it hangs."""
        return self.path / f"stacks.rank{self.rank}.txt"

    def write_config(self, config: dict[str, Any]) -> None:
        """Nothing: see the class."""

    def continue_from(self, step: int) -> None:
        """Nothing: see the class."""

    def add_report(self, step: int, metrics: dict[str, float], seconds: float, peak_mib: float | None) -> None:
        """Nothing: see the class."""

    def summarise(self, metrics: dict[str, float]) -> None:
        """Nothing: see the class."""

    def keep(self, name: str, text: str) -> None:
        """Nothing: see the class."""

    def log(self, text: str) -> None:
        """Append a line with the time and the rank to log.txt."""
        super().log(f"rank {self.rank}: {text}")
