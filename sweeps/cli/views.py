"""The verbs that look at what could be run: families, a resolved study, a plan; and the page of MLflow."""

from __future__ import annotations

import sys
from typing import Any

import yaml
from rich.console import Console

from analysis.records.journal import JournalState
from sweeps.console import Output, text_table
from sweeps.run.driver import Prepared, prepare
from sweeps.store.usage import forecast_of_plan
from sweeps.studies.library import StudyArguments
from sweeps.studies.resolve import load_study
from sweeps.studies.study import Study


def families(output: Output) -> None:
    """List architectures and tasks with their fields."""
    from trainables.plugins.packages import load_installed
    from trainables.registry import ARCHITECTURES, TASKS

    for problem in load_installed():
        sys.stderr.write(f"phasesweep: not listed: {problem}\n")
    listing = {
        registry.kind: {
            name: {
                "version": registry.version(name),
                "meaning": (registry.get(name).__doc__ or "").strip().partition("\n")[0],
                "fields": registry.get(name).model_json_schema()["properties"],
            }
            for name in registry.names()
        }
        for registry in (ARCHITECTURES, TASKS)
    }
    output.show(listing, lambda out: _print_families(out, listing))


def _print_families(out: Console, listing: dict[str, Any]) -> None:
    for kind, entries in listing.items():
        for name, entry in entries.items():
            out.print(f"{kind} {name}: {entry['meaning']}", markup=False, style="bold")
            table = text_table("  field", "default", "meaning")
            for field, spec in entry["fields"].items():
                default = "required" if "default" not in spec else str(spec["default"])
                table.add_row(f"  {field}", default, " ".join(spec.get("description", "").split()))
            out.print(table)
            out.print()


def show(output: Output, study: StudyArguments) -> None:
    """Show a study, resolved."""
    resolved = load_study(*study)
    output.show(resolved.resolved(), lambda out: _print_study(out, resolved))


def _print_study(out: Console, study: Study) -> None:
    out.print(study.title, style="bold", markup=False)
    if study.description:
        out.print(study.description, markup=False)
    if study.grid:
        out.print(f"grid: {study.grid.describe()}", markup=False)
    out.print(yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True), markup=False, end="")


def plan(output: Output, study: StudyArguments, gpus: str | None = None) -> None:
    """Show the plan, for what is here or for the cards that `gpus` describes."""
    prepared = prepare(*study, cards=gpus)
    state = prepared.state
    output.show(prepared.plan.to_json(state), lambda out: _print_plan(out, prepared, state, gpus))


def _print_plan(out: Console, prepared: Prepared, state: JournalState, gpus: str | None) -> None:
    from sweeps.cli import plan_text

    out.print(f"{prepared.experiment}: {prepared.study.title}", style="bold", markup=False)
    out.print(plan_text.arms_table(prepared.plan))
    out.print(f"\n{plan_text.budget(prepared.plan, state, prepared.machine)}", markup=False)
    out.print(str(forecast_of_plan(prepared.plan, prepared.folder, state)), markup=False)
    if prepared.study.claims:
        out.print()
        out.print(plan_text.claims_table(prepared.plan))
    next_step = (
        f"next: {prepared.command('run')}" if gpus is None else f"this was planned for {gpus}, not for what is here"
    )
    out.print(f"\nnothing was started; {next_step}", markup=False)
