"""The verbs that look: each prints text, or JSON when given an emitter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from sweeps.cli.json_schemas import load_schema
from sweeps.cli.stored_sweep import find_metric_name, load_results
from sweeps.console import Emit, proposed, text_table
from sweeps.errors import EXIT_DONE, EXIT_FAILURES
from sweeps.run.driver import prepare
from sweeps.store.folder import results_root
from sweeps.store.usage import forecast_of_plan
from sweeps.studies.library import installed_studies, library
from sweeps.studies.resolve import load_study
from sweeps.studies.study import SCALES
from sweeps.tracking.uri import tracking_uri_from_environment


def studies(out: Console, emit: Emit | None) -> None:
    """List the library, and the studies of installed packages."""
    found: list[tuple[str, str | None, Path]] = [(name, None, path) for name, path in library().items()]
    found += [(study.name, study.package, study.path) for study in installed_studies()]
    rows: list[dict[str, Any]] = []
    for name, package, path in found:
        study = load_study(str(path))
        about = {"title": study.title, "scales": list(study.scales), "num_arms": len(study.arms)}
        rows.append({"study": name, "package": package, **about})
    if emit:
        emit(rows)
        return
    table = text_table("study", "arms", "title", "from", right=[1])
    for row in rows:
        table.add_row(row["study"], str(row["num_arms"]), row["title"], row["package"] or "phasesweep")
    out.print(table)
    out.print(
        f"\nEvery study of the library has the scales {', '.join(SCALES)}. Next: {proposed('plan', 'STUDY')}",
        markup=False,
    )


def families(out: Console, emit: Emit | None) -> None:
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
    if emit:
        emit(listing)
        return
    for kind, entries in listing.items():
        for name, entry in entries.items():
            out.print(f"{kind} {name}: {entry['meaning']}", markup=False, style="bold")
            table = text_table("  field", "default", "meaning")
            for field, spec in entry["fields"].items():
                default = "required" if "default" not in spec else str(spec["default"])
                table.add_row(f"  {field}", default, " ".join(spec.get("description", "").split()))
            out.print(table)
            out.print()


def show(out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str]) -> None:
    """Show a study, resolved."""
    study = load_study(name, scale, sets)
    if emit:
        emit(study.resolved())
        return
    out.print(study.title, style="bold", markup=False)
    if study.description:
        out.print(study.description, markup=False)
    if study.grid:
        out.print(f"grid: {study.grid.describe()}", markup=False)
    out.print(yaml.safe_dump(study.resolved(), sort_keys=False, allow_unicode=True), markup=False, end="")


def schema(emit: Emit, of: str) -> None:
    """Print a JSON Schema."""
    emit(load_schema(of))


def plan(
    out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str], gpus: str | None = None
) -> None:
    """Show the plan, for what is here or for the cards that `gpus` describes."""
    from sweeps.cli import plan_text

    prepared = prepare(name, scale, sets, cards=gpus)
    state = prepared.state
    if emit:
        emit(prepared.plan.to_json(state))
        return
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


def results(
    out: Console, emit: Emit | None, name: str, scale: str, sets: Iterable[str], metric: str | None
) -> None:
    """Print the table of arms."""
    from analysis.report.tables import render_text
    from analysis.results.arms import summarise

    stored = load_results(name, scale, sets)
    table = summarise(stored.state, find_metric_name(stored.sweep, metric))
    if emit:
        emit(table.to_json())
    else:
        out.print(render_text(table), markup=False, end="")


def doctor(out: Console, emit: Emit | None) -> int:
    """Check the environment; return the exit code."""
    from sweeps.cli.doctor import run_checks, summary

    data_dir = os.environ.get("PHASESWEEP_DATA")
    uri = tracking_uri_from_environment()
    checks = run_checks(results_root=results_root(), data_dir=data_dir, tracking_uri=uri)
    failed = any(check.ok is False for check in checks)
    if emit:
        emit([{"name": c.name, "ok": c.ok, "detail": c.detail, "cure": c.cure} for c in checks])
        return EXIT_FAILURES if failed else EXIT_DONE
    table = text_table("", "check", "finding")
    for check in checks:
        mark = {True: "[green]ok[/green]", False: "[red]wrong[/red]", None: "note"}[check.ok]
        cure = "" if check.ok or not check.cure else f"\ncure: {check.cure}"
        table.add_row(mark, check.name, f"{check.detail}{cure}".replace("[", "\\["))
    out.print(table)
    out.print(f"\n{summary(checks)}", markup=False)
    return EXIT_FAILURES if failed else EXIT_DONE
