"""Live progress: a rich display on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from analysis.records.description import MetricInfo
from analysis.records.replicates import Key
from cluster.inventory import Inventory
from sweeps.console import format_duration
from sweeps.plan.plan import Plan

if TYPE_CHECKING:
    from trainables.worker.assignment import Assignment

PLAIN_EVERY_SECONDS = 10.0
MIN_DONE_FOR_ETA = 0.1
"""Share of all work after which the ETA extrapolates from finished work, even before a replicate has ended."""


class Progress:
    """Shows the progress of a run: replicates done and failed, the ETA, and the best result so far.

    Args:
        plan: The plan.
        num_missing: Replicates to run; of a search, about so many.
        forecast_seconds: How long these will take; the basis of the ETA until enough is done.
        console: Where to print.
        machine: The resources for trials when the run began.
    """

    def __init__(
        self, plan: Plan, num_missing: int, forecast_seconds: float, console: Console, machine: Inventory
    ) -> None:
        self.console = console
        self._plan = plan
        self.offered_mib = machine.offered_mib(on_gpus=plan.device == "cuda")
        self.metric: MetricInfo = plan.sweep.metric(plan.sweep.primary_metric)
        self.compared = {planned.config_id for planned in plan.arms}
        self.is_search = plan.search is not None
        self.forecast_seconds, self.num_missing = forecast_seconds, num_missing
        self.ended: Counter[str] = Counter()
        self.running: dict[Key, int] = {}
        self.best: tuple[float, str] | None = None
        self.started_at = time.monotonic()
        self._first_start_at: float | None = None
        """When the first worker started: the start of the session is not part of the pace."""
        self._taken_over = 0.0
        """Work that checkpoints held at the start, in replicates."""
        self._printed_at = self.started_at
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.update(self._table())
            self._live.stop()

    def started(self, assignment: Assignment, step: int) -> None:
        """Note a start, at a step other than 0 if a checkpoint is continued."""
        self._first_start_at = self._first_start_at or time.monotonic()
        self._taken_over += step / max(1, self._steps(assignment.config_id))
        self.running[assignment.key] = step
        self._show()

    def waiting(self, num_held: int) -> None:
        """Show that this driver waits for others."""
        self.console.print(
            f"waiting for {num_held} replicates of another driver; if it dies, this one takes over",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def reported(self, assignment: Assignment, event: dict[str, Any]) -> None:
        """Note a report; print a line about the last one of a replicate unless on a terminal."""
        key = assignment.key
        if event["outcome"] is None:
            self.running[key] = event["step"]
            self._show()
            return
        self.running.pop(key, None)
        self.ended[event["outcome"]] += 1
        value = event["metrics"].get(self.metric.name)
        arm = self._name(assignment.config_id)
        if value is not None and event["outcome"] == "finished" and assignment.config_id in self.compared:
            self._note_best(value, arm)
        if self._live is None or event["outcome"] != "finished":
            shown = f"{self.metric.name} {value:.4f}" if value is not None else event["message"]
            said = self._at_rung(event) or f"{event['outcome']}, {shown}"
            done = self._done()
            self.console.print(
                f"[{done}] {arm} seed {assignment.seed}: {said}{self._eta()}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            self._printed_at = time.monotonic()
        self._show()

    def _at_rung(self, event: dict[str, Any]) -> str:
        """Return where a candidate waits that a search has stopped: it may climb on; empty for other ends."""
        if event["outcome"] != "pruned" or self._plan.search is None:
            return ""
        info = self._plan.search.info
        rung = next((index for index, rung in enumerate(info.rungs) if rung.steps == event["step"]), None)
        if rung is None:
            return ""
        score = event["metrics"].get(info.subset_metric)
        shown = "" if score is None else f", {info.subset_metric} {score:.4f}"
        return f"waits at rung {rung}{shown}"

    def _name(self, config_id: str) -> str:
        return self._plan.unit(config_id).arm.name

    def _steps(self, config_id: str) -> int:
        return self._plan.unit(config_id).config.budget.steps

    def _asked_mib(self, config_id: str) -> int:
        return self._plan.request.workers * self._plan.size_class(self._plan.unit(config_id)).memory_mib

    def _done(self) -> str:
        about = "about " if self.is_search else ""
        return f"{sum(self.ended.values())}/{about}{self.num_missing}"

    def _note_best(self, value: float, arm: str) -> None:
        if self.metric.direction == "none":
            return
        sign = 1 if self.metric.direction == "minimise" else -1
        if self.best is None or sign * value < sign * self.best[0]:
            self.best = (value, arm)

    def _fraction_done(self) -> float:
        ended = sum(self.ended.values())
        steps = {key[0]: self._steps(key[0]) for key in self.running}
        partial = sum(step / max(1, steps[key[0]]) for key, step in self.running.items())
        return (ended + partial) / max(1, self.num_missing)

    def _eta(self) -> str:
        """Return the ETA: from finished work, or from the forecast before enough is done."""
        done, one = self._fraction_done(), 1 / max(1, self.num_missing)
        gained = done - self._taken_over * one
        if self._first_start_at is None or gained < min(MIN_DONE_FOR_ETA, one):
            return f"; forecast {format_duration(self.forecast_seconds)}"
        if done >= 1:
            return ""
        elapsed = time.monotonic() - self._first_start_at
        left = format_duration(elapsed * (1 - done) / gained)
        return f"; {left} left" if left.startswith("less") else f"; about {left} left"

    def _packed(self) -> str:
        """Return how much of the available memory the running replicates have requested."""
        asked = sum(self._asked_mib(config_id) for config_id, _ in self.running)
        if not self.offered_mib:
            return f"{asked:,} MiB"
        return f"{asked:,} of {self.offered_mib:,} MiB ({asked / self.offered_mib:.0%})"

    def _show(self) -> None:
        if self._live:
            self._live.update(self._table())
        elif time.monotonic() - self._printed_at >= PLAIN_EVERY_SECONDS:
            self._printed_at = time.monotonic()
            running = ", ".join(
                f"{self._name(config)} seed {seed} step {step}/{self._steps(config)}"
                for (config, seed), step in self.running.items()
            )
            done = self._done()
            line = f"[{done}] running: {running}; {self._packed()} packed{self._eta()}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        words = {"pruned": "stopped at a rung"} if self.is_search else {}
        counts = (f"{count} {words.get(status, status)}" for status, count in sorted(self.ended.items()))
        ended = ", ".join(counts) or "none ended yet"
        elapsed = format_duration(time.monotonic() - self.started_at)
        table.add_row("done", f"{self._done()} ({ended})")
        table.add_row("time", f"{elapsed}{self._eta()}")
        for (config, seed), step in self.running.items():
            table.add_row("running", f"{self._name(config)}, seed {seed}: step {step} of {self._steps(config)}")
        table.add_row("memory packed", self._packed())
        if self.best:
            table.add_row("best so far", f"{self.metric.name} {self.best[0]:.4f} ({self.best[1]}, one seed)")
        return table
