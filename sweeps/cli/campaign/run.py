"""`run` of a campaign: phase after phase, up to a gate that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from sweeps.campaigns.campaign import Campaign, StudyRun
from sweeps.campaigns.state import REPORTS
from sweeps.cli import run as study_run
from sweeps.cli.campaign import checks
from sweeps.cli.campaign.package import write_package
from sweeps.cli.campaign.reader import Reader
from sweeps.cli.campaign.show import gates_table, print_results
from sweeps.console import Output, proposed
from sweeps.errors import EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED
from sweeps.fields import check_scale
from sweeps.run.limits import RunLimits
from sweeps.studies.catalogue import StudyArguments


@dataclass(frozen=True)
class Orders:
    """How far a campaign is run."""

    through: str | None
    """The last phase; None: all."""
    past_failed_gates: bool
    limits: RunLimits


def run(output: Output, campaign: Campaign, scale: str, orders: Orders) -> int:
    """Run the phases, each once those before it have passed; what has run already is not run again.

    Returns:
        The exit code: that of the studies, or 1 if a phase did not run because a gate or a check failed.
    """
    chosen, names = check_scale(scale), campaign.through(orders.through)
    out = output.beside
    code = EXIT_DONE
    broken: set[str] = set()
    for name in names:
        ended = _Phase(campaign, chosen, name, orders, out).run(broken)
        code = max(code, ended, key=_severity)
        if ended == EXIT_INTERRUPTED:
            again = proposed("run", campaign.given, "--scale", chosen, *_options(orders))
            out.print(f"\n{campaign.name}: stopped in {name}; continue with: {again}", markup=False)
            break
    state = Reader(campaign, chosen).state(names)
    if output.emit:
        output.emit(state)
    out.print()
    print_results(out, state)
    return code


def _severity(code: int) -> int:
    return [EXIT_DONE, EXIT_FAILURES, EXIT_INTERRUPTED].index(code)


def _options(orders: Orders) -> list[str]:
    through = [] if orders.through is None else ["--through", orders.through]
    return [*through, *(["--past-failed-gates"] if orders.past_failed_gates else [])]


@dataclass(frozen=True)
class _Phase:
    campaign: Campaign
    scale: str
    name: str
    orders: Orders
    out: Console

    def run(self, broken: set[str]) -> int:
        """Run the phase, unless it waits for a gate; adds its name to `broken` if a check of it fails."""
        phase = self.campaign.phases[self.name]
        self.out.print(f"\n{self.name}: {phase.title}", style="bold", markup=False)
        waits_for = [] if phase.kind in REPORTS else self._waits_for(broken)
        if waits_for and not self.orders.past_failed_gates:
            self.out.print(
                f"not run: {'; '.join(waits_for)} (--past-failed-gates runs it all the same)", markup=False
            )
            return EXIT_FAILURES
        match phase.kind:
            case "environment":
                return self._checked(checks.environment(), broken)
            case "contracts":
                return self._checked(checks.contracts(phase.contracts), broken)
            case "studies":
                code = self._studies()
                gates = Reader(self.campaign, self.scale).phase(self.name).gates
                if gates:
                    self.out.print(gates_table(gates))
                return code
            case "package":
                folder = write_package(self.campaign, Reader(self.campaign, self.scale).state())
                self.out.print(f"written: {folder}", markup=False)
        return EXIT_DONE

    def _waits_for(self, broken: set[str]) -> list[str]:
        before = self.campaign.before(self.name)
        failed = Reader(self.campaign, self.scale).state(before).blocking(self.campaign, self.name)
        return [f"gate {gate} failed" for gate in failed] + [
            f"{name} found something wrong" for name in before if name in broken
        ]

    def _checked(self, found: checks.Checked, broken: set[str]) -> int:
        self.out.print(found.text, markup=False)
        if found.ok:
            return EXIT_DONE
        broken.add(self.name)
        return EXIT_FAILURES

    def _studies(self) -> int:
        studies = self.campaign.studies(self.name, self.scale)
        if self.campaign.phases[self.name].parallel and len(studies) > 1 and os.environ.get("RAY_ADDRESS"):
            return at_once([self._command(study) for study in studies])
        code = EXIT_DONE
        for study in studies:
            ended = study_run.run(
                Output(self.out), StudyArguments(study.name, self.scale, study.sets), limits=self.orders.limits
            )
            code = max(code, ended, key=_severity)
            if ended == EXIT_INTERRUPTED:
                return ended
        return code

    def _command(self, study: StudyRun) -> list[str]:
        sets = [part for text in study.sets for part in ("--set", text)]
        return [sys.executable, "-m", "sweeps", "run", study.name, "--scale", self.scale, *sets]


def at_once(commands: Sequence[Sequence[str]]) -> int:
    """Run commands at the same time and wait for all; return the worst of their exit codes.

    An interrupt from the terminal reaches them too, and they shut down by themselves.
    """
    processes = [subprocess.Popen(command) for command in commands]
    interrupted = False
    for process in processes:
        while process.poll() is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
    codes = {process.returncode for process in processes}
    if interrupted or EXIT_INTERRUPTED in codes:
        return EXIT_INTERRUPTED
    return EXIT_DONE if codes == {EXIT_DONE} else EXIT_FAILURES
