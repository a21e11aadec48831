"""The folder of one replicate: its results, for people to read and for resuming."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

import yaml

from trainables.atomic_write import write_text_atomic


class ReplicateFolder:
    """`replicates/<config_id>/seed=<k>/` with config.yaml, metrics.jsonl, log.txt, checkpoint/; at the end also
    metrics.json, metrics.csv, the texts that its task saves (samples.txt) and, if requested,
    weights.pt.

    The journal, not this folder, decides what has ended; the folder may be deleted to start again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Create the folder, unless it exists from an earlier attempt."""
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
        """The replicate's trained weights, if they are to be kept."""
        return self.path / "weights.pt"

    @property
    def stacks(self) -> Path:
        """File in which a hanging worker leaves its stacks; empty otherwise."""
        return self.path / "stacks.txt"

    def write_config(self, config: dict[str, Any]) -> None:
        """Write the resolved configuration with its seed."""
        write_text_atomic(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False))

    def continue_from(self, step: int) -> None:
        """Drop reports after `step`, which will be written again, and an incomplete last line left by a crash."""
        if not self._reports.exists():
            return
        text = self._reports.read_text(encoding="utf-8", errors="replace")
        kept = "".join(f"{line}\n" for line in text.splitlines() if _is_report(line, step))
        if kept != text:
            write_text_atomic(self._reports, kept)

    def add_report(self, step: int, metrics: dict[str, float]) -> None:
        """Append one report to metrics.jsonl in a single write, so that a reader sees all of it or nothing.

        Raises:
            OSError: If it cannot be written; on a full disk a part of it may be.
        """
        with self._reports.open("ab") as file:
            file.write((json.dumps({"step": step, **metrics}) + "\n").encode())

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
        """Write a text that the task saves for the trained model, such as samples.txt."""
        (self.path / name).write_text(text, encoding="utf-8")

    def log(self, text: str) -> None:
        """Append a line with the time to log.txt."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stamp} {text}\n")


class FollowerFolder(ReplicateFolder):
    """The folder as seen by a rank other than the first, which only logs: common files are the first rank's."""

    def __init__(self, path: Path, rank: int) -> None:
        super().__init__(path)
        self.rank = rank

    @property
    def stacks(self) -> Path:
        """File in which this rank leaves its stacks if it hangs."""
        return self.path / f"stacks.rank{self.rank}.txt"

    def log(self, text: str) -> None:
        """Append a line with the time and the rank to log.txt."""
        super().log(f"rank {self.rank}: {text}")


def _is_report(line: str, last_step: int) -> bool:
    """Return whether a line is a complete report, of `last_step` at most."""
    try:
        return bool(json.loads(line)["step"] <= last_step)
    except ValueError:
        return False
